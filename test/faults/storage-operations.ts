/**
 * The operations in whose middle a member is killed. Each begins something at the real node, says when it is over, and knows
 * afterwards, with the member started again, what must hold of it.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { planFiles, runImport } from '../../src/cli/import.ts';
import type { Gateway } from '../../src/client/index.ts';
import type { Random } from '../../src/consensus/sim/random.ts';
import type { Consortium } from './consortium.ts';
import type { Member } from './member.ts';
import {
  type Book,
  type Content,
  codeOf,
  conditionOf,
  type Kept,
  openProblem,
  type PutAnswer,
  putBody,
} from './storage-book.ts';
import { caughtUp, erasureProblem } from './storage-checks.ts';

export interface Stage {
  readonly consortium: Consortium;
  readonly victim: Member;
  readonly book: Book;
  readonly random: Random;
  readonly command: string;
  readonly dir: string;
  /** The custodian's author and registrar, a nurse, a researcher: all in the custody of the victim's gateway. */
  readonly author: Gateway;
  readonly nurse: Gateway;
  reader(member: string): Gateway;
  /** A name that no other moment has. */
  name(): string;
}

export interface Started {
  /** Resolves when the operation is over, whether it succeeded or failed. */
  readonly over: Promise<unknown>;
  /** The process to kill; the victim's node unless the operation has one of its own. */
  kill(): Promise<void>;
  /** With the victim running again: what does not hold. */
  check(): Promise<readonly (string | undefined)[]>;
}

export interface Operation {
  readonly name: string;
  /** What must be there before it can begin, such as a record to erase. Not part of the operation. */
  prepare?(stage: Stage): Promise<void>;
  begin(stage: Stage): Promise<Started>;
}

const NOTE_MS = 30_000;

async function putUnderKey(
  author: Gateway,
  contents: readonly Content[],
  key: string,
): Promise<readonly string[]> {
  const { records } = await author.json<PutAnswer>('POST', '/v1/records', {
    body: putBody(contents),
    headers: { 'idempotency-key': key },
    timeoutMs: NOTE_MS,
  });
  return records;
}

/** The same list under the same key is complete, opens, and stands on the ledger once. */
async function putIsWhole(
  { author, nurse, book, random }: Stage,
  contents: readonly Content[],
  key: string,
  acknowledged: readonly string[] | undefined,
): Promise<string[]> {
  try {
    const records = await putUnderKey(author, contents, key);
    const problems: (string | undefined)[] = [];
    if (acknowledged !== undefined && acknowledged.join() !== records.join())
      problems.push('the list was acknowledged under other ids before');
    book.add(records, contents);
    const some = [records[0], random.pick(records)];
    for (const record of some) {
      const kept = book.get(record);
      if (kept !== undefined) problems.push(await openProblem(nurse, kept));
    }
    return problems.filter((one) => one !== undefined);
  } catch (error) {
    return [`the list cannot be put again: ${codeOf(error)}`];
  }
}

/** A list of small records and one of several blocks. */
const put: Operation = {
  name: 'put',
  async begin(stage) {
    const { author, random, victim } = stage;
    const key = `moment-${stage.name()}`;
    const contents = Array.from({ length: 6 }, (_, i) =>
      conditionOf(random, `${key}-${i}`, i === 0 ? 1_500_000 : 2_000),
    );
    let acknowledged: readonly string[] | undefined;
    const over = putUnderKey(author, contents, key).then(
      (records) => {
        acknowledged = records;
      },
      () => undefined,
    );
    return {
      over,
      kill: () => victim.kill(),
      check: async () => putIsWhole(stage, contents, key, acknowledged),
    };
  },
};

