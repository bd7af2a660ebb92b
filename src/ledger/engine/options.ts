/** What a ledger is opened with, and what it answers with. */
import type { Signer } from '../../codec/signature.ts';
import type { Culprit } from '../machine/index.ts';
import type { KvStore } from '../ports.ts';
import type { StateProof } from '../state-tree/index.ts';
import type { CommittedEntry } from './entry-queries.ts';
import type { VerifiedSignatures } from './signatures.ts';

export interface LedgerOptions {
  readonly store: KvStore;
  /** Signed genesis (`encodeGenesis`); needed when the store is empty, compared with what it holds otherwise. */
  readonly genesis?: Uint8Array;
  /** This member's validator key, to cosign checkpoints; an observer has none. */
  readonly cosign?: { readonly member: string; readonly signer: Signer };
  /** Verified signatures, shared by members of one process. */
  readonly signatures?: VerifiedSignatures;
  /** What a pair of contradicting consensus messages proves; without it Evidence is refused. */
  readonly culpritOf?: (evidence: Uint8Array, chainId: string) => Culprit | undefined;
  /** A listener threw; the block is applied all the same. */
  readonly onListenerError: (error: unknown) => void;
}

/** What is known of the last applied block. */
export interface Head {
  readonly height: number;
  /** Block time in milliseconds. */
  readonly time: number;
  /** Entries in the log. */
  readonly size: number;
  readonly stateRoot: Uint8Array;
  readonly logRoot: Uint8Array;
}

/** An applied block, as listeners get it. */
export interface AppliedBlock {
  readonly height: number;
  readonly time: number;
  readonly entries: readonly CommittedEntry[];
}

/** What became of a transaction. */
export type TransactionResult =
  | { readonly ok: true; readonly entries: readonly CommittedEntry[] }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** State values (canonical dag-cbor, null when absent) with their proofs, and a cosigned checkpoint of the same state. */
export interface ProvenValues {
  readonly values: readonly { readonly value: Uint8Array | null; readonly proof: StateProof }[];
  readonly checkpoint: string;
}

/** One of them. */
export type ProvenValue = ProvenValues['values'][number] & Pick<ProvenValues, 'checkpoint'>;
