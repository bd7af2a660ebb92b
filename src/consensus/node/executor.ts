/**
 * The driver's dealings with the application: admission, building, examining, applying. Calls to `execute` and
 * `commit` never overlap. Requests that passed `check` are remembered by the hash of their bytes, so that each is
 * authenticated once, at pool entry, and not again in the batch.
 */
import { hash } from 'node:crypto';
import type { Application, BlockStore, DecidedBlock, ExecutionResult } from '../application.ts';
import { advance, type Chain, encodeChain } from '../chain.ts';
import type { Effect, PooledRequest, Verdict } from '../core/types.ts';
import { POOL_COUNT_MAX, PROTOCOL_VERSION } from '../limits.ts';
import { hashOf, toHex } from '../wire/bytes.ts';
import { batchHash, encodeBatch, encodeBlock, encodeQc, makeProposal, qcHash } from '../wire/codec.ts';
import type { Header } from '../wire/header.ts';
import type { Block, Proposal } from '../wire/messages.ts';
import type { Verifier } from './verifier.ts';

type Build = Extract<Effect, { t: 'build' }>;
type Validate = Extract<Effect, { t: 'validate' }>;
type Executed = Extract<ExecutionResult, { ok: true }>;

/** Requests remembered as admitted. */
const KNOWN_MAX = 2 * POOL_COUNT_MAX;
/** Executions of the open height remembered: the accepted header, the locked one and a few candidates. */
const EXECUTED_MAX = 8;

/** What was applied. */
export interface Applied {
  readonly chain: Chain;
  /** Ids of the block's requests by index; undefined where this node never admitted the request. */
  readonly ids: readonly (string | undefined)[];
  /** `requestName` of the block's requests by index. */
  readonly names: readonly string[];
  readonly cosignature: Uint8Array | undefined;
  /** Settles when the application has the block on its disk; absent when it has already. */
  readonly durable: Promise<void> | undefined;
}

export type Built = { readonly proposal: Proposal } | { readonly drop: readonly string[] };

