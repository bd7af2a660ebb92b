/**
 * The custodians' indexes as a client reads them from its own node: where each stands is proven by the ledger's state,
 * all of them in one request; manifests, segments and record numbers are fetched when they are not held already.
 */
import { equalBytes, fromBase64url, toHex } from '../codec/bytes.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import type { Checkpoint } from '../ledger/verify/index.ts';
import {
  type CustodianIndex,
  decodeManifest,
  type FetchPolicy,
  type Manifest,
  PatientNumbers,
  SegmentReader,
  type SegmentSource,
} from '../search/index.ts';
import type { Context } from './context.ts';
import type { NumberRow, NumberTable } from './number-table.ts';
import { type Chained, Numbers } from './numbers.ts';
import type { Proven } from './proven.ts';
import { type IndexFetch, readerPolicy, segmentSource } from './segment-source.ts';

/** How often a manifest is asked for that is not the proven one: the ledger may have moved on meanwhile. */
const ATTEMPTS_MAX = 3;

/** What the ledger's state says of a custodian's index; manifest null where it proves that there is none yet. */
interface Head {
  readonly manifestHash: Uint8Array | null;
  readonly records: number;
  readonly numbers: Chained | null;
  readonly dead: Chained | null;
  readonly checkpoint: Checkpoint;
  /** The bound that it was asked under. */
  readonly maxAgeMs: number | undefined;
}

interface HeldIndex {
  /** Hash of the manifest, hexadecimal. */
  readonly hash: string;
  readonly manifest: Manifest;
  readonly readers: Map<string, SegmentReader>;
}

export class IndexCopies {
  readonly #context: Context;
  readonly #proven: Proven;
  readonly #source: (custodian: string) => SegmentSource;
  readonly #policy: FetchPolicy;
  readonly #heads = new Map<string, Head>();
  readonly #indexes = new Map<string, HeldIndex>();
  readonly #numbers: Numbers;
  readonly #rows = new Map<string, NumberTable>();

  constructor(context: Context, proven: Proven, policy: IndexFetch) {
    this.#context = context;
    this.#policy = readerPolicy(policy);
    this.#proven = proven;
    this.#numbers = new Numbers(context, new PatientNumbers());
    const own = segmentSource(context.gateway);
    this.#source = (custodian) => (policy === 'direct' ? segmentSource(context.gateway, custodian) : own);
  }

  /**
   * Has the newest state of all these custodians' indexes proven, at most `maxAgeMs` old, and answers as of when. Throws
   * `client.unproven`, `checkpoint.*`.
   */
  async refresh(custodians: readonly string[], maxAgeMs?: number): Promise<Checkpoint> {
    const names = ['index', 'counter', 'numbers', 'dead'];
    const keys = custodians.flatMap((custodian) => names.map((name) => `${name}/${custodian}`));
    const { values, checkpoint } = await this.#proven.statesAt(keys, maxAgeMs);
    custodians.forEach((custodian, i) => {
      // Answers may overtake each other: what is held never gets older.
      if ((this.#heads.get(custodian)?.checkpoint.height ?? 0) > checkpoint.height) return;
      const [index, counter, numbers, dead] = values.slice(i * names.length) as [
        { manifestHash: Uint8Array } | null,
        number | null,
        Chained | null,
        Chained | null,
      ];
      this.#heads.set(custodian, {
        manifestHash: index?.manifestHash ?? null,
        records: counter ?? 0,
        numbers,
        dead,
        checkpoint,
        maxAgeMs,
      });
    });
    return checkpoint;
  }

  /**
   * The custodian's index as of the last `refresh`, or of a newer one. Throws `search.manifest_*`,
   * `search.numbers_unproven` and what the gateway answers.
   */
  async index(custodian: string): Promise<Omit<CustodianIndex, 'secretOf'>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#asProven(custodian);
      } catch (error) {
        if (!hasCode(error, 'search.manifest_hash') || attempt === ATTEMPTS_MAX) throw error;
        await this.refresh([custodian], this.#heads.get(custodian)?.maxAgeMs);
      }
    }
  }

  async #asProven(custodian: string): Promise<Omit<CustodianIndex, 'secretOf'>> {
    const head = this.#heads.get(custodian);
    if (head === undefined) throw new CodedError('member.unknown', `nothing was asked of ${custodian}`);
    const [{ manifest, readers }, { rows, dead }] = await Promise.all([
      this.#held(custodian, head),
      this.#numbers.of(custodian, head.numbers, head.dead),
    ]);
    this.#rows.set(custodian, rows);
    return {
      manifest,
      records: head.records,
      dead,
      readerOf: (meta) => {
        const name = toHex(meta.id);
        const reader = readers.get(name) ?? new SegmentReader(meta, [this.#source(custodian)], this.#policy);
        readers.set(name, reader);
        return reader;
      },
      patients: rows.patients,
    };
  }

  /** Which record stands behind a number of the index that was answered last. */
  row(custodian: string, indexNo: number): NumberRow | undefined {
    return this.#rows.get(custodian)?.at(indexNo);
  }

  /** The manifest that the ledger names, with readers of its segments; those of segments that it keeps stay. */
  async #held(custodian: string, { manifestHash, records }: Head): Promise<HeldIndex> {
    const hash = manifestHash === null ? '' : toHex(manifestHash);
    const held = this.#indexes.get(custodian);
    if (held?.hash === hash) return held;
    const manifest =
      manifestHash === null
        ? { custodian, seq: 0, segments: [] }
        : await this.#manifest(custodian, manifestHash, records);
    const readers = new Map<string, SegmentReader>();
    for (const { id, root } of manifest.segments) {
      const reader = held?.readers.get(toHex(id));
      if (reader !== undefined && equalBytes(reader.meta.root, root)) readers.set(toHex(id), reader);
    }
    const next = { hash, manifest, readers };
    this.#indexes.set(custodian, next);
    return next;
  }

  async #manifest(custodian: string, hash: Uint8Array, records: number): Promise<Manifest> {
    const path = `/v1/search/manifests/${custodian}`;
    const { manifest } = await this.#context.gateway.json<{ manifest: string }>('GET', path);
    return decodeManifest(fromBase64url(manifest), { hash, records });
  }
}
