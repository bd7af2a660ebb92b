/**
 * Collects the members' cosignatures of checkpoints until a quorum of the epoch vouches for one. A cosignature is
 * made only after this node has applied the block itself; a peer's counts only over the very text that this node has.
 */
import { equalBytes, utf8 } from '../../codec/bytes.ts';
import type { Signer } from '../../codec/signature.ts';
import {
  assembleCheckpoint,
  type Checkpoint,
  checkpointBody,
  checkpointQuorum,
  cosign,
  cosignatureOf,
  type ValidatorSet,
} from '../checkpoint/index.ts';

/** Heights whose text is kept for cosignatures that come late. */
const HEIGHTS_KEPT = 64;
/** Cosignatures kept of heights that this node has not applied yet, and how far ahead. */
const EARLY_HEIGHTS_MAX = 64;
/** Longest cosignature line. */
const LINE_BYTES_MAX = 1024;

/** A checkpoint with a quorum of cosignatures. */
export interface CosignedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Signed note. */
  readonly text: string;
}

interface Collecting {
  readonly checkpoint: Checkpoint;
  readonly body: string;
  readonly set: ValidatorSet;
  /** By member. */
  readonly lines: Map<string, string>;
}

export class Cosignatures {
  readonly #self: { readonly member: string; readonly signer: Signer } | undefined;
  readonly #onQuorum: (cosigned: CosignedCheckpoint) => void;
  readonly #heights = new Map<number, Collecting>();
  /** Lines of heights not applied yet: by height, then by peer. */
  readonly #early = new Map<number, Map<string, string>>();
  #applied = 0;
  #own: { readonly height: number; readonly bytes: Uint8Array } | undefined;

  constructor(
    self: { readonly member: string; readonly signer: Signer } | undefined,
    onQuorum: (cosigned: CosignedCheckpoint) => void,
  ) {
    this.#self = self;
    this.#onQuorum = onQuorum;
  }

  /** Notes an applied block; answers this node's own cosignature, if it has a key in `set`. */
  applied(checkpoint: Checkpoint, set: ValidatorSet): Uint8Array | undefined {
    const body = checkpointBody(checkpoint);
    const collecting: Collecting = { checkpoint, body, set, lines: new Map() };
    this.#heights.set(checkpoint.height, collecting);
    this.#heights.delete(checkpoint.height - HEIGHTS_KEPT);
    this.#applied = checkpoint.height;
    const own = this.#ownLine(collecting);
    if (own !== undefined) this.#keep(collecting, own.member, own.line);
    this.#own = own === undefined ? undefined : { height: checkpoint.height, bytes: utf8(own.line) };
    for (const line of this.#early.get(checkpoint.height)?.values() ?? []) this.#add(collecting, line);
    for (const height of this.#early.keys()) if (height <= checkpoint.height) this.#early.delete(height);
    return this.#own?.bytes;
  }

  /** This node's cosignature of the last applied block; undefined before one and for a node without a key in its set. */
  get own(): { readonly height: number; readonly bytes: Uint8Array } | undefined {
    return this.#own;
  }

  /** A peer's cosignature line. `from` only bounds what one peer may have waiting; the line proves itself. */
  receive(from: string, height: number, line: string): void {
    if (line.length > LINE_BYTES_MAX) return;
    const collecting = this.#heights.get(height);
    if (collecting !== undefined) this.#add(collecting, line);
    else if (height > this.#applied && height <= this.#applied + EARLY_HEIGHTS_MAX) {
      const lines = this.#early.get(height) ?? new Map<string, string>();
      this.#early.set(height, lines);
      lines.set(from, line);
    }
  }

  #ownLine({ body, checkpoint, set }: Collecting): { member: string; line: string } | undefined {
    const self = this.#self;
    if (self === undefined) return undefined;
    const { member, signer } = self;
    // A key that is not the member's in this set would spoil the checkpoint.
    const isMine = set.validators.some(
      (one) => one.member === member && equalBytes(one.key, signer.publicKey.key),
    );
    return isMine ? { member, line: cosign(body, checkpoint.origin, member, signer) } : undefined;
  }

  #add(collecting: Collecting, line: string): void {
    const { checkpoint, body, set, lines } = collecting;
    // Enough is enough: later lines are not even verified.
    if (lines.size >= checkpointQuorum(set.validators.length)) return;
    const member = cosignatureOf(line, body, checkpoint.origin, set);
    if (member !== undefined) this.#keep(collecting, member, line);
  }

  /** Takes a line that is known to be good. */
  #keep(collecting: Collecting, member: string, line: string): void {
    const { checkpoint, body, set, lines } = collecting;
    if (lines.has(member)) return;
    lines.set(member, line);
    if (lines.size < checkpointQuorum(set.validators.length)) return;
    this.#onQuorum({ checkpoint, text: assembleCheckpoint(body, [...lines.values()]) });
  }
}