/** `hippocrypt import`, by the code of the command: a file of resources, sealed and stored in lists. */
const importing: Operation = {
  name: 'import',
  async begin(stage) {
    const { author, random, victim, dir, book, nurse } = stage;
    const name = `import-${stage.name()}`;
    const contents = Array.from({ length: 160 }, (_, i) => conditionOf(random, `${name}-${i}`, 300));
    const byText = new Map(contents.map((content) => [content.text, content]));
    const path = join(dir, `${name}.ndjson`);
    writeFileSync(path, contents.map(({ text }) => `${text}\n`).join(''));
    const run = async (): Promise<Kept[]> => {
      const kept: Kept[] = [];
      await runImport({
        plan: await planFiles({ paths: [path] }, ['mercy']),
        gateways: new Map([['mercy', author]]),
        progress: { add: () => undefined, end: () => undefined },
        onRecord: ({ record, resource }) => {
          const content = byText.get(new TextDecoder().decode(resource.bytes));
          if (content === undefined) throw new Error('the import put something that is not in the file');
          kept.push({ record, erased: false, ...content });
        },
      });
      return kept;
    };
    const over = run().then(
      () => undefined,
      () => undefined,
    );
    return {
      over,
      kill: () => victim.kill(),
      async check() {
        try {
          const kept = await run();
          for (const one of kept) book.add([one.record], [one]);
          const ids = new Set(kept.map(({ record }) => record));
          rmSync(path);
          return [
            ids.size === contents.length ? undefined : `${ids.size} records of ${contents.length} resources`,
            await openProblem(nurse, random.pick(kept)),
          ];
        } catch (error) {
          return [`the import cannot be finished: ${codeOf(error)}`];
        }
      },
    };
  },
};

/** Flush and merge of the index, which begin by themselves when records have come. */
const merging: Operation = {
  name: 'index',
  async begin(stage) {
    const { author, random, victim, book } = stage;
    const key = `index-${stage.name()}`;
    const contents = Array.from({ length: 48 }, (_, i) => conditionOf(random, `${key}-${i}`, 100));
    book.add(await putUnderKey(author, contents, key), contents);
    return {
      over: caughtUp(victim),
      kill: () => victim.kill(),
      check: async () => [await caughtUp(victim)],
    };
  },
};

/** What a command of the house said. */
interface Said {
  readonly code: number | null;
  readonly stderr: string;
}

function runCommand(command: string, args: readonly string[]): { done: Promise<Said>; kill(): void } {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const done = new Promise<Said>((resolve) => child.once('close', (code) => resolve({ code, stderr })));
  return { done, kill: () => child.kill('SIGKILL') };
}

/** A restored directory holds the stores of a node; a refusal names its reason. */
async function restoreProblem(stage: Stage, repository: string, must: boolean): Promise<string | undefined> {
  const { problem, refused } = await restored(stage, repository);
  return (
    problem ?? (must && refused !== undefined ? `restore refuses a finished backup: ${refused}` : undefined)
  );
}

/** A restore into a new place: what is wrong with it, or in which words it was refused, or neither. */
async function restored(
  { command, dir, victim }: Stage,
  repository: string,
): Promise<{ problem?: string; refused?: string }> {
  const to = join(dir, 'restored');
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  const config = join(dir, 'restored.json');
  const original = JSON.parse(readFileSync(victim.config, 'utf8')) as Record<string, unknown>;
  writeFileSync(config, JSON.stringify({ ...original, dir: to }));
  const { code, stderr } = await runCommand(command, [
    'restore',
    ...['--config', config, '--from', repository, '--key-file', join(dir, 'backup.key')],
  ]).done;
  rmSync(to, { recursive: true, force: true });
  if (code === 0) return {};
  const named = /error [a-z_]+\.[a-z_]+/.test(stderr);
  return named
    ? { refused: stderr }
    : { problem: `restore ended with ${code} and named no reason: ${stderr}` };
}

