/** Seeded randomness, stores in memory and one custodian with its indexer: the ground of the search tests. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { concat, toHex, u32be, utf8 } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import {
  type ByteRange,
  type CustodianIndex,
  decodeManifest,
  encodeManifest,
  type FetchPolicy,
  type FieldKeys,
  type FieldRegistry,
  type FieldSpec,
  type FieldValue,
  fieldRegistry,
  Indexer,
  type IndexProposal,
  KeywordSecrets,
  manifestHash,
  PatientNumbers,
  parseQuery,
  patientMap,
  planQuery,
  type QueryResult,
  type Random,
  recordKeywords,
  runQuery,
  type SecretLookup,
  type SegmentMeta,
  SegmentReader,
  type SegmentSource,
  type SegmentStore,
  segmentName,
} from '../../src/search/index.ts';

/** Deterministic bytes: SHA-256 in counter mode over the seed. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  return (length) => {
    const blocks: Uint8Array[] = [];
    for (let have = 0; have < length; have += 32) blocks.push(sha256(utf8(seed), u32be(counter++)));
    return concat(...blocks).slice(0, length);
  };
}

/** Numbers for test data, from a 32-bit generator (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

export class MemoryStore implements SegmentStore, SegmentSource {
  readonly files = new Map<string, Uint8Array>();

  async putSegment(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, bytes.slice());
  }

  async getSegment(name: string): Promise<Uint8Array> {
    const file = this.files.get(name);
    if (file === undefined) throw new Error('no such file');
    return file;
  }

  async deleteSegment(name: string): Promise<void> {
    this.files.delete(name);
  }

  fetchWhole(name: string): Promise<Uint8Array> {
    return this.getSegment(name);
  }

  async fetchRanges(name: string, ranges: readonly ByteRange[]): Promise<readonly Uint8Array[]> {
    const file = await this.getSegment(name);
    return ranges.map(({ offset, length }) => file.subarray(offset, offset + length));
  }
}

const budget = { perDay: 200, perEpoch: 2000 };

/** One field of each type. */
export const FIELDS: readonly FieldSpec[] = [
  {
    name: 'condition',
    index: { type: 'code', hierarchy: 'prefix', prefix: { min: 2, max: 5 } },
    sensitive: false,
    budget,
  },
  {
    name: 'procedure',
    index: { type: 'code', hierarchy: 'ancestors', prefix: null },
    sensitive: true,
    budget,
  },
  {
    name: 'note',
    index: { type: 'text', weights: true, prefix: { min: 3, max: 6 } },
    sensitive: false,
    budget,
  },
  { name: 'onset', index: { type: 'date', fromYear: 1900, toYear: 2100 }, sensitive: false, budget },
  {
    name: 'glucose',
    index: { type: 'number', grid: { min: '0', step: '0.1', bits: 10, unit: 'mmol/L' } },
    sensitive: false,
    budget,
  },
  { name: 'author', index: { type: 'reference' }, sensitive: false, budget },
  { name: 'kind', index: { type: 'type' }, sensitive: false, budget },
];

export const REGISTRY: FieldRegistry = fieldRegistry(FIELDS);

/** Keys of every field of the registry in `epoch`. */
export function fieldKeys(seed: string, epoch: number, fields: readonly FieldSpec[] = FIELDS): FieldKeys[] {
  return fields.map(({ name }) => ({
    field: name,
    epoch,
    seed: sha256(utf8(`${seed} seed ${name} ${epoch}`)),
    fieldKey: sha256(utf8(`${seed} key ${name} ${epoch}`)),
  }));
}

/** A custodian: its ledger facts, its indexer, its files. */
export class Custodian {
  readonly name: string;
  readonly store = new MemoryStore();
  readonly vault = new MemoryStore();
  readonly keys: FieldKeys[];
  readonly registry: FieldRegistry;
  readonly dead = new Set<number>();
  readonly secrets: KeywordSecrets;
  readonly random: Random;
  indexer: Indexer;
  records = 0;
  readonly patients: (string | undefined)[] = [];
  policy: FetchPolicy = 'pages';

