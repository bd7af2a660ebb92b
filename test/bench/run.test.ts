import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBenchArguments } from '../../bench/harness/arguments.ts';
import { describeEnvironment } from '../../bench/harness/environment.ts';
import { runSuite, type SuiteRun } from '../../bench/harness/run.ts';
import { chooseSuites, SUITES } from '../../bench/harness/suites.ts';

describe('a suite in its own process', () => {
  let folder: string;
  const log: string[] = [];
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hippocrypt-test-bench-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a program of these lines as the process of the first suite. */
  function run(lines: string): Promise<SuiteRun> {
    const child = join(folder, `${log.length}-${lines.length}.mjs`);
    writeFileSync(child, lines);
    return runSuite(SUITES[0], { quick: true, root: folder, child, log: (line) => log.push(line) });
  }
  const row = `{ suite: 'abe', op: process.argv.slice(2).join(' '), n: 1, p50_ms: 1, p95_ms: 1 }`;

  it('sends its rows and its progress', async () => {
    const { rows, outcome } = await run(
      `process.send({ type: 'log', line: 'half done' }); process.send({ type: 'rows', rows: [${row}] });`,
    );
    expect(rows.map((one) => one.op)).toEqual(['abe quick']);
    expect(outcome).toMatchObject({ suite: 'abe', status: 'measured', rows: 1 });
    expect(log).toContain('abe: half done');
  });

  it('keeps the rows of a suite of which a part is missing, and names the part', async () => {
    const { rows, outcome } = await run(
      `process.send({ type: 'skipped', reason: 'there is no bench/x.ts' }); process.send({ type: 'rows', rows: [${row}] });`,
    );
    expect(rows).toHaveLength(1);
    expect(outcome).toMatchObject({ status: 'measured', reason: 'there is no bench/x.ts' });
    expect(log.some((line) => line.startsWith('SKIPPED in abe'))).toBe(true);
  });

  it('is skipped, not measured, when it has no row', async () => {
    const { outcome } = await run(`process.send({ type: 'skipped', reason: 'nothing there' });`);
    expect(outcome).toMatchObject({ status: 'skipped', rows: 0, reason: 'nothing there' });
  });

  it('has failed when it says so, and keeps what it had measured', async () => {
    const { rows, outcome } = await run(
      `process.send({ type: 'rows', rows: [${row}] }); process.send({ type: 'failed', reason: 'no disk\\n at x' }); process.exitCode = 1;`,
    );
    expect(rows).toHaveLength(1);
    expect(outcome).toMatchObject({ status: 'failed', reason: 'no disk' });
  });

  it('has failed when a row says that it does not hold, and keeps the rows', async () => {
    const { rows, outcome } = await run(
      `process.send({ type: 'rows', rows: [${row}, { ...${row}, op: 'compare', failed: true }] });`,
    );
    expect(rows).toHaveLength(2);
    expect(outcome).toMatchObject({ status: 'failed', reason: 'does not hold: compare' });
  });

  it('has failed when its process ends badly without a word', async () => {
    expect((await run('process.exit(3);')).outcome).toMatchObject({
      status: 'failed',
      reason: 'the process ended with 3',
    });
    expect(
      (await run(`process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);`)).outcome,
    ).toMatchObject({
      status: 'failed',
      reason: 'the process ended with SIGKILL',
    });
  });

  it('has failed when it sends something that is no row', async () => {
    const { rows, outcome } = await run(`process.send({ type: 'rows', rows: [{ suite: 'abe' }] });`);
    expect(rows).toEqual([]);
    expect(outcome).toMatchObject({ status: 'failed' });
    expect(outcome.reason).toContain('row 0');
  });
});

describe('the command line', () => {
  it('runs everything unless told, in an order of its own', () => {
    const standing = SUITES.filter(({ onlyByName }) => onlyByName !== true);
    expect(standing.length).toBeLessThan(SUITES.length);
    expect(parseBenchArguments([]).suites).toEqual(standing);
    expect(parseBenchArguments(['all']).suites).toEqual(standing);
    expect(chooseSuites(['search-growth']).map((suite) => suite.name)).toEqual(['search-growth']);
    expect(chooseSuites(['main', 'abe']).map((suite) => suite.name)).toEqual(['abe', 'main']);
  });

  it('names the suites that there are when it is asked for another', () => {
    expect(() => parseBenchArguments(['abs'])).toThrow(
      /no suite "abs": expected abe, constant-time, search, search-growth, search-browser, ledger, storage, main or all/,
    );
    expect(() => parseBenchArguments(['--quik'])).toThrow(TypeError);
  });

  it('takes the baseline beside the benches unless one is named', () => {
    const root = join(tmpdir(), 'checkout');
    const quiet = parseBenchArguments(['--root', root, '--json', '-']);
    expect(quiet).toMatchObject({
      json: '-',
      baseline: join(root, 'bench', 'baseline.json'),
      baselineWanted: false,
    });
    expect(parseBenchArguments(['--baseline', 'x.json'])).toMatchObject({ baselineWanted: true });
  });
});

describe('the environment of a run', () => {
  it('is measured, not assumed', () => {
    const root = new URL('../..', import.meta.url).pathname;
    const environment = describeEnvironment(root, true);
    expect(environment.cores).toBeGreaterThanOrEqual(1);
    expect(environment.memory_mib).toBeGreaterThan(100);
    expect(environment.load_average).toHaveLength(3);
    expect(environment.core_share).toBeGreaterThan(0);
    expect(environment.core_share).toBeLessThanOrEqual(1);
    expect(environment.disk_flush.p95_ms).toBeGreaterThanOrEqual(environment.disk_flush.p50_ms);
    expect(environment.commit).toMatch(/^([0-9a-f]{12}(\+changes)?|unknown)$/);
    expect(environment.date).toBe(new Date(environment.date).toISOString());
    expect(environment.quick).toBe(true);
  });
});
