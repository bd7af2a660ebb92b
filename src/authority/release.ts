/**
 * An authority: releases key parts and gates, and nothing else, for entries that its own node has applied.
 *
 * It raises only leaves that it builds here from committed state, never bytes of a client, and seals what it
 * releases to the subject's HPKE key, bound to chain, authority, key, generation and entry. It refuses when its
 * node's tip is old, the share epoch differs, the generation has moved on, or the grant no longer holds
 * (ledger-security rules 23 and 24; abe-security section 2).
 */

import { decodeAuthorityShare } from '../abe/index.ts';
import { attributeLeaves, emergencyLeaf, gateLeaf, parseAttribute } from '../abe/policy/index.ts';
import { fromHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hpkeSeal } from '../codec/hpke.ts';
import { partInfo } from '../codec/hpke-info.ts';
import type { EntryId, MemberId, SubjectId } from '../codec/ids.ts';
import type { AuthorityLedger, IssueWork } from './ports.ts';

/** A tip older than this serves nothing: a lagging or cut-off node must not release (rule 23). */
export const TIP_AGE_MS_MAX = 60_000;
/** How long a request waits for this node to apply the entry it names. */
const APPLY_WAIT_MS = 4_000;

export interface AuthorityOptions {
  readonly member: MemberId;
  readonly ledger: AuthorityLedger;
  readonly work: IssueWork;
  readonly now: () => number;
}

export class Authority {
  readonly #options: AuthorityOptions;
  /** Shares by epoch: that of the epoch in force, and of the next as soon as it is durable. */
  readonly #shares = new Map<number, { readonly bytes: Uint8Array; readonly authority: number }>();

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Takes a share (encoded). It answers while its epoch is the one in force, and only then (rule 27). */
  useShare(encoded: Uint8Array): void {
    const { authority, shareEpoch } = decodeAuthorityShare(encoded);
    this.#shares.set(shareEpoch, { bytes: encoded, authority });
  }

  /** Forgets the shares of epochs before `epoch`. */
  dropBefore(epoch: number): void {
    for (const known of this.#shares.keys()) if (known < epoch) this.#shares.delete(known);
  }

  /** Whether a share of the ledger's epoch is loaded. */
  get ready(): boolean {
    const epoch = this.#options.ledger.shareEpoch();
    return epoch !== null && this.#shares.has(epoch);
  }

  /** The sealed first part of a key: all its attributes that its subject holds now. Same request, same part. */
  async keyPart(keyId: Uint8Array): Promise<{ authority: number; sealed: Uint8Array }> {
    const { ledger } = this.#options;
    const key = await ledger.key(keyId, APPLY_WAIT_MS);
    if (key === undefined)
      throw new CodedError('key.unknown', 'this node has applied no KeyIssue with that id');
    const leaves = attributeLeaves(
      key.inForce.map(parseAttribute),
      ledger.registry(),
      key.others.map(parseAttribute),
    );
    return this.#release({ ...key, keyId, entry: keyId, leaves, first: true });
  }

  /** The sealed gates of a granted Access or BreakGlass, in one extension of its key. */
  async gates(entry: EntryId): Promise<{ authority: number; sealed: Uint8Array }> {
    const { ledger } = this.#options;
    const grant = await ledger.grant(entry, APPLY_WAIT_MS);
    if (grant === undefined) {
      throw new CodedError('entry.unknown', 'this node has applied no Access or BreakGlass with that id');
    }
    if (grant.inForce.length === 0) {
      throw new CodedError(
        'authority.not_in_force',
        'no grant of this entry is in force: ask for access again',
      );
    }
    const key = await ledger.key(grant.keyId, 0);
    if (key === undefined)
      throw new CodedError('key.unknown', 'the entry names a key that is not on the ledger');
    const leaves = grant.inForce.flatMap(({ record, version }) =>
      grant.type === 'BreakGlass'
        ? [gateLeaf(record, version), emergencyLeaf(record, version)]
        : [gateLeaf(record, version)],
    );
    return this.#release({
      subject: grant.subject,
      generation: grant.generation,
      shareEpoch: key.shareEpoch,
      keyId: grant.keyId,
      entry: fromHex(entry),
      leaves,
      first: false,
    });
  }

  async #release(part: {
    subject: SubjectId;
    generation: number;
    shareEpoch: number;
    keyId: Uint8Array;
    entry: Uint8Array;
    leaves: readonly Uint8Array[];
    first: boolean;
  }): Promise<{ authority: number; sealed: Uint8Array }> {
    const { ledger, member, work, now } = this.#options;
    const shareEpoch = ledger.shareEpoch();
    const share = shareEpoch === null ? undefined : this.#shares.get(shareEpoch);
    if (share === undefined) {
      throw new CodedError('authority.no_share', `${member} holds no share of the epoch in force`);
    }
    const age = now() - ledger.tipTimeMs();
    if (age > TIP_AGE_MS_MAX) {
      throw new CodedError(
        'authority.stale',
        `the last block of ${member} is ${Math.round(age / 1000)} s old`,
      );
    }
    const subject = ledger.subject(part.subject);
    if (subject === undefined || subject.revoked)
      throw new CodedError('subject.revoked', 'the subject was revoked');
    if (part.generation !== subject.generation || part.shareEpoch !== shareEpoch) {
      throw new CodedError('key.stale', 'the key is of an earlier generation: request a new key');
    }
    const { keyId, generation, leaves, first } = part;
    const bytes = await work.issue({ share: share.bytes, first, keyId, generation, leaves });
    const info = partInfo(ledger.chainId, member, keyId, generation, part.entry);
    return { authority: share.authority, sealed: await hpkeSeal(subject.hpkeKey, info, bytes) };
  }
}