export class Executor {
  readonly #application: Application;
  readonly #blocks: BlockStore;
  readonly #verifier: Verifier;
  readonly #known = new Map<string, PooledRequest>();
  readonly #executed = new Map<string, Executed>();
  readonly #names = new WeakMap<Proposal, readonly string[]>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(application: Application, blocks: BlockStore, verifier: Verifier) {
    this.#application = application;
    this.#blocks = blocks;
    this.#verifier = verifier;
  }

  /** Admits request bytes, which are not written into any more; rejects with the application's error. */
  async admit(bytes: Uint8Array, name = requestName(bytes)): Promise<PooledRequest> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const info = await this.#application.check(bytes);
    const request: PooledRequest = { id: toHex(info.id), info, bytes };
    if (this.#known.size >= KNOWN_MAX) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    this.#known.set(name, request);
    return request;
  }

  /** The request of this `requestName`, if it was admitted before. */
  known(name: string): PooledRequest | undefined {
    return this.#known.get(name);
  }

  /** `requestName` of each request of a proposal, taken once for all that is done with it. */
  #namesOf(proposal: Proposal): readonly string[] {
    const before = this.#names.get(proposal);
    if (before !== undefined) return before;
    const names = proposal.batch.map(requestName);
    this.#names.set(proposal, names);
    return names;
  }

  #exclusive<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when no call is under way. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #remember(hash: string, result: Executed): void {
    this.#executed.set(hash, result);
    if (this.#executed.size <= EXECUTED_MAX) return;
    for (const oldest of this.#executed.keys()) {
      this.#executed.delete(oldest);
      return;
    }
  }

  /** Executes the requests on the tip and makes the header; names what to drop when that is impossible. */
  build(effect: Build, chain: Chain): Promise<Built> {
    return this.#exclusive(() => this.#build(effect, chain));
  }

  async #build(effect: Build, chain: Chain): Promise<Built> {
    const { height, proposer, time } = effect;
    const batchBytes = encodeBatch(effect.requests.map((request) => request.bytes));
    const digest = batchHash(batchBytes);
    const result = await this.#application.execute(
      { height, time, proposer, batchHash: digest },
      effect.requests.map((request) => request.bytes),
    );
    if (!result.ok) {
      const { fits, offending } = result;
      // A full block is no fault of what does not fit: that stays in the pool.
      const tried = effect.requests.slice(0, fits);
      if (offending === undefined && tried.length > 0 && tried.length < effect.requests.length) {
        return this.#build({ ...effect, requests: tried }, chain);
      }
      return {
        drop: effect.requests.flatMap(({ id }, i) => ((offending?.includes(i) ?? true) ? [id] : [])),
      };
    }
    const proposal = proposalOf(effect, chain, batchBytes, result);
    this.#remember(proposal.hash, result);
    return { proposal };
  }

  /** Examines a proposal as strictly as its mode asks, then executes it and compares roots. */
  validate(effect: Validate, chain: Chain): Promise<Verdict> {
    return this.#exclusive(async () => {
      const { proposal, mode, qc } = effect;
      if (qc !== undefined && !this.#verifier.certificate(qc, chain.validators)) return 'invalid';
      if (mode !== 'decided' && !this.#parentHolds(proposal, chain)) return 'invalid';
      if (mode === 'fresh' && !(await this.#requestsHold(proposal))) return 'invalid';
      if (this.#executed.has(proposal.hash)) return 'ok';
      const { header } = proposal;
      const result = await this.#application.execute(
        { height: header.height, time: header.time, proposer: header.proposer, batchHash: header.batchHash },
        proposal.batch,
      );
      if (!result.ok) return mode === 'decided' ? 'mismatch' : 'invalid';
      if (!rootsAgree(header, result)) return 'mismatch';
      this.#remember(proposal.hash, result);
      return 'ok';
    });
  }

  #parentHolds(proposal: Proposal, chain: Chain): boolean {
    const { parentQc } = proposal;
    if (parentQc === undefined) return chain.height === 0;
    if (qcHash(chain.qc) === proposal.header.parentQcHash) return true;
    return this.#verifier.certificate(parentQc, chain.lastValidators);
  }

  /** Every request admitted, still valid at the block's time, and none twice by id or nonce. */
  async #requestsHold(proposal: Proposal): Promise<boolean> {
    const ids = new Set<string>();
    const nonces = new Set<string>();
    const names = this.#namesOf(proposal);
    for (const [i, bytes] of proposal.batch.entries()) {
      let request: PooledRequest;
      try {
        request = this.known(names[i]) ?? (await this.admit(bytes, names[i]));
      } catch {
        return false;
      }
      const { info, id } = request;
      const nonce = `${info.client.length}:${info.client}${info.nonce}`;
      if (ids.has(id) || nonces.has(nonce)) return false;
      ids.add(id);
      nonces.add(nonce);
      if (!this.#application.stillValid(info, proposal.header.time)) return false;
    }
    return true;
  }

  /** Applies a decided block and gives the state after it. `identify`: whether unknown ids matter. */
  apply(block: Block, chain: Chain, identify: boolean): Promise<Applied> {
    return this.#exclusive(async () => {
      const { proposal, qc } = block;
      const executed = this.#executed.get(proposal.hash);
      if (executed === undefined) throw new Error('invariant broken: a decided block was not executed');
      const names = this.#namesOf(proposal);
      const ids = await Promise.all(proposal.batch.map((bytes, i) => this.#idOf(bytes, names[i], identify)));
      const next = advance(chain, proposal, qc, executed);
      const decided = decidedBlock(block, next);
      const { cosignature, durable } = await this.#application.commit(decided);
      await this.#blocks.put(decided.height, decided.encoded);
      this.#executed.clear();
      for (const name of names) this.#known.delete(name);
      return { chain: next, ids, names, cosignature, durable };
    });
  }

  async #idOf(bytes: Uint8Array, name: string, identify: boolean): Promise<string | undefined> {
    const known = this.#known.get(name);
    if (known !== undefined || !identify) return known?.id;
    try {
      return toHex((await this.#application.check(bytes)).id);
    } catch {
      return undefined;
    }
  }
}

/** The child of the tip of `chain` that `batchBytes` and its execution make. */
export function proposalOf(effect: Build, chain: Chain, batchBytes: Uint8Array, result: Executed): Proposal {
  const header: Header = {
    version: PROTOCOL_VERSION,
    chainId: chain.chainId,
    epoch: chain.validators.epoch,
    height: effect.height,
    view: effect.view,
    proposer: effect.proposer,
    time: effect.time,
    parentHash: chain.headHash,
    batchHash: batchHash(batchBytes),
    stateRoot: hashOf(result.stateRoot),
    logRoot: hashOf(result.logRoot),
    treeSize: result.treeSize,
    validatorsHash: chain.validators.hash,
    nextValidatorsHash: chain.nextValidators.hash,
    parentQcHash: qcHash(chain.qc),
  };
  return makeProposal(header, batchBytes, chain.qc);
}

/** Whether own execution gives the roots in the header. */
export function rootsAgree(header: Header, result: Executed): boolean {
  return (
    toHex(result.stateRoot) === header.stateRoot &&
    toHex(result.logRoot) === header.logRoot &&
    result.treeSize === header.treeSize
  );
}

/** The block as the application takes it; `next` is the state after it. */
export function decidedBlock(block: Block, next: Chain): DecidedBlock {
  const { proposal, qc } = block;
  return {
    height: proposal.header.height,
    header: proposal.header,
    headerHash: proposal.hash,
    headerBytes: proposal.headerBytes,
    batch: proposal.batch,
    qc: encodeQc(qc),
    parentQc: proposal.parentQc === undefined ? new Uint8Array(0) : encodeQc(proposal.parentQc),
    encoded: encodeBlock(block),
    resume: encodeChain(next),
  };
}

/** Names request bytes in the driver's tables. */
export function requestName(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'binary');
}
