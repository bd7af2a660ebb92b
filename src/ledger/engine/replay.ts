/**
 * The state machine over a ledger that somebody else kept: recomputes every leaf and state root of an export, in
 * memory, in Node or a browser. It is what `verifyLedger` takes as `replay`.
 */
import { compareBytes, toHex, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { decodeRequest } from '../entries/transaction.ts';
import {
  applyBlock,
  applyGenesis,
  type BlockOutcome,
  type MachineHost,
  type NonceState,
  STATE,
  type StateChange,
  type StateKey,
  type StateView,
} from '../machine/index.ts';
import { type KvOp, MemoryStore } from '../ports.ts';
import { STATE_NODE_TABLE, updateState } from '../state-tree/index.ts';
import type { BlockHeader } from '../verify/consensus.ts';
import type { LedgerReplay } from '../verify/ledger.ts';
import { encodeChanges } from './execution.ts';

export class MachineReplay implements LedgerReplay {
  readonly #host: MachineHost;
  readonly #state = new MemoryState();
  readonly #nodes = new MemoryStore();
  #size = 0;

  constructor(host: MachineHost) {
    this.#host = host;
  }

  /** The state after the last block. */
  get state(): StateView {
    return this.#state;
  }

  /** Begins with the genesis leaf. Throws `genesis.invalid` and what `applyGenesis` throws. */
  async genesis(leaf: Uint8Array): Promise<void> {
    const outcome = applyGenesis(decodeLeaf(leaf).tx, this.#host);
    if (compareBytes(outcome.leaves[0].bytes, leaf) !== 0) {
      throw new CodedError('genesis.invalid', 'the leaf is not the one that its document makes');
    }
    await this.#adopt(outcome);
  }

  /** The leaves and the state root that the block must have. Throws the code of a request that is refused. */
  async block(
    header: Pick<BlockHeader, 'height' | 'time'>,
    batch: readonly Uint8Array[],
  ): Promise<{ readonly leaves: readonly Uint8Array[]; readonly stateRoot: Uint8Array }> {
    const { height, time } = header;
    const requests = batch.map(decodeRequest);
    const block = { height, time, firstIndex: this.#size };
    const outcome = applyBlock(this.#state, block, requests, this.#host);
    for (const [i, one] of outcome.outcomes.entries()) {
      if (!one.ok) {
        const id = toHex(requests[i].id);
        throw new CodedError(one.code, `the block holds transaction ${id}, which is refused: ${one.message}`);
      }
    }
    const stateRoot = await this.#adopt(outcome);
    return { leaves: outcome.leaves.map(({ bytes }) => bytes), stateRoot };
  }

  async #adopt({ changes, leaves }: BlockOutcome): Promise<Uint8Array> {
    const { root, ops } = updateState(this.#nodes, encodeChanges(changes));
    // Values are kept decoded; the tree itself only asks for its nodes.
    await this.#nodes.write(ops.filter((op: KvOp) => op.table === STATE_NODE_TABLE));
    this.#state.adopt(changes);
    this.#size += leaves.length;
    return root;
  }
}

const NONCE_PREFIX = STATE.nonce('', '').slice(0, 'nonce/'.length);

/** A whole state in memory. */
class MemoryState implements StateView {
  readonly #values = new Map<string, unknown>();
  /** Nonces by end, then by key; removed ones are dropped when they are met. */
  #nonces: (readonly [expiresAt: number, key: string])[] = [];
  #sorted = true;

  get<T>(key: StateKey<T>): T | undefined {
    // The state machine wrote it under this key, whose type says what it is.
    return this.#values.get(key) as T | undefined;
  }

  expiredNonces(time: number, limit: number): readonly StateKey<NonceState>[] {
    if (!this.#sorted) {
      this.#nonces.sort(([t1, k1], [t2, k2]) => t1 - t2 || compareBytes(utf8(k1), utf8(k2)));
      this.#sorted = true;
    }
    const keys: StateKey<NonceState>[] = [];
    for (const [expiresAt, key] of this.#nonces) {
      if (expiresAt >= time || keys.length === limit) break;
      if (this.#values.has(key)) keys.push(key as StateKey<NonceState>);
    }
    return keys;
  }

  adopt(changes: readonly StateChange[]): void {
    let removed = false;
    for (const [key, value] of changes) {
      if (value !== undefined) this.#values.set(key, value);
      else this.#values.delete(key);
      if (!key.startsWith(NONCE_PREFIX)) continue;
      if (value === undefined) removed = true;
      else {
        this.#nonces.push([(value as NonceState).expiresAt, key]);
        this.#sorted = false;
      }
    }
    if (removed) this.#nonces = this.#nonces.filter(([, key]) => this.#values.has(key));
  }
}
