/**
 * What a subject signs: one kind, one or more bodies, a nonce and an end (docs/entries.md, "Transaction"). The
 * received bytes are the transaction: they are hashed, signed and stored as they came, never re-encoded.
 */
import { concat, toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import type { Signer } from '../../codec/signature.ts';
import { SUBJECT_KEYS_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_ITEMS_MAX } from './bounds.ts';
import { bytes16, bytes64, time } from './common.ts';
import { type Decode, integer, malformed, map, oneOf, text } from './fields.ts';
import { BODY_DECODERS, type EntryBodies, type EntryType, isEntryType } from './kinds.ts';
import { chainIdText } from './members.ts';

interface TransactionHead {
  readonly chainId: string;
  /** Who signs, with which of its keys. */
  readonly subject: Uint8Array;
  readonly keyIx: number;
  /** 16 random bytes, remembered by the ledger until `expiresAt`. */
  readonly nonce: Uint8Array;
  /** Block time in milliseconds after which the transaction is void. */
  readonly expiresAt: number;
}

/** A decoded transaction; `bodies` has one item for each entry that it makes. */
export type Transaction<K extends EntryType = EntryType> = {
  readonly [T in K]: TransactionHead & { readonly type: T; readonly bodies: readonly EntryBodies[T][] };
}[K];

/** A transaction to encode: a single body travels as a map, several as a list. */
export type TransactionDraft<K extends EntryType = EntryType> = {
  readonly [T in K]: TransactionHead & {
    readonly type: T;
    readonly body: EntryBodies[T] | readonly EntryBodies[T][];
  };
}[K];

/** Signed bytes and signature, as they are sent to the consensus. */
export interface SignedTransaction {
  readonly tx: Uint8Array;
  readonly sig: Uint8Array;
}

/** A request behind its decoder: the bytes, their meaning, and what is asked of them again and again. */
export interface ParsedRequest extends SignedTransaction {
  /** Transaction id, 32 bytes, and in hexadecimal. */
  readonly id: Uint8Array;
  readonly hex: string;
  readonly transaction: Transaction;
  /** The bytes under the signature. */
  readonly message: Uint8Array;
  /** Hexadecimal of the signer and of the nonce. */
  readonly subject: string;
  readonly nonce: string;
}

const SIGNATURE_TAG = tagged(DOMAIN.transactionSignature);

function tagged(tag: string): Uint8Array {
  const bytes = utf8(tag);
  return concat(Uint8Array.of(bytes.length), bytes);
}

/** Canonical bytes of `draft`. Throws `entry.malformed` or `tx.too_large` as a receiver would. */
export function encodeTransaction<K extends EntryType>(draft: TransactionDraft<K>): Uint8Array {
  const { chainId, type, subject, keyIx, nonce, expiresAt, body } = draft;
  const bytes = encodeCbor({ v: 1, chainId, type, subject, keyIx, nonce, expiresAt, body });
  decodeTransaction(bytes);
  return bytes;
}

const head = map({
  v: oneOf(1),
  chainId: chainIdText,
  type: text(1, 32),
  subject: bytes16,
  keyIx: integer(0, SUBJECT_KEYS_MAX - 1),
  nonce: bytes16,
  expiresAt: time,
  body: ((value) => value) as Decode<unknown>,
});

/**
 * The transaction in `bytes`. Throws `tx.too_large`, `cbor.malformed`, `entry.unknown_type` or
 * `entry.malformed`; says nothing about signature, rights or state.
 */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  if (bytes.length > TRANSACTION_BYTES_MAX) {
    throw new CodedError(
      'tx.too_large',
      `expected a transaction of at most ${TRANSACTION_BYTES_MAX} bytes, got ${bytes.length}: send several`,
      { details: { max: TRANSACTION_BYTES_MAX, got: bytes.length } },
    );
  }
  const { chainId, type, subject, keyIx, nonce, expiresAt, body } = head(decodeCbor(bytes), 'tx');
  if (!isEntryType(type)) {
    throw new CodedError(
      'entry.unknown_type',
      `expected a kind of entry that this version knows, got "${type}"`,
    );
  }
  return { chainId, type, subject, keyIx, nonce, expiresAt, bodies: decodeBodies(type, body) } as Transaction;
}

