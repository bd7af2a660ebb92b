/**
 * The tour as its users run it, through a crash: ended with SIGKILL in the middle of the import, started again, and once
 * more on the same data. What was acknowledged is there, nothing is there twice, and nothing half-made stays behind.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headerHash } from '../../src/abe/index.ts';
import { DEMO_PASSWORD } from '../../src/cli/tour/people.ts';
import { type CodedError, Gateway } from '../../src/client/index.ts';
import { fromBase64url, toHex } from '../../src/codec/bytes.ts';
import { cidOf } from '../../src/codec/cid.ts';
import { type Consortium, startConsortium } from '../../src/node/consortium.ts';
import { isBuilt, run, start } from './process.ts';

/** Records acknowledged before the crash, at least. */
const ACKNOWLEDGED_MIN = 40;
/** Everything that is staged now has expired by then. */
const LATER_MS = 10 * 60_000;

interface RecordRow {
  readonly record: string;
  readonly custodian: string;
  readonly cid: string;
  readonly bytes: number;
  readonly headerHash: string;
}

/** Every record that a gateway lists. */
async function recordsOf(gateway: Gateway): Promise<RecordRow[]> {
  const rows: RecordRow[] = [];
  let cursor: string | null = null;
  do {
    const after: string = cursor === null ? '' : `&cursor=${cursor}`;
    const page: { records: RecordRow[]; next: string | null } = await gateway.json(
      'GET',
      `/v1/records?limit=500${after}`,
    );
    rows.push(...page.records);
    cursor = page.next;
  } while (cursor !== null);
  return rows;
}

async function signIn(consortium: Consortium, member: string): Promise<Gateway> {
  const node = [...consortium.nodes.values()].find((one) => one.id === member);
  const gateway = new Gateway({ url: (node && consortium.urls.get(node.id)) ?? '' });
  await gateway.login('admin', DEMO_PASSWORD);
  return gateway;
}

