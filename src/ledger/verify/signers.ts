/**
 * The keys that the ledger itself registers, followed from genesis entry by entry, so that every signature can be checked
 * without a state machine: operators of the genesis and of admitted members, SubjectPut, SubjectKeyPut, and
 * SubjectRevoke, after which nothing of that subject is accepted. Rights are not looked at: whether the signer
 * was allowed to say it is the state machine's judgement, which a replay repeats.
 */
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { type PublicKey, verifySignature } from '../../codec/signature.ts';
import type { Admission } from '../entries/governance.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { decodeGenesis } from '../entries/members.ts';
import { genesisMessage } from '../entries/proofs.ts';
import { decodeTransaction, signedMessage, type Transaction } from '../entries/transaction.ts';
import type { FollowedItem, SignatureCheck } from './entries.ts';

interface Signatory {
  readonly keys: readonly PublicKey[];
  readonly retired: ReadonlySet<number>;
  readonly revoked: boolean;
}

/** Follows one ledger; make a new one for each verification. */
export class RegisteredKeys implements SignatureCheck {
  readonly #signatories = new Map<string, Signatory>();
  /** Admissions that are proposed and not yet approved, by the proposal's entry id. */
  readonly #admissions = new Map<string, Admission>();
  #chainId = '';
  #last: { readonly bytes: Uint8Array; readonly transaction: Transaction } | undefined;

  /** Throws `genesis.invalid` unless every member's validator key signed the document. */
  genesis(leafBytes: Uint8Array): void {
    const { document, signatures, decoded } = decodeGenesis(decodeLeaf(leafBytes).tx);
    const message = genesisMessage(document);
    const isSigned =
      signatures.length === decoded.members.length &&
      decoded.members.every(({ validatorKey }, i) =>
        verifySignature({ alg: 'ed25519', key: validatorKey }, message, signatures[i]),
      );
    if (!isSigned) throw new CodedError('genesis.invalid', 'expected the signature of every member');
    this.#chainId = decoded.chainId;
    for (const { subject, key } of decoded.operators) this.#enrol(subject, key);
  }

  check(tx: Uint8Array, sig: Uint8Array): string | undefined {
    const transaction = this.#transaction(tx);
    if (transaction.chainId !== this.#chainId) return 'a transaction for another chain';
    const signatory = this.#signatories.get(toHex(transaction.subject));
    if (signatory === undefined) return 'a subject that was not enrolled';
    if (signatory.revoked) return 'a subject that was revoked';
    const key = signatory.keys[transaction.keyIx];
    if (key === undefined || signatory.retired.has(transaction.keyIx)) return 'a key that is not in force';
    return verifySignature(key, signedMessage(tx), sig) ? undefined : 'a signature that does not verify';
  }

  follow(tx: Uint8Array, items: ReadonlyMap<number, FollowedItem>): void {
    const transaction = this.#transaction(tx);
    switch (transaction.type) {
      case 'SubjectPut':
        for (const { subject, key } of transaction.bodies) this.#enrol(subject, key);
        return;
      case 'SubjectKeyPut':
        for (const { subject, key, retire } of transaction.bodies) this.#addKey(subject, key, retire);
        return;
      case 'SubjectRevoke':
        for (const { subject } of transaction.bodies) this.#revoke(subject);
        return;
      case 'Proposal':
        for (const [i, { kind, body }] of transaction.bodies.entries()) {
          const item = items.get(i);
          if (kind !== 'Reconfig' || body.add === null || item === undefined) continue;
          this.#admissions.set(toHex(item.entryId), body.add);
          this.#admitIfExecuted(item.entryId, item);
        }
        return;
      case 'Approval':
        for (const [i, { proposal }] of transaction.bodies.entries()) {
          this.#admitIfExecuted(proposal, items.get(i));
        }
        return;
      default:
        return;
    }
  }

  /** Enrols the operator of a proposed member once the proposal's result says that it was executed. */
  #admitIfExecuted(proposal: Uint8Array, item: FollowedItem | undefined): void {
    const admission = this.#admissions.get(toHex(proposal));
    if (admission === undefined || item?.leaf.result.executed !== true) return;
    this.#admissions.delete(toHex(proposal));
    this.#enrol(admission.operator.subject, admission.operator.key);
  }

  #transaction(tx: Uint8Array): Transaction {
    if (this.#last?.bytes !== tx) this.#last = { bytes: tx, transaction: decodeTransaction(tx) };
    return this.#last.transaction;
  }

  #enrol(subject: Uint8Array, key: PublicKey): void {
    this.#signatories.set(toHex(subject), { keys: [key], retired: new Set(), revoked: false });
  }

  #revoke(subject: Uint8Array): void {
    const id = toHex(subject);
    const signatory = this.#signatories.get(id);
    if (signatory !== undefined) this.#signatories.set(id, { ...signatory, revoked: true });
  }

  #addKey(subject: Uint8Array, key: PublicKey, retire: readonly number[]): void {
    const id = toHex(subject);
    const signatory = this.#signatories.get(id);
    if (signatory === undefined) return;
    const retired = new Set([...signatory.retired, ...retire]);
    this.#signatories.set(id, { ...signatory, keys: [...signatory.keys, key], retired });
  }
}
