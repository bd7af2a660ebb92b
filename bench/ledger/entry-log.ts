/**
 * The application under measurement: an append-only log of signed entries, durable in LMDB when a block is committed. Small on
 * purpose, so that what is measured is agreement: one signature check an entry, a hash chain as roots, and the block itself.
 */
import { createHash, hash } from 'node:crypto';
import { u64be } from '../../src/codec/bytes.ts';
import {
  type Application,
  type BlockStore,
  ConsensusError,
  type DecidedBlock,
  decodeBlock,
  type ExecutionContext,
  type ExecutionResult,
  type RequestInfo,
  type Tip,
  verifyEd25519,
} from '../../src/consensus/index.ts';
import { WriteBehind } from '../../src/ledger/index.ts';
import { type Environment, openEnvironment } from '../../src/storage/index.ts';

/** A request is a list of entries and one Ed25519 signature. The first entry begins with client key 32 | nonce u64 | expiry u64, ms. */
const ENTRY_BYTES = 192;
const SIGNATURE_BYTES = 64;
/** Most entries under one signature, as in the ledger. */
const ENTRIES_MAX = 64;

const BLOCKS = 'blocks';
const RESUME = 'resume';

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** The bytes of a list of entries that its client signs. What follows the fixed fields is payload. */
export function unsignedEntries(
  client: Uint8Array,
  nonce: number,
  expiresAt: number,
  entries: number,
): Uint8Array {
  const bytes = new Uint8Array(entries * ENTRY_BYTES);
  bytes.set(client, 0);
  bytes.set(u64be(nonce), 32);
  bytes.set(u64be(expiresAt), 40);
  return bytes;
}

function infoOf(request: Uint8Array): RequestInfo {
  const view = Buffer.from(request.buffer, request.byteOffset, request.byteLength);
  return {
    id: hash('sha256', request.subarray(0, -SIGNATURE_BYTES), 'buffer'),
    client: view.toString('latin1', 0, 32),
    nonce: view.toString('latin1', 32, 40),
    expiresAt: Number(view.readBigUInt64BE(40)),
  };
}

const keyOf = (info: Pick<RequestInfo, 'client' | 'nonce'>): string => info.client + info.nonce;
/** Names a request by its client and nonce. */
export const nameOf = (request: Uint8Array): string =>
  Buffer.from(request.buffer, request.byteOffset, 40).toString('latin1');

export class EntryLog implements Application, BlockStore {
  readonly #environment: Environment;
  readonly #store: WriteBehind;
  readonly #used = new Set<string>();
  #root: Uint8Array = new Uint8Array(32);
  #size = 0;
  /** The batch that was executed last, and the root after it. */
  #executed: { readonly batch: readonly Uint8Array[]; readonly root: Uint8Array } | undefined;
  #tip: Tip | undefined;

  constructor(dir: string) {
    this.#environment = openEnvironment(dir, { tables: [BLOCKS, RESUME] });
    this.#store = new WriteBehind(this.#environment);
  }

  /** Entries in the log. */
  get size(): number {
    return this.#size;
  }

  /** Hash over all entries in their order: equal at two members exactly when their logs are. */
  get root(): Uint8Array {
    return this.#root;
  }

  async check(request: Uint8Array): Promise<RequestInfo> {
    const signed = request.subarray(0, -SIGNATURE_BYTES);
    const entries = signed.length / ENTRY_BYTES;
    const isList = Number.isInteger(entries) && entries >= 1 && entries <= ENTRIES_MAX;
    if (!isList || !verifyEd25519(signed.subarray(0, 32), signed, request.subarray(-SIGNATURE_BYTES))) {
      throw new ConsensusError('consensus.request_refused', 'the entry is not signed by its client');
    }
    return infoOf(request);
  }

  stillValid(info: RequestInfo, blockTime: number): boolean {
    return info.expiresAt > blockTime && !this.#used.has(keyOf(info));
  }

  async execute(_context: ExecutionContext, batch: readonly Uint8Array[]): Promise<ExecutionResult> {
    const root = this.#rootAfter(batch);
    this.#executed = { batch, root };
    return { ok: true, stateRoot: root, logRoot: root, treeSize: this.#size + batch.length };
  }

  async commit(block: DecidedBlock): Promise<{ durable?: Promise<void> }> {
    if (this.#tip !== undefined && block.height <= this.#tip.height) return {};
    const height = u64be(block.height);
    await this.#store.write([
      { table: BLOCKS, key: height, value: block.encoded },
      { table: RESUME, key: height, value: block.resume },
    ]);
    this.#root = this.#executed?.batch === block.batch ? this.#executed.root : this.#rootAfter(block.batch);
    this.#executed = undefined;
    this.#size += block.batch.length;
    for (const entry of block.batch) this.#used.add(nameOf(entry));
    this.#tip = { height: block.height, resume: block.resume };
    return { durable: this.#store.durable() };
  }

  /** The hash chain after `batch`, by the entries alone, so that all members agree at whatever height they are read. */
  #rootAfter(batch: readonly Uint8Array[]): Uint8Array {
    return batch.length === 0 ? this.#root : sha256(this.#root, ...batch);
  }

  onCosignature(): void {}

  async tip(): Promise<Tip | undefined> {
    return this.#tip;
  }

  async get(height: number): Promise<Uint8Array | undefined> {
    return this.#store.get(BLOCKS, u64be(height));
  }

  /** Already written with the block. */
  async put(): Promise<void> {}

  /** Names of the requests that the disk holds. */
  async stored(): Promise<Set<string>> {
    await this.#store.durable();
    const names = new Set<string>();
    for (const [, encoded] of this.#environment.range(BLOCKS, {})) {
      for (const request of decodeBlock(encoded).proposal.batch) names.add(nameOf(request));
    }
    return names;
  }

  async close(): Promise<void> {
    await this.#store.durable();
    await this.#environment.close();
  }
}