describe.skipIf(!isBuilt)('up --tour --once (needs the build in dist/)', { timeout: 400_000 }, () => {
  let dir: string;
  let data: string;
  let acknowledged = 0;
  /** Headers that were staged when the crash came. */
  let staged: { member: string; headerHash: Uint8Array }[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hippocrypt-tour-'));
    data = join(dir, 'data');
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  const tour = (...more: string[]): string[] => [
    'up',
    '--tour',
    '--once',
    '--data',
    data,
    '--port',
    '0',
    ...more,
  ];
  const progressOf = (stderr: string): number =>
    Math.max(0, ...[...stderr.matchAll(/importing: (\d+)\/\d+ records/g)].map((match) => Number(match[1])));

  it('is killed in the middle of its import', async () => {
    const running = start(tour(), {}, 300_000);
    const stderr = await running.until((text) => progressOf(text) >= ACKNOWLEDGED_MIN);
    running.child.kill('SIGKILL');
    acknowledged = progressOf(stderr);
    const { code, stdout } = await running.finished;
    expect(code).toBeNull();
    expect(stdout).not.toContain('The tour holds');
  });

  it('has every acknowledged record on the ledger after the crash, at every member', async () => {
    const consortium = await startConsortium({ dir: data, port: 0, ratePerMinute: 0 });
    try {
      for (const member of consortium.nodes.keys()) {
        const rows = await recordsOf(await signIn(consortium, member));
        expect(rows.length).toBeGreaterThanOrEqual(acknowledged);
      }
      staged = [...consortium.nodes.values()].flatMap((node) =>
        node.staging.all().map((row) => ({ member: node.id, headerHash: row.headerHash })),
      );
    } finally {
      await consortium.close();
    }
  });

  it('goes on with the import at the next start, and holds', async () => {
    const done = await run(tour(), {}, 300_000);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stdout).toContain('The tour holds');
    expect(done.stdout).not.toMatch(/\d+ refused/);
  });

  it('finds everything again at the start after that, and prints one JSON value', async () => {
    const done = await run(tour('--json'), {}, 300_000);
    expect(done.code, done.stderr).toBe(0);
    const { steps } = JSON.parse(done.stdout) as { steps: { step: string; text: string }[] };
    expect(new Set(steps.map((one) => one.step))).toEqual(new Set('abcdefghij'));
    expect(steps.find((one) => one.step === 'c')?.text).toMatch(/^170 records are here/);
  });

  it('holds every record once, with its header and payload, and nothing that was half-made', async () => {
    const consortium = await startConsortium({
      dir: data,
      port: 0,
      ratePerMinute: 0,
      clock: () => Date.now() + LATER_MS,
    });
    try {
      const members = [...consortium.nodes.keys()];
      const gateways = new Map(
        await Promise.all(
          members.map(async (one) => [one as string, await signIn(consortium, one)] as const),
        ),
      );
      const rows = await recordsOf(gateways.get('mercy') as Gateway);
      // 170 resources stand in the sample: one record for each, sealed once.
      expect(rows).toHaveLength(170);
      expect(new Set(rows.map((one) => one.cid)).size).toBe(170);
      for (const row of rows) {
        const gateway = gateways.get(row.custodian) as Gateway;
        const { header } = await gateway.json<{ header: string }>('GET', `/v1/records/${row.record}/header`);
        expect(toHex(headerHash(fromBase64url(header)))).toBe(row.headerHash);
        const payload = await gateway.bytes('GET', `/v1/records/${row.record}/payload`);
        expect([await cidOf(payload), payload.length]).toEqual([row.cid, row.bytes]);
      }

      // A write carries the ledger's time past the end of whatever was staged.
      await gateways.get('mercy')?.json('POST', '/v1/subjects', { body: { kind: 'system' } });
      const kept = new Set(rows.map((one) => one.headerHash));
      for (const node of consortium.nodes.values()) {
        await node.indexService().flush();
        await node.records.sweep();
        expect(node.staging.all()).toEqual([]);
      }
      for (const { member, headerHash: hash } of staged) {
        const node = [...consortium.nodes.values()].find((one) => one.id === member);
        const wasChanged = rows.every((row) => row.headerHash !== toHex(hash));
        if (wasChanged)
          expect(node?.headers.has(hash), 'the header of a cut-off attempt is gone').toBe(false);
        else expect(kept.has(toHex(hash))).toBe(true);
      }
      // The first run marks what no record names, the second removes it.
      for (const node of consortium.nodes.values()) {
        await node.records.collect(0, Date.now() + LATER_MS);
        await node.records.collect(0, Date.now() + LATER_MS + 1);
      }
      for (const row of rows) {
        const payload = await gateways.get(row.custodian)?.bytes('GET', `/v1/records/${row.record}/payload`);
        expect(payload?.length).toBe(row.bytes);
      }
    } finally {
      await consortium.close();
    }
  });

  it('says when another process holds the data, and lets go of it when it is ended', async () => {
    const consortium = await startConsortium({ dir: data, port: 0, ratePerMinute: 0 });
    const held = await run([...tour(), '--json'], {}, 120_000);
    await consortium.close();
    expect(held.code).toBe(1);
    expect(
      (JSON.parse(held.stderr.trimEnd().split('\n').at(-1) ?? '') as { error: CodedError }).error.code,
    ).toBe('storage.locked');
  });

  it('ends with 130 on an interruption, and serves until one without --once', async () => {
    const running = start(['up', '--data', data, '--port', '0'], {}, 120_000);
    await running.until((text) => text.includes('Serving until Ctrl-C.'));
    running.child.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
    const touring = start(tour(), {}, 120_000);
    await touring.until((text) => text.includes('opening the gateways'));
    touring.child.kill('SIGINT');
    expect([0, 130]).toContain((await touring.finished).code);
  });
});
