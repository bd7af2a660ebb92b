/**
 * Replay of an exported ledger through the state machine itself: the same engine that members run, on a store of its
 * own, so that every result and every state root is computed again. Needs the whole program; receipts and everything
 * else in this folder do not.
 */
import { toHex, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { LedgerEngine, type LedgerOptions } from '../engine/index.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { type KvStore, MemoryStore } from '../ports.ts';
import type { BlockHeader } from './consensus.ts';
import type { LedgerReplay } from './ledger.ts';

/** One verification's state machine. */
export class MachineReplay implements LedgerReplay {
  readonly #store: KvStore;
  readonly #culpritOf: LedgerOptions['culpritOf'];
  #engine: LedgerEngine | undefined;

  /** `store` is empty and keeps the whole replayed ledger; `culpritOf` as members have it, for Evidence entries. */
  constructor(options: { readonly store?: KvStore; readonly culpritOf?: LedgerOptions['culpritOf'] } = {}) {
    this.#store = options.store ?? new MemoryStore();
    this.#culpritOf = options.culpritOf;
  }

  async genesis(leaf: Uint8Array): Promise<void> {
    this.#engine = await LedgerEngine.open({
      store: this.#store,
      genesis: decodeLeaf(leaf).tx,
      onListenerError: (error) => {
        throw error;
      },
      ...(this.#culpritOf === undefined ? {} : { culpritOf: this.#culpritOf }),
    });
  }

  async block(
    header: BlockHeader,
    batch: readonly Uint8Array[],
  ): Promise<{ leaves: readonly Uint8Array[]; stateRoot: Uint8Array }> {
    const engine = this.#engine;
    if (engine === undefined) throw new CodedError('replay.no_genesis', 'the replay has no genesis');
    const { height, time } = header;
    const first = engine.head.size;
    const at = { height, time, proposer: 0, batchHash: toHex(header.batchHash) };
    const result = await engine.execute(at, batch);
    if (!result.ok) throw new CodedError(result.reason, `request ${result.offending ?? '-'} is refused`);
    const { stateRoot, logRoot, treeSize } = result;
    // Applied with its own roots: where they differ from the header's is the caller's row, not this engine's end.
    await engine.commit({
      height,
      header: { ...at, stateRoot: toHex(stateRoot), logRoot: toHex(logRoot), treeSize },
      headerHash: toHex(header.logRoot),
      headerBytes: u64be(height),
      batch,
      qc: new Uint8Array(),
      parentQc: new Uint8Array(),
      encoded: new Uint8Array(),
      resume: new Uint8Array(),
    });
    const leaves: Uint8Array[] = [];
    for (let index = first; index < treeSize; index++) {
      const entry = engine.entryAt(index);
      if (entry !== undefined) leaves.push(entry.bytes);
    }
    return { leaves, stateRoot };
  }
}
