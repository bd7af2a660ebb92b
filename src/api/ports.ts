/**
 * What the gateway's routes need from a member. `src/node` implements these; routes only authenticate, decode,
 * call one of them and encode. Bytes and branded ids inside, JSON only in the routes.
 */
import type { EntryId, KeyId, MemberId, RecordId, SubjectId } from '../codec/ids.ts';

export type Custody = 'client' | 'gateway';

/** Who is signed in. The token proves this to one gateway only, never to other members. */
export interface Session {
  readonly account: string;
  readonly subject: SubjectId;
  readonly custody: Custody;
}

export interface CommittedEntry {
  readonly entryId: EntryId;
  readonly index: number;
  readonly height: number;
  readonly timeMs: number;
  readonly type: string;
  readonly subject: SubjectId | null;
  readonly body: Readonly<Record<string, unknown>>;
  readonly result: Readonly<Record<string, unknown>>;
}

export interface EntryFilter {
  readonly kind?: string;
  readonly subject?: SubjectId;
  readonly record?: RecordId;
  readonly patient?: SubjectId;
  readonly cursor?: string;
  readonly limit: number;
}

/** Reads of the ledger as this node applied it. Every answer is of one height. */
export interface LedgerReads {
  /** Whether this node has applied `height`, waiting up to `waitMs` for it. */
  reached(height: number, waitMs: number): Promise<boolean>;
  tip(): { readonly height: number; readonly timeMs: number; readonly size: number };
  /** Decoded state value or undefined. */
  get(key: string): unknown;
  /** Keys and values under a prefix, in key order, after `after`. */
  list(
    prefix: string,
    options: { after?: string; limit: number },
  ): Promise<readonly (readonly [string, unknown])[]>;
  /** State values, null when absent, with encoded proofs, in order, all under one cosigned checkpoint of `size`. */
  getWithProofs(keys: readonly string[]): Promise<{
    readonly values: readonly { readonly value: Uint8Array | null; readonly proof: Uint8Array }[];
    readonly checkpoint: string;
    readonly size: number;
  }>;
  entry(id: EntryId): CommittedEntry | undefined;
  entries(filter: EntryFilter): { readonly entries: readonly CommittedEntry[]; readonly next: string | null };
  /** Receipt with a quorum of cosignatures; null when they have not arrived within `waitMs`. */
  receipt(id: EntryId, waitMs: number): Promise<Uint8Array | null>;
  /** The first leaf of the log: the signed genesis. */
  genesisLeaf(): Uint8Array;
  /** Latest checkpoint that a quorum cosigned. */
  checkpoint(): string;
  block(height: number): { header: Uint8Array; qc: Uint8Array; batch: readonly Uint8Array[] } | undefined;
  /** The bytes of a log tile by its C2SP path (`tile/0/x001/067`), or undefined when the path names none of this log's. */
  tile(path: string): { readonly bytes: Uint8Array; readonly full: boolean } | undefined;
  /** Changes of validators since genesis, oldest first, for verifiers that begin there. */
  epochLinks(): unknown[];
  inclusionProof(index: number, size: number): readonly Uint8Array[];
  consistencyProof(size1: number, size2: number): readonly Uint8Array[];
  /** ndjson lines of everything, for offline verification. */
  export(): AsyncIterable<string>;
  subscribe(listener: (entry: CommittedEntry) => void): () => void;
}

export interface SubjectView {
  readonly subject: SubjectId;
  readonly member: MemberId;
  readonly kind: string;
  readonly generation: number;
  readonly revoked: boolean;
  readonly attributes: { attribute: string; until: string | null; inForce: boolean }[];
}

/** One authority's released bytes, sealed to the subject's HPKE key. */
export interface SealedPart {
  readonly authority: number;
  readonly member: MemberId;
  readonly sealed: Uint8Array;
}

export interface PartsAnswer {
  readonly parts: readonly SealedPart[];
  /** Authorities that did not answer, with the code of why. */
  readonly missing: readonly { readonly member: MemberId; readonly code: string }[];
}

export interface SealedUpload {
  readonly header: Uint8Array;
  /** Null for a payload that its author has sent before. */
  readonly payload: Uint8Array | null;
  /** Keywords sealed by HPKE to the custodian's indexer key, or null for a record that is not indexed. */
  readonly keywords: Uint8Array | null;
}

export interface PlainUpload {
  /** Exact bytes of the resource. */
  readonly content: Uint8Array;
  readonly patient: SubjectId | null;
  /** Policy text; the default policy map decides when it is absent. */
  readonly policy?: string;
}

