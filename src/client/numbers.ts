/**
 * Which record and patient stands behind each number of a custodian's index, and which numbers are dead. A gateway that
 * could choose them would drop hits, add some, or hand them to another patient; so what it says is folded into the two
 * digests of the ledger's state, `numbers/<custodian>` and `dead/<custodian>`, both proven by the caller. A number never
 * changes what it stands for and death is for ever, so both lists only grow: each answer is checked once.
 */
import { equalBytes, fromHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { EMPTY_CHAIN, nextDeadDigest, nextNumbersDigest } from '../ledger/entries/index.ts';
import type { PatientNumbers } from '../search/index.ts';
import type { Context } from './context.ts';
import { NewNumbers, type NumberRow, NumberTable } from './number-table.ts';

/** Rows and deaths that one request asks for. */
const NUMBERS_PAGE = 1024;
const DEATHS_PAGE = 4096;

/** A count with a digest of that many items, as the state holds them; null in the state while there are none. */
export interface Chained {
  readonly count: number;
  readonly digest: Uint8Array;
}

/** A custodian's numbers, checked. */
export interface NumberFacts {
  readonly rows: NumberTable;
  /** Dead numbers, increasing. */
  readonly dead: Uint32Array;
}

/** A list that was checked up to here. */
interface Checked<T> {
  readonly items: T;
  readonly digest: Uint8Array;
}

export class Numbers {
  readonly #context: Context;
  readonly #patients: PatientNumbers;
  readonly #rows = new Map<string, Checked<NumberTable>>();
  readonly #deaths = new Map<string, Checked<readonly number[]>>();
  readonly #dead = new Map<string, { readonly count: number; readonly sorted: Uint32Array }>();

  /** `patients` numbers the patients of all custodians. */
  constructor(context: Context, patients: PatientNumbers) {
    this.#context = context;
    this.#patients = patients;
  }

  /**
   * The facts that `numbers` and `dead` vouch for. Throws `search.numbers_unproven` when the gateway tells fewer,
   * more, others, or in another order.
   */
  async of(custodian: string, numbers: Chained | null, dead: Chained | null): Promise<NumberFacts> {
    const [rows, deaths] = await Promise.all([
      this.#rowsOf(custodian, numbers ?? NONE),
      this.#deathsOf(custodian, dead ?? NONE),
    ]);
    return { rows, dead: this.#sorted(custodian, deaths) };
  }

  async #rowsOf(custodian: string, wanted: Chained): Promise<NumberTable> {
    const before = this.#rows.get(custodian) ?? {
      items: NumberTable.empty(this.#patients),
      digest: EMPTY_CHAIN,
    };
    const { length } = before.items;
    if (isHeld(before, wanted)) return before.items;
    // A query of an older state of the same ledger: what was checked against the newer one begins with its list.
    if (length > wanted.count) return before.items.first(wanted.count);
    const more = new NewNumbers(wanted.count - length);
    await follow<NumberRow>(custodian, { count: length, digest: before.digest }, wanted, {
      page: this.#page('numbers', custodian, NUMBERS_PAGE),
      take: (digest, { record, patient }) => {
        const bytes = fromHex(record, 32);
        const next = nextNumbersDigest(digest, bytes, patient === null ? null : fromHex(patient, 16));
        more.push(bytes, patient);
        return next;
      },
    });
    const items = before.items.with(more);
    this.#rows.set(custodian, { items, digest: wanted.digest });
    return items;
  }

  async #deathsOf(custodian: string, wanted: Chained): Promise<readonly number[]> {
    const before = this.#deaths.get(custodian) ?? { items: [], digest: EMPTY_CHAIN };
    const { length } = before.items;
    if (isHeld(before, wanted)) return before.items;
    if (length > wanted.count) return before.items.slice(0, wanted.count);
    const items = [...before.items];
    await follow<number>(custodian, { count: length, digest: before.digest }, wanted, {
      page: this.#page('deaths', custodian, DEATHS_PAGE),
      take: (digest, indexNo) => {
        items.push(indexNo);
        return nextDeadDigest(digest, indexNo);
      },
    });
    this.#deaths.set(custodian, { items, digest: wanted.digest });
    return items;
  }

  #page<T>(
    name: 'numbers' | 'deaths',
    custodian: string,
    count: number,
  ): (from: number) => Promise<readonly T[]> {
    return async (from) => {
      const path = `/v1/search/${name}/${custodian}?from=${from}&count=${count}`;
      return (await this.#context.gateway.json<Record<string, readonly T[]>>('GET', path))[name];
    };
  }

  #sorted(custodian: string, deaths: readonly number[]): Uint32Array {
    const known = this.#dead.get(custodian);
    if (known?.count === deaths.length) return known.sorted;
    const sorted = Uint32Array.from(deaths).sort();
    this.#dead.set(custodian, { count: deaths.length, sorted });
    return sorted;
  }
}

const NONE: Chained = { count: 0, digest: EMPTY_CHAIN };

const isHeld = ({ items, digest }: Checked<{ readonly length: number }>, wanted: Chained): boolean =>
  items.length === wanted.count && equalBytes(digest, wanted.digest);

/** Takes the items of a list in pages, from where it was checked to the end, which must have `wanted.digest`. */
async function follow<T>(
  custodian: string,
  from: Chained,
  wanted: Chained,
  {
    page,
    take,
  }: {
    readonly page: (from: number) => Promise<readonly T[]>;
    /** The digest of the list up to `item`. */
    readonly take: (digest: Uint8Array, item: T) => Uint8Array;
  },
): Promise<void> {
  let { count, digest } = from;
  while (count < wanted.count) {
    const more = (await page(count)).slice(0, wanted.count - count);
    if (more.length === 0) throw unproven(custodian, `${wanted.count} expected, ${count} told`);
    for (const item of more) {
      try {
        digest = take(digest, item);
      } catch (cause) {
        throw unproven(custodian, 'one of them is malformed', cause);
      }
    }
    count += more.length;
  }
  if (!equalBytes(digest, wanted.digest)) throw unproven(custodian, 'they are not those of the ledger');
}

const unproven = (custodian: string, what: string, cause?: unknown): CodedError =>
  new CodedError(
    'search.numbers_unproven',
    `the record numbers of ${custodian} do not match the ledger's digest: ${what}`,
    { details: { custodian }, ...(cause === undefined ? {} : { cause }) },
  );