function decodeBodies<K extends EntryType>(type: K, body: unknown): readonly EntryBodies[K][] {
  const decode = BODY_DECODERS[type];
  if (!Array.isArray(body)) return [decode(body, 'body')];
  if (body.length < 1 || body.length > TRANSACTION_ITEMS_MAX) {
    malformed('body', `a list of 1 to ${TRANSACTION_ITEMS_MAX}`);
  }
  return body.map((one) => decode(one, 'body'));
}

/** Id of a transaction: a hash of the signed bytes without the signature, which is not unique (32 bytes). */
export function transactionId(tx: Uint8Array): Uint8Array {
  return taggedHash(DOMAIN.transactionId, tx);
}

/** The bytes under a transaction's signature. */
export function signedMessage(tx: Uint8Array): Uint8Array {
  return concat(SIGNATURE_TAG, tx);
}

/** Encodes `draft` and signs it. The signer's key must be number `draft.keyIx` of `draft.subject`. */
export function signTransaction<K extends EntryType>(
  signer: Signer,
  draft: TransactionDraft<K>,
): SignedTransaction {
  const tx = encodeTransaction(draft);
  return { tx, sig: signer.sign(signedMessage(tx)) };
}

/** A map of two fields and the name of the first; then `tx` with its length, then this, then 64 bytes. */
const REQUEST_HEAD = Uint8Array.of(0xa2, 0x62, 0x74, 0x78);
const SIGNATURE_HEAD = Uint8Array.of(0x63, 0x73, 0x69, 0x67, 0x58, 0x40);
const SIGNATURE_BYTES = 64;

/** A request as the consensus carries it: canonical dag-cbor { tx, sig }. */
export function encodeRequest(signed: SignedTransaction): Uint8Array {
  return encodeCbor({ tx: signed.tx, sig: signed.sig });
}

const request = map<SignedTransaction>({
  tx: (value, field) => (value instanceof Uint8Array ? value : malformed(field, 'bytes')),
  sig: bytes64,
});

/** Most bytes of a request: the transaction, the signature and what frames them. */
export const REQUEST_BYTES_MAX: number = TRANSACTION_BYTES_MAX + 128;

/**
 * The two parts of a request whose transaction has 24 to 65,535 bytes, cut out where canonical encoding puts them;
 * undefined for anything else, which the general decoder then judges. Copies, so that a request does not hold on
 * to the batch that it came in.
 */
function cutRequest(bytes: Uint8Array): SignedTransaction | undefined {
  const at = REQUEST_HEAD.length;
  const isShort = bytes[at] === 0x58;
  if (!isShort && bytes[at] !== 0x59) return undefined;
  const length = isShort ? bytes[at + 1] : bytes[at + 1] * 256 + bytes[at + 2];
  const start = at + (isShort ? 2 : 3);
  const end = start + length;
  const isCut =
    bytes.length === end + SIGNATURE_HEAD.length + SIGNATURE_BYTES &&
    length >= (isShort ? 24 : 256) &&
    REQUEST_HEAD.every((byte, i) => bytes[i] === byte) &&
    SIGNATURE_HEAD.every((byte, i) => bytes[end + i] === byte);
  return isCut ? { tx: bytes.slice(start, end), sig: bytes.slice(-SIGNATURE_BYTES) } : undefined;
}

/** The request in `bytes` with its id. Throws as `decodeTransaction` does. */
export function decodeRequest(bytes: Uint8Array): ParsedRequest {
  const { tx, sig } = cutRequest(bytes) ?? request(decodeCbor(bytes, REQUEST_BYTES_MAX), 'request');
  const transaction = decodeTransaction(tx);
  const id = transactionId(tx);
  return {
    tx,
    sig,
    id,
    hex: toHex(id),
    transaction,
    message: signedMessage(tx),
    subject: toHex(transaction.subject),
    nonce: toHex(transaction.nonce),
  };
}