export interface NewSubject {
  readonly kind: 'patient' | 'person' | 'system' | 'device';
  readonly custody: Custody;
  /** Given for client custody. */
  readonly keys?: {
    readonly alg: 'ed25519' | 'p256';
    readonly key: Uint8Array;
    readonly hpkeKey: Uint8Array;
    readonly proof: Uint8Array;
  };
  readonly subject?: SubjectId;
  /** `system|value` identifiers that this member remembers locally; never on the ledger. */
  readonly identifiers: readonly string[];
  readonly account?: { readonly name: string; readonly password: string };
}

export interface Services {
  readonly member: MemberId;
  readonly chainId: string;
  readonly ledger: LedgerReads;
  nowMs(): number;

  witnesses: {
    /** Takes a checkpoint that a registered witness cosigned; throws `witness.*`, `checkpoint.*`, `ledger.behind`. */
    accept(note: string): Promise<{ readonly size: number; readonly witnesses: readonly string[] }>;
    list(): readonly { readonly name: string; readonly note: string | null }[];
    /** The checkpoint with the lines of witnesses that cosigned the same one. */
    withLines(checkpoint: string): string;
  };

  accounts: {
    /** The session, or undefined for a wrong name or password; takes the same time for both. */
    verify(name: string, password: string): Promise<Session | undefined>;
    session(name: string): Session | undefined;
  };

  subjects: {
    /** Member, kind, generation and attributes of a subject; throws `subject.unknown`. */
    describe(subject: SubjectId): Promise<SubjectView>;
    /** The one access decision, asked without an entry. */
    canOpen(
      subject: SubjectId,
      record: RecordId,
    ): Promise<{ granted: boolean; reason: string; explanation: string }>;
  };

  writes: {
    /** Checks, orders and applies a signed request; resolves when it is durable here. */
    submit(request: Uint8Array): Promise<readonly CommittedEntry[]>;
    /** Builds and signs a transaction for a subject in this gateway's custody; throws `custody.client_signs`. */
    sign(subject: SubjectId, type: string, body: unknown): Promise<Uint8Array>;
    /** The member's operator acts: enrolment of a subject and its optional account. */
    enrol(by: Session, subject: NewSubject): Promise<{ subject: SubjectId; entry: CommittedEntry | null }>;
  };

  /** The admission that an observer shows now, for a Reconfig; throws `link.unreachable` when it is not connected. */
  admission(member: MemberId): Promise<unknown>;

  keys: {
    partsOfKey(keyId: KeyId): Promise<PartsAnswer>;
    gatesOf(access: EntryId): Promise<PartsAnswer>;
    /** mpk, commitments and order of the authorities. */
    authorities(): unknown;
  };

