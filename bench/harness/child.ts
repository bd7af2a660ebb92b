/**
 * The process of one suite: loads its parts, runs them one after the other and sends the rows to the process that
 * started it. Started by run.ts with the suite's name; messages are in run.ts.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseRows, type Row } from './row.ts';
import type { ChildMessage } from './run.ts';
import { chooseSuites, type SuiteContext, type SuitePart } from './suites.ts';

type SuiteFunction = (options: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** Where the module of a part is, once compiled: beside bench/main. */
const moduleUrl = (part: SuitePart): URL => new URL(`../${part.module}.js`, import.meta.url);

function send(message: ChildMessage): void {
  process.send?.(message);
}

async function runPart(part: SuitePart, context: SuiteContext): Promise<Row[]> {
  const url = moduleUrl(part);
  if (!existsSync(fileURLToPath(url))) {
    send({ type: 'skipped', reason: `there is no bench/${part.module}.ts` });
    return [];
  }
  const module = (await import(url.href)) as Readonly<Record<string, unknown>>;
  const run = module[part.run];
  if (typeof run !== 'function') {
    send({ type: 'skipped', reason: `bench/${part.module}.ts exports no ${part.run}` });
    return [];
  }
  return parseRows(await (run as SuiteFunction)(await part.options(context)));
}

async function main(name: string, quick: boolean): Promise<void> {
  const [suite] = chooseSuites([name]);
  const directory = mkdtempSync(join(tmpdir(), `hippocrypt-bench-${name}-`));
  const context: SuiteContext = {
    quick,
    directory,
    random: (length) => new Uint8Array(randomBytes(length)),
    log: (line) => send({ type: 'log', line }),
  };
  try {
    for (const part of suite.parts) send({ type: 'rows', rows: await runPart(part, context) });
  } catch (error) {
    send({ type: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  // A suite that leaves a timer or a socket behind must not hold up the ones after it.
  process.disconnect?.();
}

await main(process.argv[2] ?? '', process.argv[3] === 'quick');
