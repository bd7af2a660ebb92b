/**
 * A small deterministic state machine for the simulator and the tests: requests carry a client, a nonce, an expiry and
 * an operation; state is the set of used nonces and a running hash. It has no client signatures: authenticity of
 * requests is the real application's part.
 */
import { hash } from 'node:crypto';
import type {
  Application,
  BlockStore,
  DecidedBlock,
  ExecutionContext,
  ExecutionResult,
  RequestInfo,
  Tip,
} from '../application.ts';
import { ConsensusError } from '../errors.ts';
import { Reader, Writer } from '../wire/bytes.ts';
import { decodeBlock } from '../wire/codec.ts';

/** What a request of the test application says. */
export interface SimRequest {
  readonly client: number;
  readonly nonce: number;
  /** Block time, milliseconds. */
  readonly expiresAt: number;
  /** New validator keys when the request changes the set. */
  readonly validators?: readonly Uint8Array[];
  /** Keys that may not lead any more. */
  readonly barred?: readonly Uint8Array[];
  readonly payload: Uint8Array;
}

function writeKeys(writer: Writer, keys: readonly Uint8Array[] | undefined): void {
  writer.u16(keys?.length ?? 0);
  for (const key of keys ?? []) writer.fixed(key);
}

function readKeys(reader: Reader): Uint8Array[] {
  const count = reader.count16(64);
  return Array.from({ length: count }, () => reader.fixed(32));
}

export function encodeSimRequest(request: SimRequest): Uint8Array {
  const writer = new Writer().u32(request.client).u64(request.nonce).u64(request.expiresAt);
  writeKeys(writer, request.validators);
  writeKeys(writer, request.barred);
  return writer.bytes(request.payload).finish();
}

export function decodeSimRequest(bytes: Uint8Array): SimRequest {
  const reader = new Reader(bytes);
  const request = {
    client: reader.u32(),
    nonce: reader.u64(),
    expiresAt: reader.u64(),
    validators: readKeys(reader),
    barred: readKeys(reader),
    payload: reader.bytes(1 << 20),
  };
  reader.end();
  return request;
}

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(hash('sha256', Buffer.concat(parts), 'buffer'));

/** Longest time after a block's own that what it grants is released (ledger-security rule 24). */
export const RELEASE_MS = 10 * 60_000;

interface State {
  readonly root: Uint8Array;
  readonly log: Uint8Array;
  readonly size: number;
}

/** Keeps its own blocks, so it is its own block store; what it holds is what its disk holds. */
export class SimApplication implements Application, BlockStore {
  readonly blocks = new Map<number, Uint8Array>();
  readonly cosignatures: { from: string; height: number }[] = [];
  readonly evidence: Uint8Array[] = [];
  /** (client, nonce) -> height, of every executed request. */
  readonly used = new Map<string, number>();
  /** Ids in order of execution. */
  readonly executed: string[] = [];
  readonly executedIds = new Set<string>();
  /** Where the exactly-once key is left out, an id may be used again only when it is another. */
  readonly #nonceUnchecked: boolean;
  #state: State = { root: new Uint8Array(32), log: new Uint8Array(32), size: 0 };
  readonly #resumes = new Map<number, Uint8Array>();
  #tip: Tip | undefined;

  constructor(nonceUnchecked = false) {
    this.#nonceUnchecked = nonceUnchecked;
  }

  idOf(bytes: Uint8Array): Uint8Array {
    return sha256(bytes);
  }

  inspect(bytes: Uint8Array): RequestInfo {
    const request = decodeSimRequest(bytes);
    const info = {
      id: this.idOf(bytes),
      client: String(request.client),
      nonce: String(request.nonce),
      expiresAt: request.expiresAt,
    };
    if (this.#isUsed(info)) {
      throw new ConsensusError('consensus.nonce_used', 'expected an unused nonce');
    }
    return info;
  }

  async check(bytes: Uint8Array): Promise<RequestInfo> {
    return this.inspect(bytes);
  }

  stillValid(info: RequestInfo, blockTime: number): boolean {
    return info.expiresAt > blockTime && !this.#isUsed(info);
  }

  #isUsed(info: RequestInfo): boolean {
    if (this.#nonceUnchecked) return this.executedIds.has(Buffer.from(info.id).toString('hex'));
    return this.used.has(`${info.client}/${info.nonce}`);
  }

  run(context: ExecutionContext, batch: readonly Uint8Array[]): ExecutionResult {
    let { root, log, size } = this.#state;
    let nextValidators: readonly Uint8Array[] | undefined;
    let barred: readonly Uint8Array[] | undefined;
    root = sha256(root, new Writer().u64(context.height).u64(context.time).u16(context.proposer).finish());
    for (const bytes of batch) {
      const request = decodeSimRequest(bytes);
      root = sha256(root, bytes);
      log = sha256(log, sha256(bytes));
      size += 1;
      if (request.validators !== undefined && request.validators.length > 0)
        nextValidators = request.validators;
      if (request.barred !== undefined && request.barred.length > 0) barred = request.barred;
    }
    return {
      ok: true,
      stateRoot: root,
      logRoot: log,
      treeSize: size,
      ...(nextValidators && { nextValidators }),
      ...(barred && { barred }),
    };
  }

  async execute(context: ExecutionContext, batch: readonly Uint8Array[]): Promise<ExecutionResult> {
    return this.run(context, batch);
  }

  apply(block: Pick<DecidedBlock, 'height' | 'header' | 'batch' | 'resume'>): Uint8Array {
    const { header } = block;
    if (this.#tip === undefined || block.height === this.#tip.height + 1) {
      const result = this.run(header, block.batch);
      if (!result.ok) throw new Error(result.reason);
      this.#state = { root: result.stateRoot, log: result.logRoot, size: result.treeSize };
      for (const bytes of block.batch) {
        const request = decodeSimRequest(bytes);
        this.used.set(`${request.client}/${request.nonce}`, block.height);
        const id = Buffer.from(sha256(bytes)).toString('hex');
        this.executed.push(id);
        this.executedIds.add(id);
      }
      this.#tip = { height: block.height, resume: block.resume };
      this.#resumes.set(block.height, block.resume);
    }
    return sha256(this.#state.root, this.#state.log);
  }

  async commit(block: DecidedBlock): Promise<{ cosignature: Uint8Array }> {
    return { cosignature: this.apply(block) };
  }

  /** Flips a bit of the state, as a bad memory or an undetected bug would. */
  corrupt(): void {
    const root = this.#state.root.slice();
    root[0] ^= 1;
    this.#state = { ...this.#state, root };
  }

  /** Takes over the state of `other` as it was after `height`. */
  restoreFrom(other: SimApplication, height: number): void {
    for (let at = 1; at <= height; at++) {
      const resume = other.#resumes.get(at);
      const encoded = other.blocks.get(at);
      if (resume === undefined || encoded === undefined) throw new Error(`no block ${at} to restore`);
      const { proposal } = decodeBlock(encoded);
      this.apply({ height: at, header: proposal.header, batch: proposal.batch, resume });
      this.blocks.set(at, encoded);
    }
  }

  onCosignature(from: string, height: number): void {
    this.cosignatures.push({ from, height });
  }

  onEvidence(evidence: Uint8Array): void {
    this.evidence.push(evidence);
  }

  async tip(): Promise<Tip | undefined> {
    return this.#tip;
  }

  get resume(): Tip | undefined {
    return this.#tip;
  }

  async get(height: number): Promise<Uint8Array | undefined> {
    return this.blocks.get(height);
  }

  async put(height: number, encoded: Uint8Array): Promise<void> {
    this.blocks.set(height, encoded);
  }
}
