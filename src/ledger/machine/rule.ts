/** What every rule gets and gives: one rule decides one kind of entry. */
import type { PublicKey } from '../../codec/signature.ts';
import type { EntryBodies, EntryResults, EntryType } from '../entries/index.ts';
import type { Meter } from './meter.ts';
import type { ChainState, Overlay } from './state.ts';

/** The verified signer of a transaction. */
export interface Signer {
  /** Lower-case hexadecimal. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** A validator that contradicted itself in two consensus messages. */
export interface Culprit {
  /** Raw Ed25519 key. */
  readonly key: Uint8Array;
  readonly epoch: number;
  /** Height that both messages are about. */
  readonly height: number;
}

/** What the machine cannot compute from the state alone. Both are pure functions. */
export interface MachineHost {
  /** Whether `signature` is `key`'s over `message`; the one predicate of the whole product. */
  verifies(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean;
  /**
   * Whose key signed the two contradicting consensus messages in `evidence`, or undefined when they prove nothing.
   * The ordering engine knows its own messages; the ledger looks up whether the key was a validator's.
   */
  culpritOf(evidence: Uint8Array, chainId: string): Culprit | undefined;
}

export interface RuleContext {
  readonly state: Overlay;
  readonly signer: Signer;
  /** As of the start of the block. */
  readonly chain: ChainState;
  readonly host: MachineHost;
  readonly height: number;
  /** Block time in milliseconds. */
  readonly time: number;
  readonly meter: Meter;
}

export interface Applied<K extends EntryType> {
  readonly result: EntryResults[K];
  /** Writes that need the entry's own id, which is a hash of the result. */
  readonly withId?: (id: Uint8Array, hex: string) => void;
}

/** Decides one entry, writing into `context.state`; throws to refuse. */
export type Rule<K extends EntryType> = (context: RuleContext, body: EntryBodies[K]) => Applied<K>;

/** The result of an entry of which nothing is said. */
export { EMPTY_RESULT as NOTHING } from '../entries/leaf.ts';
