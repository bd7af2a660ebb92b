/**
 * The replicated state: a map from text keys to values (docs/entries.md, "State"). Here are the keys, the types
 * of their values, and the overlay in which a block is executed before anybody votes on it. Values are treated
 * as immutable: a change is a new value under the key.
 */
import type { PublicKey } from '../../codec/signature.ts';
import type { CeremonyPhase } from '../entries/ceremony.ts';
import type { GateMode, Purpose } from '../entries/common.ts';
import type { Proposal, ShareEpoch } from '../entries/governance.ts';
import type { LabelEntry } from '../entries/labels.ts';
import type { Member } from '../entries/members.ts';
import type { FieldKeyPut } from '../entries/search.ts';
import type { Custody, SubjectKind } from '../entries/subjects.ts';

declare const value: unique symbol;
/** A state key that knows the type of its value. */
export type StateKey<T> = string & { readonly [value]: T };

export interface ChainState {
  readonly chainId: string;
  /** Time of the last block in milliseconds. */
  readonly time: number;
  readonly height: number;
  /** Authorities whose parts open a header; the PBFT quorum of the share epoch's members. */
  readonly threshold: number;
  readonly validatorEpoch: number;
  /** null until the first key ceremony is confirmed. */
  readonly shareEpoch: number | null;
}

export interface MemberState extends Member {
  readonly index: number;
}

export interface SubjectKey extends PublicKey {
  readonly retired: boolean;
}

export interface SubjectState {
  readonly member: string;
  readonly kind: SubjectKind;
  readonly custody: Custody;
  readonly keys: readonly SubjectKey[];
  readonly hpkeKey: Uint8Array;
  readonly generation: number;
  readonly revoked: boolean;
}

export interface AttributeState {
  readonly until: number | null;
  readonly ended: boolean;
}

export interface KeyState {
  readonly subject: Uint8Array;
  readonly generation: number;
  readonly shareEpoch: number;
  readonly attributes: readonly string[];
}

export interface RecordState {
  readonly custodian: string;
  readonly author: Uint8Array;
  readonly version: number;
  /** null for field keys, which have no payload. */
  readonly cid: string | null;
  readonly bytes: number;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly gate: GateMode;
  readonly patient: Uint8Array | null;
  /** null for field keys. */
  readonly commitment: Uint8Array | null;
  /** null for field keys, which stand in no index. */
  readonly indexNo: number | null;
  readonly indexed: boolean;
  readonly erased: boolean;
  readonly time: number;
}

export interface IndexNoState {
  readonly record: Uint8Array;
  readonly patient: Uint8Array | null;
  /** null while it lives; then which death of the custodian's it was, from 0. */
  readonly dead: number | null;
}

/** How many, and a digest over all of them in order: with it a client sees that it was told every one. */
export interface ChainedState {
  readonly count: number;
  readonly digest: Uint8Array;
}

export interface IndexState {
  readonly seq: number;
  readonly manifestHash: Uint8Array;
  readonly covered: number;
  readonly time: number;
}

export interface FieldState extends FieldKeyPut {
  readonly time: number;
  /** The key of the epoch before, while segments may still be sealed under it. */
  readonly before: { readonly epoch: number; readonly publicKey: Uint8Array } | null;
}

export interface BudgetState {
  /** Whole days since 1970-01-01 UTC. */
  readonly day: number;
  readonly used: number;
  readonly epoch: number;
  readonly usedEpoch: number;
}

export interface ConsentState {
  readonly patient: Uint8Array;
  readonly grantee: Uint8Array;
  readonly until: number;
  readonly purpose: Purpose;
  readonly state: 'requested' | 'accepted' | 'rejected' | 'revoked';
}

export interface BreakGlassState {
  readonly subject: Uint8Array;
  readonly record: Uint8Array;
  readonly version: number;
  readonly state: 'open' | 'justified' | 'unjustified';
  readonly time: number;
}

export type ProposalState = Proposal & {
  readonly approvals: readonly string[];
  readonly executed: boolean;
};

export interface ShareState extends ShareEpoch {
  readonly confirmations: readonly string[];
  readonly time: number;
}

/** The latest key ceremony. Its messages are entries; here is what the rules need of them. */
export interface CeremonyState {
  readonly id: Uint8Array;
  /** Ceremonies before this one. */
  readonly attempt: number;
  /** The epoch that it makes. */
  readonly shareEpoch: number;
  /** Holders of the epoch before in the order of their points; the members themselves in a first ceremony. */
  readonly dealers: readonly string[];
  /** Fewest dealings that make a result. */
  readonly needed: number;
  /** The holders to be, in the order of their points. */
  readonly members: readonly string[];
  readonly threshold: number;
  readonly windowMs: number;
  readonly phase: CeremonyPhase;
  /** Time of the block in which the phase began. */
  readonly since: number;
  readonly joined: readonly string[];
  /** Dealers that announced a dealing, and those that opened it. */
  readonly announced: readonly string[];
  readonly dealt: readonly string[];
  readonly complaints: readonly { readonly by: string; readonly dealers: readonly number[] }[];
  readonly answered: readonly string[];
  /** Members that proved that they hold their share. */
  readonly held: readonly string[];
  /** Hash over every step before `confirm`, in order. */
  readonly transcript: Uint8Array;
}

export interface ValidatorsState {
  /** First height that this set votes on. */
  readonly from: number;
  readonly validators: readonly { readonly member: string; readonly key: Uint8Array }[];
}

export interface NonceState {
  readonly id: Uint8Array;
  readonly expiresAt: number;
  /** Place in the log of the transaction's first entry. */
  readonly index: number;
}

export interface EligibilityState {
  /** Height of the Evidence entry. */
  readonly since: number;
}

