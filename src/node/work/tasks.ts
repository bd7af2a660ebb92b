/** What the worker threads do for a node: everything with pairings or multiplications by secrets. Plain data both ways. */

/** Consortium parameters that a worker decodes once and keeps: encoded authority keys and registry. */
export interface Parameters {
  readonly keys: Uint8Array;
  readonly registry: Uint8Array;
}

export interface SealItem {
  readonly recordId: Uint8Array;
  readonly version: number;
  /** Policy text. */
  readonly policy: string;
  readonly gate: 'record' | 'none';
  readonly plaintext: Uint8Array;
}

export interface Sealed {
  readonly header: Uint8Array;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly payload: Uint8Array;
  readonly commitment: Uint8Array;
}

export interface RewrapItem {
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly policy: string;
  readonly gate: 'record' | 'none';
  readonly dataKey: Uint8Array;
}

export interface OpenItem {
  /** Encoded key ring of the subject, gates included. */
  readonly ring: Uint8Array;
  readonly header: Uint8Array;
  readonly expected: {
    readonly recordId: Uint8Array;
    readonly version: number;
    readonly policyBytes: Uint8Array;
    readonly gate: 'record' | 'none';
  };
  /** Null to get the data key alone (rewrap, field keys). */
  readonly payload: Uint8Array | null;
  readonly commitment: Uint8Array | null;
  /** Complete re-encryption, for the purpose of audit. */
  readonly verify?: 'full';
}

/** An indexer's keys and keywords to evaluate under them. The keys are the member's own and stay in its process. */
export interface SecretsItem {
  readonly custodian: string;
  readonly keys: readonly {
    readonly field: string;
    readonly epoch: number;
    readonly seed: Uint8Array;
    readonly fieldKey: Uint8Array;
  }[];
  readonly keywords: readonly {
    readonly keyword: Uint8Array;
    readonly field: string;
    readonly epoch: number;
  }[];
}

export type Task =
  | { readonly task: 'secrets'; readonly item: SecretsItem }
  | {
      readonly task: 'issue';
      readonly share: Uint8Array;
      readonly first: boolean;
      readonly keyId: Uint8Array;
      readonly generation: number;
      readonly leaves: readonly Uint8Array[];
    }
  | { readonly task: 'seal'; readonly parameters: Parameters; readonly items: readonly SealItem[] }
  | { readonly task: 'rewrap'; readonly parameters: Parameters; readonly item: RewrapItem }
  | { readonly task: 'open'; readonly parameters: Parameters; readonly item: OpenItem };

export interface TaskResults {
  /** T_w of each keyword, in order. */
  secrets: readonly Uint8Array[];
  issue: Uint8Array;
  seal: readonly Sealed[];
  rewrap: { readonly header: Uint8Array; readonly headerHash: Uint8Array; readonly policy: Uint8Array };
  open: { readonly dataKey: Uint8Array; readonly plaintext: Uint8Array | null };
}

/** A coded error on its way between threads, where classes do not survive. */
export interface TaskFailure {
  readonly failed: true;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}
