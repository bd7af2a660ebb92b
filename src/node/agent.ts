/**
 * A subject's agent inside the gateway: what the SDK does on a client, done here with custodial keys. One key ring a
 * subject, in memory; it is asked for again after a restart or when the generation moves on.
 */
import { type AuthorityKeys, emptyKeyRing, type KeyRing } from '../abe/index.ts';
import type { CommittedEntry, PartsAnswer } from '../api/ports.ts';
import { openIntoRing } from '../client/parts.ts';
import { fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { partInfo } from '../codec/hpke-info.ts';
import { keyId, type RecordId, type SubjectId } from '../codec/ids.ts';
import { type Purpose, STATE } from '../ledger/index.ts';
import type { Custody } from './custody.ts';
import type { NodeLedger } from './ledger.ts';
import type { Parts } from './parts.ts';

/** Rings kept; a subject whose ring was dropped requests a new key. */
const RINGS_MAX = 1024;

export interface AgentOptions {
  readonly ledger: NodeLedger;
  readonly custody: Custody;
  readonly parts: Pick<Parts, 'ofKey' | 'gatesOf'>;
  readonly authorityKeys: () => AuthorityKeys;
  /** Signs for a custodial subject and commits. */
  readonly commit: (subject: SubjectId, type: string, body: unknown) => Promise<readonly CommittedEntry[]>;
}

/** A granted opening: the ring now holds the gate. */
export interface Granted {
  readonly access: CommittedEntry;
  readonly ring: KeyRing;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #rings = new Map<SubjectId, Promise<KeyRing>>();

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Asks for access to `records` with the subject's key; throws `access.denied` unless all are granted. */
  async access(
    subject: SubjectId,
    records: readonly { readonly id: RecordId; readonly version: number }[],
    purpose: Purpose,
  ): Promise<Granted> {
    const { authorityKeys } = this.#options;
    const { shareEpoch } = authorityKeys();
    try {
      return await this.#access(subject, records, purpose);
    } catch (error) {
      // Shares that were renewed meanwhile make keys and grants of before stale: asked for once more.
      if (authorityKeys().shareEpoch === shareEpoch) throw error;
      return this.#access(subject, records, purpose);
    }
  }

  async #access(
    subject: SubjectId,
    records: readonly { readonly id: RecordId; readonly version: number }[],
    purpose: Purpose,
  ): Promise<Granted> {
    const { commit, parts } = this.#options;
    let ring = await this.#ring(subject);
    ring = await this.#extended(subject, ring);
    const [access] = await commit(subject, 'Access', {
      keyId: ring.keyId,
      generation: ring.generation,
      records: records.map(({ id, version }) => ({ record: fromHex(id), version })),
      purpose,
    });
    const verdicts = access.result.verdicts as readonly { granted: boolean; reason: string }[];
    const denied = verdicts.find((verdict) => !verdict.granted);
    if (denied !== undefined) {
      throw new CodedError('access.denied', `the ledger denied access: ${denied.reason}`, {
        details: { reason: denied.reason, entryId: access.entryId },
      });
    }
    const gates = await parts.gatesOf(access.entryId);
    // Gates serve this opening; they are not kept, so the ring stays small.
    return { access, ring: await this.#open(subject, ring, gates, fromHex(access.entryId)) };
  }

  /** The subject's ring of the current generation, with a key for everything it holds. */
  async #ring(subject: SubjectId): Promise<KeyRing> {
    const { ledger, authorityKeys } = this.#options;
    const generation = ledger.state(STATE.subject(subject))?.generation ?? 0;
    const known = await this.#rings.get(subject)?.catch(() => undefined);
    if (
      known !== undefined &&
      known.generation === generation &&
      known.shareEpoch === authorityKeys().shareEpoch
    ) {
      return known;
    }
    const made = this.#request(subject);
    if (this.#rings.size >= RINGS_MAX) this.#rings.clear();
    this.#rings.set(subject, made);
    return made;
  }

  async #request(subject: SubjectId): Promise<KeyRing> {
    const { ledger, commit, parts, authorityKeys } = this.#options;
    const attributes = await ledger.heldNow(subject);
    if (attributes.length === 0) throw new CodedError('key.no_attributes', 'the subject holds no attribute');
    const [entry] = await commit(subject, 'KeyIssue', { attributes, stepUp: null });
    const id = fromHex(entry.entryId);
    const ring = emptyKeyRing(authorityKeys(), id, entry.result.generation as number);
    return this.#open(subject, ring, await parts.ofKey(keyId(entry.entryId)), id);
  }

  /** Consents that were accepted since the key was issued are pulled into it. */
  async #extended(subject: SubjectId, ring: KeyRing): Promise<KeyRing> {
    const { ledger, commit, parts } = this.#options;
    const listed = new Set(ledger.state(STATE.key(toHex(ring.keyId)))?.attributes ?? []);
    const gained = (await ledger.heldNow(subject)).filter((attribute) => !listed.has(attribute));
    if (gained.length === 0) return ring;
    await commit(subject, 'KeyExtend', { keyId: ring.keyId, attributes: gained });
    const extended = await this.#open(subject, ring, await parts.ofKey(keyId(toHex(ring.keyId))), ring.keyId);
    this.#rings.set(subject, Promise.resolve(extended));
    return extended;
  }

  async #open(subject: SubjectId, ring: KeyRing, answer: PartsAnswer, entry: Uint8Array): Promise<KeyRing> {
    const { custody, ledger, authorityKeys } = this.#options;
    const { hpke } = await custody.keys(subject);
    const { ring: whole } = await openIntoRing(ring, answer.parts, authorityKeys().t, ({ member, sealed }) =>
      hpke.open(partInfo(ledger.chainId, member, ring.keyId, ring.generation, entry), sealed),
    );
    return whole;
  }
}