  constructor(name: string, fields: readonly FieldSpec[] = FIELDS, keys = fieldKeys(name, 1, fields)) {
    this.name = name;
    this.registry = fieldRegistry(fields);
    this.keys = [...keys];
    this.random = seededRandom(`custodian ${name}`);
    this.secrets = new KeywordSecrets(name, keys);
    this.indexer = this.open();
  }

  /** Given to indexers that are opened from now on. */
  pause: (() => Promise<void>) | undefined;

  open(manifest?: Indexer['manifest']): Indexer {
    const { name, store, vault, keys, random } = this;
    return new Indexer({
      custodian: name,
      keys,
      store,
      vault,
      vaultKey: sha256(utf8(`vault ${name}`)),
      random,
      ...(manifest === undefined ? {} : { manifest }),
      ...(this.pause === undefined ? {} : { pause: this.pause }),
    });
  }

  addKeys(keys: readonly FieldKeys[]): void {
    for (const one of keys) {
      this.keys.push(one);
      this.secrets.addKeys(one);
      this.indexer.addKeys(one);
    }
  }

  /** Puts one record on the "ledger" and into the indexer. */
  put(values: readonly FieldValue[], patient?: string): number {
    const { keywords, weights } = recordKeywords(this.registry, values);
    this.indexer.add([{ indexNo: this.records, keywords, weights }]);
    this.patients.push(patient);
    return this.records++;
  }

  async flush(): Promise<void> {
    await this.settle(await this.indexer.flush(1_700_000_000_000));
  }

  async mergeAll(purge = false): Promise<number> {
    let merges = 0;
    for (;;) {
      const proposal = await this.indexer.maybeMerge(this.dead, 1_700_000_000_000, { purge });
      if (proposal === undefined) return merges;
      await this.settle(proposal);
      merges++;
    }
  }

  async settle(proposal: IndexProposal | undefined): Promise<void> {
    if (proposal !== undefined) await this.indexer.commit(proposal);
  }

  readonly #readers = new Map<string, SegmentReader>();

  #reader(meta: SegmentMeta): SegmentReader {
    const name = `${segmentName(meta)} ${this.policy}`;
    const known = this.#readers.get(name) ?? new SegmentReader(meta, [this.store], this.policy);
    this.#readers.set(name, known);
    return known;
  }

  /** What a client knows after its checks of ledger state; secrets come from the owner's way for speed. */
  index(
    secretOf: SecretLookup = (keyword, field, epoch) => this.secrets.secretOf(keyword, field, epoch),
  ): CustodianIndex {
    const bytes = encodeManifest(this.indexer.manifest);
    const manifest = decodeManifest(bytes, { hash: manifestHash(bytes), records: this.records });
    return {
      manifest,
      records: this.records,
      dead: Uint32Array.from([...this.dead].sort((a, b) => a - b)),
      secretOf,
      readerOf: (meta) => this.#reader(meta),
      patients: patientMap(
        PATIENTS,
        Array.from({ length: this.records }, (_, number) => this.patients[number]),
      ),
    };
  }
}

/** Of all custodians of a test file. */
const PATIENTS = new PatientNumbers();

export const CLIENT_KEY = sha256(utf8('client key'));

/** Runs a query text over custodians of one registry. */
export function ask(
  text: string,
  unit: 'record' | 'patient',
  custodians: readonly Custodian[],
  top?: number,
): Promise<QueryResult> {
  const plan = planQuery(parseQuery(text), custodians[0].registry);
  return runQuery({
    plan,
    unit,
    custodians: custodians.map((one) => one.index()),
    clientKey: CLIENT_KEY,
    ...(top === undefined ? {} : { top }),
  });
}

/** Folder of shared vectors and FHIR data, or undefined. */
export function sharedFolder(): string | undefined {
  const folder = process.env.HIPPOCRYPT_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));
  return existsSync(folder) ? folder : undefined;
}

export const hexOf = toHex;

/** Expects `act` to throw a CodedError with `code`. */
export function expectCode(act: () => unknown, code: string): void {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `expected ${code}`).toBeInstanceOf(CodedError);
  expect((thrown as CodedError).code).toBe(code);
}

/** The code with which `promise` rejects; fails when it does not. */
export async function rejectionCode(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CodedError);
  return (error as CodedError).code;
}
