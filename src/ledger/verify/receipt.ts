/**
 * Receipts: one entry, its inclusion proof, and the checkpoint of that tree. Whoever holds the validators' keys verifies
 * one offline, in Node or a browser, and can pass it on (ledger-security rules 20, 25).
 *
 * A good receipt proves that the entry stands in the log and that a quorum of the epoch executed it. It does not prove
 * that nothing followed it: a grant shown by a receipt may have been revoked since.
 */
import { fromBase64url, toBase64url, toHex } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { type Checkpoint, parseCheckpoint, verifyCheckpoint } from '../checkpoint/checkpoint.ts';
import { NOTE_BYTES_MAX } from '../checkpoint/note.ts';
import { decodeLeaf, type Leaf } from '../entries/leaf.ts';
import { anchorOrigin, type TrustAnchor, validatorsAt } from './anchor.ts';
import { HASH_BYTES, leafHash, verifyInclusion } from './rfc6962.ts';

/** Largest receipt: the largest leaf, a proof of 53 hashes and the largest checkpoint. */
export const RECEIPT_BYTES_MAX = 1024 * 1024;
/** Hashes that a tree of 2^53 leaves needs. */
export const PROOF_HASHES_MAX = 53;

export interface Receipt {
  /** The leaf, as it stands in the log. */
  readonly entry: Uint8Array;
  /** Its place in the log. */
  readonly index: number;
  /** From the leaf to the checkpoint's root, 32 bytes each. */
  readonly proof: readonly Uint8Array[];
  /** Signed note; its size is the size that `proof` is for. */
  readonly checkpoint: string;
}

/** Receipt in JSON: bytes in base64url. */
export interface ReceiptJson {
  readonly v: 1;
  readonly entry: string;
  readonly index: number;
  readonly proof: readonly string[];
  readonly checkpoint: string;
}

export type ReceiptVerdict =
  | {
      readonly ok: true;
      /** 32 bytes in hexadecimal. */
      readonly entryId: string;
      readonly leaf: Leaf;
      readonly checkpoint: Checkpoint;
      /** Members whose cosignatures are good. */
      readonly members: readonly string[];
      readonly witnesses: readonly { readonly name: string; readonly time: number }[];
    }
  | { readonly ok: false; readonly code: string; readonly message: string };

const malformed = (message: string): never => {
  throw new CodedError('receipt.malformed', message);
};

/** Canonical dag-cbor {v: 1, entry, index, proof: all hashes in one byte string, checkpoint: text}. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  const { entry, index, proof, checkpoint } = receipt;
  const hashes = new Uint8Array(proof.length * HASH_BYTES);
  for (const [i, hash] of proof.entries()) hashes.set(hash, i * HASH_BYTES);
  return encodeCbor({ v: 1, entry, index, proof: hashes, checkpoint });
}

/** Throws `cbor.malformed`, `cbor.too_large` or `receipt.malformed`. */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const value = decodeCbor(bytes, RECEIPT_BYTES_MAX);
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 5) {
    return malformed('expected a map of v, entry, index, proof and checkpoint');
  }
  const { v, entry, index, proof, checkpoint } = value as Record<string, unknown>;
  if (v !== 1) return malformed('expected receipt version 1');
  if (!(entry instanceof Uint8Array) || !(proof instanceof Uint8Array)) {
    return malformed('expected entry and proof as bytes');
  }
  if (proof.length % HASH_BYTES !== 0 || proof.length > PROOF_HASHES_MAX * HASH_BYTES) {
    return malformed(`expected a proof of at most ${PROOF_HASHES_MAX} hashes`);
  }
  if (typeof index !== 'number' || !Number.isSafeInteger(index) || index < 0) {
    return malformed('expected an index');
  }
  if (typeof checkpoint !== 'string' || checkpoint.length > NOTE_BYTES_MAX) {
    return malformed('expected a checkpoint as text');
  }
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < proof.length; at += HASH_BYTES)
    hashes.push(new Uint8Array(proof.subarray(at, at + HASH_BYTES)));
  return { entry, index, proof: hashes, checkpoint };
}

export function receiptToJson(receipt: Receipt): ReceiptJson {
  return {
    v: 1,
    entry: toBase64url(receipt.entry),
    index: receipt.index,
    proof: receipt.proof.map(toBase64url),
    checkpoint: receipt.checkpoint,
  };
}

/** Throws as `decodeReceipt` does, and `bytes.not_base64url`. */
export function receiptFromJson(json: unknown): Receipt {
  if (typeof json !== 'object' || json === null || Object.keys(json).length !== 5) {
    return malformed('expected an object of v, entry, index, proof and checkpoint');
  }
  const { v, entry, index, proof, checkpoint } = json as Record<string, unknown>;
  const isText = (value: unknown): value is string =>
    typeof value === 'string' && value.length <= RECEIPT_BYTES_MAX;
  if (v !== 1 || !isText(entry) || !isText(checkpoint) || typeof index !== 'number') {
    return malformed('expected receipt version 1 with texts and an index');
  }
  if (!Array.isArray(proof) || proof.length > PROOF_HASHES_MAX || !proof.every(isText)) {
    return malformed('expected a proof as a list of texts');
  }
  const hashes = proof.map(fromBase64url);
  if (hashes.some((hash) => hash.length !== HASH_BYTES)) return malformed('expected hashes of 32 bytes');
  // One way into the program: what the byte form refuses is refused here.
  return decodeReceipt(encodeReceipt({ entry: fromBase64url(entry), index, proof: hashes, checkpoint }));
}

/**
 * Whether `receipt` holds under `anchor`. Every byte counts: lines of keys that the anchor does not know are refused
 * here, although a checkpoint on its own may carry them. Never throws on bad input.
 */
export function verifyReceipt(receipt: Uint8Array | Receipt, anchor: TrustAnchor): ReceiptVerdict {
  try {
    return verify(receipt instanceof Uint8Array ? decodeReceipt(receipt) : receipt, anchor);
  } catch (error) {
    if (error instanceof CodedError) return { ok: false, code: error.code, message: error.message };
    return { ok: false, code: 'receipt.malformed', message: 'the receipt cannot be read' };
  }
}

function verify(receipt: Receipt, anchor: TrustAnchor): ReceiptVerdict {
  const refuse = (code: string, message: string): never => {
    throw new CodedError(code, message);
  };
  const claimed = parseCheckpoint(receipt.checkpoint).checkpoint;
  const set = validatorsAt(anchor, claimed.height);
  const verified = verifyCheckpoint(receipt.checkpoint, anchorOrigin(anchor), set, {
    witnesses: anchor.witnesses,
  });
  const { checkpoint, members, witnesses, unknown } = verified;
  if (unknown.length > 0) {
    refuse('receipt.unknown_signature', `${unknown.length} signature lines are by nobody the anchor knows`);
  }
  const hash = leafHash(receipt.entry);
  if (!verifyInclusion(hash, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)) {
    refuse(
      'receipt.not_included',
      `the proof does not lead from entry ${receipt.index} to the root of ${checkpoint.size} entries`,
    );
  }
  const leaf = decodeLeaf(receipt.entry);
  if (leaf.index !== receipt.index || leaf.height > checkpoint.height || leaf.time > checkpoint.time) {
    refuse('receipt.misplaced', 'the entry names another place, or a later block than the checkpoint');
  }
  return { ok: true, entryId: toHex(hash), leaf, checkpoint, members, witnesses };
}
