/**
 * Subjects of this member: enrolment by its registrar, and what anybody may see of a subject. Identifiers of patients
 * (medical record numbers and the like) stay in a local table, hashed under a key of the keystore; the ledger knows
 * pseudonyms only.
 */
import { decodePolicy, explainPolicy, parseAttribute } from '../abe/index.ts';
import type { CommittedEntry, NewSubject, Session, SubjectView } from '../api/ports.ts';
import { fromHex, toHex, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hmacSha256 } from '../codec/hash.ts';
import { type MemberId, memberId, type RecordId, type SubjectId, subjectId } from '../codec/ids.ts';
import { STATE, subjectProofMessage } from '../ledger/index.ts';
import type { KvStore } from '../storage/index.ts';
import type { Accounts } from './accounts.ts';
import type { Custody } from './custody.ts';
import type { NodeLedger } from './ledger.ts';

const TABLE = 'identifiers';

export interface SubjectsOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly accounts: Accounts;
  readonly custody: Custody;
  readonly store: KvStore;
  /** 32 bytes of the keystore: identifiers are kept as HMACs. */
  readonly identifierKey: Uint8Array;
  readonly random: (length: number) => Uint8Array;
  readonly commit: (subject: SubjectId, type: string, body: unknown) => Promise<readonly CommittedEntry[]>;
}

export class Subjects {
  readonly #options: SubjectsOptions;
  /** Enrolments under way by identifier, so that two imports of one patient make one subject. */
  readonly #enrolling = new Map<string, Promise<{ subject: SubjectId; entry: CommittedEntry | null }>>();

  constructor(options: SubjectsOptions) {
    this.#options = options;
  }

  /** Enrols a subject, or answers with the one that an identifier names already. */
  async enrol(
    by: Session,
    wanted: NewSubject,
  ): Promise<{ subject: SubjectId; entry: CommittedEntry | null }> {
    const known = this.#byIdentifiers(wanted.identifiers);
    if (known !== undefined) return { subject: known, entry: null };
    const name = wanted.identifiers[0];
    if (name === undefined) return this.#enrol(by, wanted);
    const running = this.#enrolling.get(name);
    if (running !== undefined) return { subject: (await running).subject, entry: null };
    const run = this.#enrol(by, wanted).finally(() => this.#enrolling.delete(name));
    this.#enrolling.set(name, run);
    return run;
  }

  /** The subject that one of `system|value` names at this member. */
  find(identifiers: readonly string[]): SubjectId | undefined {
    return this.#byIdentifiers(identifiers);
  }

  async describe(subject: SubjectId): Promise<SubjectView> {
    const { ledger } = this.#options;
    const state = ledger.state(STATE.subject(subject));
    if (state === undefined) throw new CodedError('subject.unknown', 'no subject on the ledger has this id');
    const attributes = await ledger.attributesOf(subject);
    return {
      subject,
      member: memberId(state.member),
      kind: state.kind,
      generation: state.generation,
      revoked: state.revoked,
      attributes: attributes.map(({ attribute, until, inForce }) => ({
        attribute,
        until: until === null ? null : new Date(until).toISOString(),
        inForce,
      })),
    };
  }

  /** The access decision with everything that the subject holds now, and why in words. */
  async canOpen(
    subject: SubjectId,
    id: RecordId,
  ): Promise<{ granted: boolean; reason: string; explanation: string }> {
    const { ledger } = this.#options;
    const record = ledger.state(STATE.record(id));
    if (record === undefined) throw new CodedError('record.unknown', 'no record on the ledger has this id');
    if (ledger.state(STATE.subject(subject))?.revoked !== false) {
      return { granted: false, reason: 'subject_revoked', explanation: 'The subject was revoked.' };
    }
    if (record.erased)
      return { granted: false, reason: 'record_erased', explanation: 'The record was erased.' };
    const attributes = (await ledger.heldNow(subject)).map(parseAttribute);
    const explained = explainPolicy(decodePolicy(record.policy), attributes, ledger.registry(), {
      others: (ledger.state(STATE.held(subject)) ?? []).map(parseAttribute),
    });
    return {
      granted: explained.holds,
      reason: explained.holds ? 'ok' : 'policy',
      explanation: explained.text,
    };
  }

  async #enrol(by: Session, wanted: NewSubject): Promise<{ subject: SubjectId; entry: CommittedEntry }> {
    const { member, ledger, custody, accounts, commit, random } = this.#options;
    const subject = wanted.subject ?? subjectId(toHex(random(16)));
    let keys = wanted.keys;
    if (keys === undefined) {
      const own = await custody.keys(subject);
      const proof = own.signer.sign(
        subjectProofMessage(ledger.chainId, fromHex(subject), member, own.signer.publicKey),
      );
      keys = { ...own.signer.publicKey, hpkeKey: own.hpke.publicKey, proof };
    }
    if (wanted.account !== undefined && accounts.session(wanted.account.name) !== undefined) {
      throw new CodedError('auth.account_exists', 'an account of this name exists');
    }
    const [entry] = await commit(by.subject, 'SubjectPut', {
      subject: fromHex(subject),
      member,
      kind: wanted.kind,
      custody: wanted.custody,
      key: { alg: keys.alg, key: keys.key },
      hpkeKey: keys.hpkeKey,
      proof: keys.proof,
    });
    await this.#remember(subject, wanted.identifiers);
    if (wanted.account !== undefined) {
      await accounts.add(wanted.account.name, wanted.account.password, subject, wanted.custody);
    }
    return { subject, entry };
  }

  #byIdentifiers(identifiers: readonly string[]): SubjectId | undefined {
    for (const identifier of identifiers) {
      const bytes = this.#options.store.get(TABLE, this.#rowKey(identifier));
      if (bytes !== undefined) return subjectId(toHex(bytes));
    }
    return undefined;
  }

  async #remember(subject: SubjectId, identifiers: readonly string[]): Promise<void> {
    if (identifiers.length === 0) return;
    const value = fromHex(subject);
    await this.#options.store.write(
      identifiers.map((identifier) => ({ table: TABLE, key: this.#rowKey(identifier), value })),
    );
  }

  #rowKey(identifier: string): Uint8Array {
    return hmacSha256(this.#options.identifierKey, utf8(identifier));
  }
}
