/**
 * Refusals: why a transaction leaves no entry. Rules throw `CodedError` with one of these codes, or with a
 * `policy.*` code of the policy language; `applyTransaction` turns them into data. A denied access or search
 * is not a refusal.
 */
import { CodedError } from '../../codec/errors.ts';

/** Codes that the state machine refuses with, besides `entry.*` of the decoders and `policy.*`. */
export const REFUSALS = {
  /** Another ledger's transaction. */
  'tx.chain': 'The transaction names another chain.',
  /** Void already, or valid for longer than 10 minutes. */
  'tx.expiry': 'expiresAt must lie after the block time, by at most 10 minutes.',
  /** Executed before; the first result stands. */
  'tx.duplicate': 'This transaction has been executed.',
  /** Another transaction of the subject took the nonce. */
  'tx.nonce_reused': 'The nonce belongs to another transaction: draw a new one.',
  'tx.too_costly': 'The transaction takes too long to execute: send several.',
  'block.too_costly': 'The block is full: send the transaction again.',
  /** The subject or its key number is unknown, retired or revoked. */
  'tx.signer': 'The signer is not registered, or its key is retired.',
  /** The signature does not verify. */
  'tx.signature': 'The signature is not the registered key’s over these bytes.',
  /** The signer lacks the right for its own member. */
  'right.missing': 'The signer does not hold the right that this entry needs.',
  /** A right to count for somebody whose own keys would open what is counted. */
  'right.custody': 'A right to count is for subjects whose one key is in a gateway’s custody.',
  'subject.unknown': 'No such subject.',
  'subject.exists': 'The subject is enrolled already.',
  'subject.revoked': 'The subject is revoked.',
  'subject.kind': 'The subject is not of the kind that this entry needs.',
  'subject.proof': 'The new key did not sign for this subject.',
  'subject.keys': 'A subject has at most 8 keys and keeps one that is not retired.',
  'member.unknown': 'No such member.',
  'attribute.reserved': 'Nobody grants this label: it comes from the ledger’s own rules.',
  'attribute.issuer': 'Only the issuer’s own registrar, or the rule of a shared label, may set this.',
  'attribute.not_canonical': 'Write the attribute as it is printed, without quotes that it does not need.',
  'attribute.not_held': 'The subject does not hold the attribute now.',
  'attribute.until': 'The end lies in the past.',
  'attribute.too_many':
    'A key lists at most 256 attributes; a subject holds 192 of its own member and 16 of another.',
  'attribute.second_value': 'Another hospital’s subject holds a value of this label: end it first.',
  'registry.changed': 'A label’s type and width stay; finite values only grow.',
  'key.unknown': 'No such key.',
  'key.not_yours': 'The key belongs to another subject.',
  'key.stale': 'The key is of an earlier generation: ask for a new one.',
  'share.none': 'No key ceremony has been confirmed yet.',
  'share.epoch': 'The share epoch is not the next one, or the key is of an earlier one.',
  'share.members': 'A share epoch lists every member of the consortium, with their quorum as threshold.',
  'share.mpk_changed': 'The master public key stays through resharing.',
  'share.ceremony': 'No ceremony of this name is in the phase that this needs.',
  'share.ceremony_open': 'A key ceremony is under way: wait for its end, or abort it by a proposal.',
  'share.proposal': 'A ceremony after the first begins with a proposal that a majority approves.',
  'share.step': 'The step is not this member’s, or was taken already.',
  'share.transcript': 'The confirmation is of another run of the ceremony.',
  'share.window': 'The phase still waits for members.',
  'record.unknown': 'No such record.',
  'record.version': 'The version is not the next one.',
  'record.custodian': 'The record belongs to another custodian.',
  'record.erased': 'The record is erased.',
  'record.not_erased': 'The record is not erased.',
  'record.field_key': 'Field keys are changed by FieldKeyPut alone.',
  'consent.unknown': 'No such consent.',
  'consent.period': 'A consent ends in the future, at most 366 days ahead.',
  'consent.state': 'The consent is not in the state that this answer needs.',
  'consent.not_yours': 'Only the patient answers.',
  'consent.too_many': 'A pair has at most 16 consents in force.',
  'break_glass.unknown': 'No such break-glass entry.',
  'break_glass.state': 'The entry has been reviewed.',
  'break_glass.own': 'Nobody reviews their own break-glass.',
  'field.epoch': 'The epoch is not the next one.',
  'index.seq': 'The sequence number is not the next one.',
  'index.covered': 'The manifest covers numbers that do not exist.',
  'proposal.unknown': 'No such proposal.',
  'proposal.closed': 'The proposal has been executed or its time is over.',
  'proposal.until': 'A proposal ends in the future, at most 90 days ahead.',
  'proposal.approved': 'The member has approved already.',
  'reconfig.pending': 'Another change of the validators is not in force yet.',
  'reconfig.checkpoint': 'The newcomer’s checkpoint is not a quorum’s, or is more than 256 blocks old.',
  'reconfig.members':
    'The change does not fit the consortium: 4 to 64 members, each once, none that has left.',
  'evidence.invalid': 'The messages do not contradict each other, or are not a validator’s.',
  'evidence.known': 'The validator may not lead already.',
} as const;

export type RefusalCode = keyof typeof REFUSALS;

/** Refuses the transaction with `code`. */
export function refuse(code: RefusalCode, details: Record<string, string | number | boolean> = {}): never {
  throw new CodedError(code, REFUSALS[code], { details });
}