  records: {
    /** Stores a payload of any length ahead of the record that will name it. */
    receivePayload(by: Session, source: AsyncIterable<Uint8Array>): Promise<{ cid: string; size: number }>;
    /** Stores header and payload durably, commits RecordPut, queues the keywords. */
    putSealed(request: Uint8Array, uploads: readonly SealedUpload[]): Promise<CommittedEntry>;
    /** With an idempotency key the same call again answers with what the first one committed. */
    putPlain(
      by: Session,
      uploads: readonly PlainUpload[],
      idempotencyKey?: string,
    ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] }>;
    changePolicySealed(request: Uint8Array, header: Uint8Array): Promise<CommittedEntry>;
    changePolicy(by: Session, record: RecordId, policy: string): Promise<CommittedEntry>;
    header(record: RecordId): Promise<Uint8Array>;
    payload(record: RecordId): Promise<{ size: number; stream: AsyncIterable<Uint8Array> }>;
    /** Custodial open: the gateway does the client's steps with its custodial key. */
    open(
      by: Session,
      record: RecordId,
      purpose: string,
    ): Promise<{ plaintext: Uint8Array; access: CommittedEntry }>;
  };

  search: {
    tokens(
      request: Uint8Array,
      blinded: readonly (readonly Uint8Array[])[],
    ): Promise<{
      readonly entries: readonly CommittedEntry[];
      readonly evaluations: readonly (
        | { elements: readonly Uint8Array[]; proof: Uint8Array }
        | { code: string }
      )[];
    }>;
    manifest(custodian: MemberId): Promise<Uint8Array>;
    /** Index numbers from `from` on: which record and patient each is, and whether it is dead. */
    numbers(
      custodian: MemberId,
      from: number,
      count: number,
    ): readonly { record: string; patient: string | null; dead: boolean }[];
    /** The opening of a Search entry that this gateway wrote for the session's subject. */
    opening(
      by: Session,
      id: EntryId,
    ): Promise<{
      readonly receipt: Uint8Array;
      readonly tx: Uint8Array;
      readonly elements: readonly Uint8Array[];
      readonly opened: readonly ({ readonly input: Uint8Array; readonly blind: Uint8Array } | null)[];
    }>;
    /** Opens a new key epoch of fields of this member's own index (all by default), for one of its operators. */
    openEpochs(
      by: Session,
      fields?: readonly string[],
    ): Promise<readonly { readonly field: string; readonly epoch: number }[]>;
    /** Dead index numbers in the order of death, from the `from`th on. */
    deaths(custodian: MemberId, from: number, count: number): readonly number[];
    segment(id: string, ranges?: readonly { offset: number; length: number }[]): Promise<Uint8Array>;
    /** A segment or ranges of it from its custodian instead of this node's copy; throws `search.direct_off`. */
    direct(
      custodian: MemberId,
      id: string,
      ranges: readonly { readonly offset: number; readonly length: number }[] | null,
    ): Promise<Uint8Array>;
    /** Gateway query for callers without SDK. */
    query(
      by: Session,
      query: string,
      options: {
        unit: 'patient' | 'record';
        purpose: string;
        custodians?: readonly MemberId[];
        limit: number;
        /** `count`: how many and nothing else of the hits; rounded and suppressed for who may not see them. */
        answer?: 'hits' | 'count';
        /** How old the state of this gateway may be; default 70 s. */
        maxAgeMs?: number;
      },
    ): Promise<unknown>;
  };

  /** Copies that this member keeps: how many members keep each record, and what is still to be done, in records or CIDs. */
  storage(): {
    readonly copies: number;
    readonly waiting: number;
    readonly failing: number;
    readonly unreceipted: number;
    readonly erasing: number;
    /** What the node found when it read back what it keeps; see `ScrubStatus` in src/node/scrub.ts. */
    readonly scrub: {
      readonly endedAt: number | null;
      readonly checked: number;
      readonly bytes: number;
      readonly mended: number;
      readonly damaged: number;
      readonly named: readonly { readonly of: string; readonly what: string; readonly code: string }[];
    };
  };

  /** Room on this node's disk; `waiting` while blocks of the ledger find none. */
  disk(): { readonly freeBytes: number; readonly reserveBytes: number; readonly waiting: boolean };

  /** The trustless gateway over this node's payloads. */
  ipfs: {
    /** Whether strangers may read ciphertext. */
    readonly public: boolean;
    answer(request: {
      readonly path: string;
      readonly query: URLSearchParams;
      readonly headers: Readonly<Record<string, string | undefined>>;
    }): Promise<{
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array | AsyncIterable<Uint8Array>;
    }>;
  };

  importBundle(
    by: Session,
    body: Uint8Array,
  ): Promise<{
    readonly records: readonly {
      readonly record: RecordId;
      readonly resourceType: string;
      readonly patient: SubjectId | null;
    }[];
    readonly refused: readonly {
      readonly code: string;
      readonly message: string;
      readonly position: unknown;
    }[];
  }>;

  /** Records on the ledger by patient or custodian, newest last. */
  listRecords(filter: { limit: number; cursor?: string; patient?: SubjectId; custodian?: string }): {
    records: readonly (readonly [RecordId, Record<string, unknown>])[];
    next: string | null;
  };

  /** Consents in which the subject is patient or grantee. */
  consentsOf(
    subject: SubjectId,
    page: { limit: number; cursor?: string },
  ): { consents: readonly (readonly [EntryId, unknown])[]; next: string | null };

  /** BALP AuditEvents of entries that the session may audit: its own, its patient's, or all with audit rights. */
  auditEvents(
    by: Session,
    filter: { limit: number; cursor?: string; patient?: SubjectId },
  ): Record<string, unknown>;

  /** Canonical text of a policy's bytes. */
  policyText(policy: Uint8Array): string;

  /** The default policy map, as documented in docs/default-policies.md. */
  defaultPolicies(): Record<string, unknown>;

  /** Whether this node votes, holds its share and serves its index. */
  ready(): boolean;

  /** Health of each part; no secrets. Asks the other members for their tips. */
  status(): Promise<{ readonly ready: boolean; readonly parts: Readonly<Record<string, unknown>> }>;
}
