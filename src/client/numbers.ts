/**
 * Which record and patient stands behind each number of a custodian's index, and which numbers are dead. A gateway that
 * could choose them would drop hits, add some, or hand them to another patient; so what it says is folded into the two
 * digests of the ledger's state, `numbers/<custodian>` and `dead/<custodian>`, both proven by the caller. A number never
 * changes what it stands for and death is for ever, so both lists only grow: each answer is checked once.
 */
import { equalBytes, fromHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { EMPTY_CHAIN, nextDeadDigest, nextNumbersDigest } from '../ledger/entries/index.ts';
import type { Context } from './context.ts';

/** Rows and deaths that one request asks for. */
const NUMBERS_PAGE = 1024;
const DEATHS_PAGE = 4096;

/** What the ledger says of a record number. */
export interface NumberRow {
  readonly record: string;
  readonly patient: string | null;
}

/** A count with a digest of that many items, as the state holds them; null in the state while there are none. */
export interface Chained {
  readonly count: number;
  readonly digest: Uint8Array;
}

/** A custodian's numbers, checked. */
export interface NumberFacts {
  readonly rows: readonly NumberRow[];
  /** Dead numbers, increasing. */
  readonly dead: Uint32Array;
}

/** A list that was checked up to here. */
interface Checked<T> {
  readonly items: readonly T[];
  readonly digest: Uint8Array;
}

const NONE: Checked<never> = { items: [], digest: EMPTY_CHAIN };

export class Numbers {
  readonly #context: Context;
  readonly #rows = new Map<string, Checked<NumberRow>>();
  readonly #deaths = new Map<string, Checked<number>>();
  readonly #dead = new Map<string, { readonly count: number; readonly sorted: Uint32Array }>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * The facts that `numbers` and `dead` vouch for. Throws `search.numbers_unproven` when the gateway tells fewer,
   * more, others, or in another order.
   */
  async of(custodian: string, numbers: Chained | null, dead: Chained | null): Promise<NumberFacts> {
    const { gateway } = this.#context;
    const page =
      <T>(route: string, name: string, count: number) =>
      async (from: number): Promise<readonly T[]> => {
        const path = `/v1/search/${route}/${custodian}?from=${from}&count=${count}`;
        return (await gateway.json<Record<string, readonly T[]>>('GET', path))[name];
      };
    const [rows, deaths] = await Promise.all([
      extend(this.#rows, custodian, numbers, page<NumberRow>('numbers', 'numbers', NUMBERS_PAGE), foldRow),
      extend(this.#deaths, custodian, dead, page<number>('deaths', 'deaths', DEATHS_PAGE), nextDeadDigest),
    ]);
    return { rows, dead: this.#sorted(custodian, deaths) };
  }

  #sorted(custodian: string, deaths: readonly number[]): Uint32Array {
    const known = this.#dead.get(custodian);
    if (known?.count === deaths.length) return known.sorted;
    const sorted = Uint32Array.from(deaths).sort();
    this.#dead.set(custodian, { count: deaths.length, sorted });
    return sorted;
  }
}

const foldRow = (digest: Uint8Array, { record, patient }: NumberRow): Uint8Array =>
  nextNumbersDigest(digest, fromHex(record, 32), patient === null ? null : fromHex(patient, 16));

/** The list of `custodian`, taken on from where it was checked to `wanted.count` items with `wanted.digest`. */
async function extend<T>(
  held: Map<string, Checked<T>>,
  custodian: string,
  wanted: Chained | null,
  page: (from: number) => Promise<readonly T[]>,
  fold: (digest: Uint8Array, item: T) => Uint8Array,
): Promise<readonly T[]> {
  const { count, digest: expected } = wanted ?? { count: 0, digest: EMPTY_CHAIN };
  const before: Checked<T> = held.get(custodian) ?? NONE;
  if (before.items.length === count && equalBytes(before.digest, expected)) return before.items;
  // A query of an older state of the same ledger: what was checked against the newer one begins with its list.
  if (before.items.length > count) return before.items.slice(0, count);
  const items = [...before.items];
  let { digest } = before;
  while (items.length < count) {
    const more = (await page(items.length)).slice(0, count - items.length);
    if (more.length === 0) throw unproven(custodian, `${count} expected, ${items.length} told`);
    for (const item of more) {
      try {
        digest = fold(digest, item);
      } catch (cause) {
        throw unproven(custodian, 'one of them is malformed', cause);
      }
      items.push(item);
    }
  }
  if (!equalBytes(digest, expected)) throw unproven(custodian, 'they are not those of the ledger');
  held.set(custodian, { items, digest });
  return items;
}

const unproven = (custodian: string, what: string, cause?: unknown): CodedError =>
  new CodedError(
    'search.numbers_unproven',
    `the record numbers of ${custodian} do not match the ledger's digest: ${what}`,
    { details: { custodian }, ...(cause === undefined ? {} : { cause }) },
  );
