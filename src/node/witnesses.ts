/**
 * Cosignatures of outside witnesses. A node is told whom it takes them from; each witness's newest note is kept and
 * served, so that a client with the witness's key sees a log that was shown to somebody outside of the consortium.
 * Kept locally: what a witness vouches for needs no vote, and a member that hides it hides only what others serve.
 */
import { equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import {
  type Checkpoint,
  checkpointOrigin,
  type LedgerEngine,
  linesOfWitness,
  parseCheckpoint,
  STATE,
  verifyCheckpoint,
  type Witness,
} from '../ledger/index.ts';
import { PBFT_LITE } from '../ledger/verify/index.ts';
import type { KvStore } from '../storage/index.ts';

/** Table of the node's environment: witness name -> the newest note that it cosigned, UTF-8. */
export const WITNESSED_TABLE = 'witnessed';
/** Witnesses that a node may be told. */
export const WITNESSES_MAX = 16;

export interface WitnessedNote {
  readonly name: string;
  /** What it vouches for, with the validators' cosignatures; null when it has sent nothing yet. */
  readonly note: string | null;
}

export class Witnesses {
  readonly #engine: LedgerEngine;
  readonly #store: KvStore;
  readonly #witnesses: readonly Witness[];

  constructor(options: {
    readonly engine: LedgerEngine;
    readonly store: KvStore;
    readonly witnesses: readonly Witness[];
  }) {
    this.#engine = options.engine;
    this.#store = options.store;
    this.#witnesses = options.witnesses;
  }

  /**
   * Takes a checkpoint of this log with a quorum of cosignatures and the line of at least one registered witness.
   * Answers whose lines were taken. Throws `witness.unknown`, `witness.stale`, `ledger.behind`, `checkpoint.forked`, and
   * what `verifyCheckpoint` throws. Cheap refusals come first: strangers cost no signature check.
   */
  async accept(note: string): Promise<{ readonly size: number; readonly witnesses: readonly string[] }> {
    if (!this.#witnesses.some((witness) => linesOfWitness(note, witness).length > 0)) {
      throw new CodedError(
        'witness.unknown',
        'no registered witness of this node has cosigned the checkpoint',
      );
    }
    const { epoch } = parseCheckpoint(note).checkpoint;
    const set = this.#engine.get(STATE.validators(epoch));
    if (set === undefined)
      throw new CodedError('checkpoint.epoch', `this node knows no validators of epoch ${epoch}`);
    const origin = checkpointOrigin(this.#engine.chainId);
    const verified = verifyCheckpoint(note, origin, { epoch, ...set }, { witnesses: this.#witnesses });
    if (verified.unknown.length > 0) {
      throw new CodedError(
        'witness.unknown',
        'send the lines of validators and registered witnesses only: others are not kept',
      );
    }
    this.#compare(verified.checkpoint);
    const names = verified.witnesses.map(({ name }) => name);
    for (const name of names) this.#requireNewer(name, verified.checkpoint);
    await this.#store.write(
      names.map((name) => ({ table: WITNESSED_TABLE, key: utf8(name), value: utf8(note) })),
    );
    return { size: verified.checkpoint.size, witnesses: names };
  }

  /** Every registered witness with its newest note. */
  list(): readonly WitnessedNote[] {
    return this.#witnesses.map(({ name }) => ({ name, note: this.#noteOf(name) ?? null }));
  }

  /** `text` with the lines of witnesses that cosigned exactly this checkpoint. */
  withLines(text: string): string {
    const { body } = parseCheckpoint(text);
    const lines = this.#witnesses.flatMap((witness) => {
      const note = this.#noteOf(witness.name);
      return note !== undefined && parseCheckpoint(note).body === body ? linesOfWitness(note, witness) : [];
    });
    return lines.length === 0 ? text : text + lines.join('');
  }

  #noteOf(name: string): string | undefined {
    const value = this.#store.get(WITNESSED_TABLE, utf8(name));
    return value === undefined ? undefined : fromUtf8(value);
  }

  /** The checkpoint must be that of this node's own block: a quorum's cosignatures on another one are a fork. */
  #compare(checkpoint: Checkpoint): void {
    const { height } = checkpoint;
    const block = this.#engine.block(height);
    if (block === undefined)
      throw new CodedError(
        'ledger.behind',
        `this node has not applied height ${height} yet: try again shortly`,
      );
    const header = PBFT_LITE.readHeader(block.header);
    const same =
      equalBytes(header.logRoot, checkpoint.root) &&
      equalBytes(header.stateRoot, checkpoint.stateRoot) &&
      header.treeSize === checkpoint.size &&
      header.time === checkpoint.time;
    if (!same) {
      throw new CodedError(
        'checkpoint.forked',
        `a quorum cosigned another checkpoint of height ${height} than this node's: keep it, it is evidence`,
      );
    }
  }

  #requireNewer(name: string, checkpoint: Checkpoint): void {
    const before = this.#noteOf(name);
    if (before === undefined) return;
    const { size, height } = parseCheckpoint(before).checkpoint;
    if (checkpoint.height >= height) return;
    throw new CodedError('witness.stale', `${name} has cosigned a later checkpoint, of ${size} entries`, {
      details: { size },
    });
  }
}
