/** What must hold of a member's stores after it was killed and started again. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Gateway } from '../../src/client/index.ts';
import type { Random } from '../../src/consensus/sim/random.ts';
import type { Consortium } from './consortium.ts';
import type { Member } from './member.ts';
import { type Book, CODES, codeOf, type Kept, openProblem } from './storage-book.ts';

/** How long a started node may take to index what waits and to carry out what it owes. */
const CATCH_UP_MS_MAX = 180_000;
const ASK_MS = 100;

export interface Parts {
  readonly indexer: { readonly covered: number; readonly records: number };
  readonly storage: { readonly waiting: number; readonly erasing: number };
  readonly backup: { readonly newestAt: number | null; readonly failed: string | null } | null;
}

export async function partsOf(member: Member): Promise<Parts | undefined> {
  try {
    const response = await fetch(`${member.url}/status`, { signal: AbortSignal.timeout(3_000) });
    return ((await response.json()) as { parts: Parts }).parts;
  } catch {
    return undefined;
  }
}

/** Until the index covers every committed record and no erasure is open; answers what is still missing. */
export async function caughtUp(member: Member): Promise<string | undefined> {
  const until = performance.now() + CATCH_UP_MS_MAX;
  for (;;) {
    const parts = await partsOf(member);
    const done =
      parts !== undefined && parts.indexer.covered === parts.indexer.records && parts.storage.erasing === 0;
    if (done) return undefined;
    if (performance.now() > until) return `${member.name} does not catch up: ${JSON.stringify(parts)}`;
    await delay(ASK_MS);
  }
}

/** Searches `code` and compares with a plain scan of what was acknowledged. */
export async function indexProblem(
  researcher: Gateway,
  book: Book,
  code: string,
): Promise<string | undefined> {
  try {
    const found = await researcher.json<{ records: { record: string }[]; missing: unknown[] }>(
      'POST',
      '/v1/search/query',
      {
        body: {
          query: `condition:${code}`,
          unit: 'record',
          purpose: 'research',
          custodians: ['mercy'],
          limit: 1000,
        },
        timeoutMs: 60_000,
      },
    );
    const got = found.records.map(({ record }) => record).sort();
    const want = book.withCode(code);
    if (found.missing.length > 0)
      return `search for ${code} lacks an answer: ${JSON.stringify(found.missing)}`;
    const lost = want.filter((record) => !got.includes(record));
    const more = got.filter((record) => !want.includes(record));
    if (lost.length + more.length === 0 && got.length === want.length) return undefined;
    return `search for ${code} finds ${got.length} of ${want.length}: lacks ${lost.length}, has ${more.length} too many`;
  } catch (error) {
    return `search for ${code} failed: ${codeOf(error)}`;
  }
}

/** An erased record is gone on every member: header and payload are refused, and each holder says so on the ledger. */
export async function erasureProblem(
  consortium: Consortium,
  reader: (member: string) => Gateway,
  kept: Kept,
): Promise<string | undefined> {
  for (const { name } of consortium.living) {
    for (const part of ['header', 'payload']) {
      try {
        await reader(name).bytes('GET', `/v1/records/${kept.record}/${part}`);
        return `${name} still gives the ${part} of erased record ${kept.record}`;
      } catch (error) {
        if (codeOf(error) !== 'record.erased')
          return `${part} of ${kept.record} at ${name}: ${codeOf(error)}`;
      }
    }
  }
  const { entries } = await reader('mercy').json<{ entries: unknown[] }>(
    'GET',
    `/v1/ledger/entries?kind=Destroyed&record=${kept.record}&limit=10`,
  );
  return entries.length > 0 ? undefined : `nobody committed that ${kept.record} is destroyed`;
}

/** A sample of what was acknowledged before opens; two codes are searched. */
export async function sampleProblems(
  random: Random,
  book: Book,
  nurse: Gateway,
  researcher: Gateway,
): Promise<string[]> {
  const problems: (string | undefined)[] = [];
  const living = book.living;
  for (let i = 0; i < Math.min(3, living.length); i++)
    problems.push(await openProblem(nurse, random.pick(living)));
  problems.push(await indexProblem(researcher, book, random.pick(CODES)));
  return problems.filter((one) => one !== undefined);
}