export interface FormerMemberState {
  /** Height at which it was removed. */
  readonly height: number;
}

/** That a contradiction at one height was punished: it counts once. */
export interface EvidenceState {
  readonly height: number;
}

const key = <T>(text: string): StateKey<T> => text as StateKey<T>;

/** Every key of the state. Ids are given as lower-case hexadecimal. */
export const STATE = {
  chain: key<ChainState>('chain'),
  /** Ids of the members in index order. */
  members: key<readonly string[]>('members'),
  /** `issuer/label` or `label` of every registered label, in order of registration. */
  labels: key<readonly string[]>('labels'),
  member: (id: string) => key<MemberState>(`member/${id}`),
  /** A member that left: its name is not given again, because its subjects would have their rights again. */
  former: (id: string) => key<FormerMemberState>(`former/${id}`),
  validators: (epoch: number) => key<ValidatorsState>(`validators/${epoch}`),
  eligibility: (member: string) => key<EligibilityState>(`eligibility/${member}`),
  evidence: (member: string, height: number) => key<EvidenceState>(`evidence/${member}/${height}`),
  share: (epoch: number) => key<ShareState>(`share/${epoch}`),
  ceremony: key<CeremonyState>('ceremony'),
  shareConfirmation: (epoch: number, member: string) =>
    key<Uint8Array>(`share-confirmation/${epoch}/${member}`),
  label: (name: string) => key<LabelEntry>(`label/${name}`),
  subject: (id: string) => key<SubjectState>(`subject/${id}`),
  attribute: (subject: string, attribute: string) => key<AttributeState>(`attribute/${subject}/${attribute}`),
  /** Attributes of a subject that were set and not ended (expired ones included), sorted. */
  held: (subject: string) => key<readonly string[]>(`held/${subject}`),
  key: (id: string) => key<KeyState>(`key/${id}`),
  record: (id: string) => key<RecordState>(`record/${id}`),
  counter: (member: string) => key<number>(`counter/${member}`),
  indexNo: (member: string, number: number) => key<IndexNoState>(`indexno/${member}/${number}`),
  /** Records and patients behind the numbers, in order. */
  numbers: (member: string) => key<ChainedState>(`numbers/${member}`),
  /** Dead numbers in the order of death. */
  dead: (member: string) => key<ChainedState>(`dead/${member}`),
  index: (member: string) => key<IndexState>(`index/${member}`),
  field: (member: string, field: string) => key<FieldState>(`field/${member}/${field}`),
  budget: (subject: string, member: string, field: string) =>
    key<BudgetState>(`budget/${subject}/${member}/${field}`),
  consent: (id: string) => key<ConsentState>(`consent/${id}`),
  /** Ids of the consents of one pair that were accepted and not revoked. */
  consents: (patient: string, grantee: string) =>
    key<readonly Uint8Array[]>(`consents/${patient}/${grantee}`),
  breakGlass: (id: string) => key<BreakGlassState>(`break-glass/${id}`),
  proposal: (id: string) => key<ProposalState>(`proposal/${id}`),
  nonce: (subject: string, nonce: string) => key<NonceState>(`nonce/${subject}/${nonce}`),
} as const;

/** The nonces that one block took and that are still remembered. */
export interface NonceGroup {
  /** Time of the block. */
  readonly time: number;
  readonly keys: readonly StateKey<NonceState>[];
}

/** Reads the state as of one block. Pure: the same state gives the same answers for ever. */
export interface StateView {
  get<T>(key: StateKey<T>): T | undefined;
  /**
   * Nonces of blocks before `time`, block by block from the oldest on: whole blocks, as many as have `limit` nonces
   * together, and the first in any case. Blocks without nonces are left out.
   */
  expiredNonces(time: number, limit: number): readonly NonceGroup[];
}

/** A change of one key; undefined removes it. */
export type StateChange = readonly [key: string, value: unknown];

/** Writes on top of a view, kept apart until they are committed. A refused transaction is rolled back. */
export class Overlay implements StateView {
  readonly #base: StateView;
  readonly #writes = new Map<string, unknown>();
  /** Earlier writes that were replaced: key, whether it was written, and what. */
  readonly #journal: (readonly [key: string, written: boolean, value: unknown])[] = [];

  constructor(base: StateView) {
    this.#base = base;
  }

  get<T>(key: StateKey<T>): T | undefined {
    // The key's type says what was written under it; `set` and `remove` are the only writers.
    if (this.#writes.has(key)) return this.#writes.get(key) as T | undefined;
    return this.#base.get(key);
  }

  set<T>(key: StateKey<T>, value: T): void {
    this.#write(key, value);
  }

  remove<T>(key: StateKey<T>): void {
    this.#write(key, undefined);
  }

  /** Of the base only: the block that is being executed is not before itself. */
  expiredNonces(time: number, limit: number): readonly NonceGroup[] {
    return this.#base.expiredNonces(time, limit);
  }

  /** A transaction begins: `rollback` will undo what is written from here on, and no more. */
  begin(): void {
    this.#journal.length = 0;
  }

  /** Undoes every write since `begin`. */
  rollback(): void {
    for (const [key, written, value] of this.#journal.toReversed()) {
      if (written) this.#writes.set(key, value);
      else this.#writes.delete(key);
    }
    this.#journal.length = 0;
  }

  /** Everything that differs from the base, last write of each key. */
  changes(): readonly StateChange[] {
    return [...this.#writes];
  }

  #write(key: string, value: unknown): void {
    this.#journal.push([key, this.#writes.has(key), this.#writes.get(key)]);
    this.#writes.set(key, value);
  }
}

/** The state before the genesis. */
export const EMPTY_STATE: StateView = { get: () => undefined, expiredNonces: () => [] };
