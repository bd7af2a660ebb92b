/**
 * What a member can prove of its ledger: receipts of entries and proofs of state values, each under a checkpoint that
 * a quorum cosigned. Checkpoints trail the tip by a message; waits end when the cosignatures are there.
 */
import { fromUtf8, utf8 } from '../../codec/bytes.ts';
import { parseCheckpoint } from '../checkpoint/index.ts';
import type { LogTree } from '../log/index.ts';
import type { KvOp, KvReader } from '../ports.ts';
import { proveState, STATE_TABLE } from '../state-tree/index.ts';
import type { Receipt } from '../verify/receipt.ts';
import type { CosignedCheckpoint } from './cosignatures.ts';
import type { CommittedEntry } from './entry-queries.ts';
import type { ProvenValues } from './options.ts';
import { META_CHECKPOINT, META_TABLE } from './tables.ts';

/** Cosigned checkpoints kept by height, for state proofs that wait for theirs. */
const COSIGNED_KEPT = 64;
/** State proofs at successive heights, while a cosigned one is waited for. */
const PROOFS_PENDING_MAX = 8;

/** State proofs that wait for the checkpoint of their height. */
interface PendingProofs {
  readonly height: number;
  readonly values: ProvenValues['values'];
}

export class Receipts {
  readonly #store: KvReader;
  readonly #cosigned = new Map<number, CosignedCheckpoint>();
  #latest: CosignedCheckpoint | undefined;

  /** Begins with the checkpoint that was stored last. */
  constructor(store: KvReader) {
    this.#store = store;
    const stored = store.get(META_TABLE, META_CHECKPOINT);
    if (stored === undefined) return;
    const text = fromUtf8(stored);
    this.#latest = { text, checkpoint: parseCheckpoint(text).checkpoint };
  }

  /** The latest checkpoint with a quorum of cosignatures. */
  get latest(): CosignedCheckpoint | undefined {
    return this.#latest;
  }

  /** What to write so that a restarted node has it. */
  get ops(): readonly KvOp[] {
    if (this.#latest === undefined) return [];
    return [{ table: META_TABLE, key: META_CHECKPOINT, value: utf8(this.#latest.text) }];
  }

  add(cosigned: CosignedCheckpoint): void {
    const { height } = cosigned.checkpoint;
    this.#cosigned.set(height, cosigned);
    this.#cosigned.delete(height - COSIGNED_KEPT);
    if (this.#latest === undefined || this.#latest.checkpoint.height < height) this.#latest = cosigned;
  }

  /** The entry under the latest checkpoint; undefined until one covers it. */
  of(entry: CommittedEntry, tree: LogTree): Receipt | undefined {
    const latest = this.#latest;
    if (latest === undefined || entry.index >= latest.checkpoint.size) return undefined;
    const proof = tree.inclusionProof(entry.index, latest.checkpoint.size);
    return { entry: entry.bytes, index: entry.index, proof, checkpoint: latest.text };
  }

  /**
   * A probe for the proofs of `keys`: each call adds proofs at the tip of now and answers with the first whose height
   * is cosigned. `height` is undefined while the store is being written and may show half a block.
   */
  prover(keys: readonly Uint8Array[]): (height: number | undefined) => ProvenValues | undefined {
    const pending: PendingProofs[] = [];
    return (height) => {
      const isNew = height !== undefined && pending.at(-1)?.height !== height;
      if (isNew && pending.length < PROOFS_PENDING_MAX) {
        const values = keys.map((key) => ({
          value: this.#store.get(STATE_TABLE, key) ?? null,
          proof: proveState(this.#store, key),
        }));
        pending.push({ height, values });
      }
      for (const { height: at, values } of pending) {
        const cosigned = this.#cosigned.get(at);
        if (cosigned !== undefined) return { values, checkpoint: cosigned.text };
      }
      return undefined;
    };
  }
}
