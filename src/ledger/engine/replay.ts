/**
 * The state machine over a ledger that somebody else kept: recomputes every leaf and state root of an export, in
 * memory, in Node or a browser. It is what `verifyLedger` takes as `replay`.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { decodeRequest } from '../entries/transaction.ts';
import {
  applyBlock,
  applyGenesis,
  type BlockOutcome,
  expiredBy,
  type MachineHost,
  type NonceGroup,
  type NonceState,
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
    if (!equalBytes(outcome.leaves[0].bytes, leaf)) {
      throw new CodedError('genesis.invalid', 'the leaf is not the one that its document makes');
    }
    await this.#adopt(outcome.leaves[0].leaf.time, outcome);
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
    const stateRoot = await this.#adopt(time, outcome);
    return { leaves: outcome.leaves.map(({ bytes }) => bytes), stateRoot };
  }

  async #adopt(time: number, { changes, leaves }: BlockOutcome): Promise<Uint8Array> {
    const { root, ops } = updateState(this.#nodes, encodeChanges(changes));
    // Values are kept decoded; the tree itself only asks for its nodes.
    await this.#nodes.write(ops.filter((op: KvOp) => op.table === STATE_NODE_TABLE));
    this.#state.adopt(time, changes);
    this.#size += leaves.length;
    return root;
  }
}

/** A whole state in memory. */
class MemoryState implements StateView {
  readonly #values = new Map<string, unknown>();
  /** Oldest block first. */
  readonly #nonces: NonceGroup[] = [];

  get<T>(key: StateKey<T>): T | undefined {
    // The state machine wrote it under this key, whose type says what it is.
    return this.#values.get(key) as T | undefined;
  }

  expiredNonces(time: number, limit: number): readonly NonceGroup[] {
    const groups: NonceGroup[] = [];
    let count = 0;
    for (const group of this.#nonces) {
      count += group.keys.length;
      if (group.time >= time || (count > limit && groups.length > 0)) break;
      groups.push(group);
    }
    return groups;
  }

  adopt(time: number, changes: readonly StateChange[]): void {
    const swept = expiredBy(this, time).length;
    this.#nonces.splice(0, swept);
    const keys: StateKey<NonceState>[] = [];
    for (const [key, value] of changes) {
      if (value === undefined) this.#values.delete(key);
      else this.#values.set(key, value);
      if (value !== undefined && key.startsWith('nonce/')) keys.push(key as StateKey<NonceState>);
    }
    if (keys.length > 0) this.#nonces.push({ time, keys });
  }
}