/** `hippocrypt backup` of the stopped member: the command is killed, then run again. */
const backingUp: Operation = {
  name: 'backup stopped',
  async prepare({ victim }) {
    await victim.stop();
  },
  async begin(stage) {
    const { victim, command, dir } = stage;
    const repository = join(dir, 'cold');
    const args = [
      'backup',
      '--config',
      victim.config,
      '--to',
      repository,
      '--key-file',
      join(dir, 'backup.key'),
    ];
    const running = runCommand(command, args);
    return {
      over: running.done,
      async kill() {
        running.kill();
        await running.done;
      },
      async check() {
        const after = await restoreProblem(stage, repository, false);
        await victim.stop();
        const { code, stderr } = await runCommand(command, args).done;
        const again =
          code === 0
            ? await restoreProblem(stage, repository, true)
            : `a backup after a killed one: ${stderr}`;
        victim.start();
        await victim.ready();
        return [after, again];
      },
    };
  },
};

/** The backup that a running node makes by itself when the newest is too old: here, at its start. */
const backingUpLive: Operation = {
  name: 'backup live',
  async prepare({ victim, dir }) {
    await victim.stop();
    rmSync(join(dir, 'live'), { recursive: true, force: true });
    victim.start();
    await victim.seen('node.share', NOTE_MS);
  },
  async begin(stage) {
    const { victim, dir } = stage;
    const made = async (): Promise<string | undefined> => {
      const until = performance.now() + NOTE_MS;
      while (performance.now() < until) {
        const failed = victim.events.find(({ event }) => event === 'backup.failed');
        if (failed !== undefined) return `the node's own backup failed: ${String(failed.error)}`;
        if (victim.events.some(({ event }) => event === 'backup.made')) return undefined;
        await delay(20);
      }
      return 'the node made no backup';
    };
    return {
      over: made(),
      kill: () => victim.kill(),
      async check() {
        const { problem, refused } = await restored(stage, join(dir, 'live'));
        // The kill came after the last byte: a whole backup is there, and the next one is not due yet.
        if (problem === undefined && refused === undefined) return [];
        const own = await made();
        return [problem, own, own ?? (await restoreProblem(stage, join(dir, 'live'), true))];
      },
    };
  },
};

/** Erasure of three records: the entry, then headers, staged keywords and payloads on every holder, then Destroyed. */
const erasing: Operation = {
  name: 'erase',
  async prepare({ author, random, book, ...stage }) {
    const key = `erase-${stage.name()}`;
    const contents = Array.from({ length: 3 }, (_, i) => conditionOf(random, `${key}-${i}`, 400_000));
    book.add(await putUnderKey(author, contents, key), contents);
  },
  async begin(stage) {
    const { author, victim, book, consortium, nurse, reader } = stage;
    const chosen = book.living.slice(-3);
    const acknowledged = new Set<Kept>();
    const erase = async (kept: Kept): Promise<void> => {
      await author.json('DELETE', `/v1/records/${kept.record}`, {
        body: { reason: 'order' },
        timeoutMs: NOTE_MS,
      });
      acknowledged.add(kept);
    };
    const over = Promise.allSettled(chosen.map(erase)).then(() => caughtUp(victim));
    return {
      over,
      kill: () => victim.kill(),
      async check() {
        const problems: (string | undefined)[] = [await caughtUp(victim)];
        for (const kept of chosen) {
          const { erased } = await author.json<{ erased: boolean }>('GET', `/v1/records/${kept.record}`);
          if (acknowledged.has(kept) && !erased) problems.push(`the erasure of ${kept.record} is forgotten`);
          kept.erased = erased;
          // The entry may be ordered and not yet applied everywhere: what is told at one member is waited for at all.
          problems.push(
            erased
              ? await settled(() => erasureProblem(consortium, reader, kept))
              : await openProblem(nurse, kept),
          );
        }
        return problems;
      },
    };
  },
};

async function settled(problem: () => Promise<string | undefined>): Promise<string | undefined> {
  const until = performance.now() + NOTE_MS;
  for (;;) {
    const found = await problem();
    if (found === undefined || performance.now() > until) return found;
    await delay(100);
  }
}

export const STORAGE_OPERATIONS: readonly Operation[] = [
  put,
  importing,
  merging,
  erasing,
  backingUp,
  backingUpLive,
];
