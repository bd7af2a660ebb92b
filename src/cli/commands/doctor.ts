/**
 * `hippocrypt doctor`: the health of a node in words. With `--url` it judges what a running node says of itself; with
 * `--config` also what lies on this machine, and whether a stopped node's stores open. Exit code 1 when something
 * needs an operator.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { type NodeConfig, readNodeConfig, readUnlock } from '../../node/process.ts';
import {
  fileSystemProbe,
  openEmbeddedStore,
  openEnvironment,
  openErasable,
  openHeaderStore,
  openKeystore,
  SPACE_RESERVE_BYTES,
} from '../../storage/index.ts';
import { diagnose, diskSpace, type Finding, StatusSchema } from '../diagnosis.ts';
import { EXIT, paint } from '../output.ts';
import { type CommonOptions, runs } from '../run.ts';

interface DoctorOptions extends CommonOptions {
  readonly url?: string;
  readonly config?: string;
}

const STATUS_TIMEOUT_MS = 10_000;
const COLOURS = { good: 'green', note: 'yellow', bad: 'red' } as const;

export function doctorCommand(program: Command): void {
  runs<DoctorOptions>(
    program
      .command('doctor')
      .description(
        'tell in words how a node is, and what an operator should do; exit code 1 when something is to be done',
      )
      .option('--url <url>', 'gateway of a running node')
      .option('--config <file>', 'configuration of a node on this machine, running or stopped'),
    async (output, { url, config }) => {
      if ((url === undefined) === (config === undefined))
        throw new CodedError('cli.usage', 'give either --url or --config');
      const findings =
        config === undefined ? await judgeUrl(url ?? '') : await judgeConfig(await readNodeConfig(config));
      const ok = findings.every(({ grade }) => grade !== 'bad');
      output.result({ ok, findings }, () => findings.map(line).join('\n'));
      return ok ? EXIT.ok : EXIT.failed;
    },
  );
}

function line({ part, grade, says, todo }: Finding): string {
  const text = `${paint(COLOURS[grade], grade.padEnd(5))} ${part.padEnd(12)} ${says}`;
  return todo === '' ? text : `${text}\n${' '.repeat(19)}-> ${todo}`;
}

async function judgeUrl(url: string): Promise<Finding[]> {
  let json: unknown;
  try {
    const answer = await fetch(new URL('/status', url), { signal: AbortSignal.timeout(STATUS_TIMEOUT_MS) });
    json = await answer.json();
  } catch {
    return [
      {
        part: 'node',
        grade: 'bad',
        says: `nothing answers at ${url}`,
        todo: 'start the node: hippocrypt node --config FILE; if it runs, check "rest" of its configuration',
      },
    ];
  }
  const status = StatusSchema.safeParse(json);
  if (status.success) {
    const { member } = status.data;
    return [
      { part: 'node', grade: 'good', says: `${member} answers at ${url}`, todo: '' },
      ...diagnose(status.data),
    ];
  }
  return [
    {
      part: 'node',
      grade: 'bad',
      says: `what answers at ${url} is no node of this version`,
      todo: 'check the URL and the versions',
    },
  ];
}

async function judgeConfig(config: NodeConfig): Promise<Finding[]> {
  const { host, port } = config.rest;
  const stores = await judgeStores(config);
  const running = await judgeUrl(`http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`);
  const isJudged = running.some(({ part }) => part === 'disk');
  if (isJudged || !existsSync(config.dir)) return [...stores, ...running];
  const freeBytes = fileSystemProbe(config.dir)();
  return [...stores, diskSpace({ freeBytes, reserveBytes: SPACE_RESERVE_BYTES, waiting: false }), ...running];
}

/** Opens each store of a stopped node and closes it again; of a running one it says that they are in use. */
async function judgeStores(config: NodeConfig): Promise<Finding[]> {
  const { dir } = config;
  const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
  const openers: Readonly<Record<string, () => Promise<{ close(): Promise<void> }>>> = {
    keystore: async () => openKeystore(join(dir, 'keystore'), await readUnlock(config.unlock), { random }),
    ledger: async () => openEnvironment(join(dir, 'ledger'), { tables: [] }),
    node: async () => openEnvironment(join(dir, 'node'), { tables: [] }),
    headers: () => openHeaderStore(join(dir, 'headers'), { random }),
    staging: () => openErasable(join(dir, 'staging'), { random }),
    ...(config.payloads?.kind === 'kubo'
      ? {}
      : { blocks: async () => openEmbeddedStore(join(dir, 'blocks')) }),
  };
  const findings: Finding[] = [];
  for (const [name, open] of Object.entries(openers)) findings.push(await judgeStore(dir, name, open));
  return findings;
}

async function judgeStore(
  dir: string,
  name: string,
  open: () => Promise<{ close(): Promise<void> }>,
): Promise<Finding> {
  const part = `store ${name}`;
  if (!existsSync(join(dir, name))) {
    const isKeystore = name === 'keystore';
    return {
      part,
      grade: isKeystore ? 'bad' : 'note',
      says: 'is not there',
      todo: isKeystore
        ? 'make the member with hippocrypt init, or restore it from a backup'
        : 'nothing before the first start; later: restore the node from a backup',
    };
  }
  try {
    await (await open()).close();
    return { part, grade: 'good', says: 'opens', todo: '' };
  } catch (error) {
    if (hasCode(error, 'storage.locked'))
      return { part, grade: 'good', says: 'in use by a running node', todo: '' };
    const code = error instanceof CodedError ? error.code : String(error);
    const todo = hasCode(error, 'storage.keystore_locked')
      ? 'give the key file or passphrase with which it was made, in "unlock" of the configuration'
      : 'check the disk; if it is sound, restore the node from a backup';
    return { part, grade: 'bad', says: `does not open: ${code}`, todo };
  }
}
