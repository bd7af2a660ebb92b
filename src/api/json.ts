/** Ledger values as JSON: ids in hexadecimal, other bytes in base64url. Field names decide; entries.md fixes them. */
import { fromBase64url, fromHex, toBase64url, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { CommittedEntry } from './ports.ts';
import type { CommittedJson } from './schemas.ts';

/** Fields whose bytes are ids or hashes that people compare by eye. */
const HEX_FIELDS = new Set([
  'subject',
  'record',
  'keyId',
  'patient',
  'grantee',
  'consent',
  'proposal',
  'entry',
  'entryId',
  'author',
  'id',
  'headerHash',
  'commitment',
  'manifestHash',
  'blindedHash',
  'transcript',
  'digest',
]);

/** `value` with every byte string as text. */
export function toJson(value: unknown, field = ''): unknown {
  if (value instanceof Uint8Array) return HEX_FIELDS.has(field) ? toHex(value) : toBase64url(value);
  if (Array.isArray(value)) return value.map((item) => toJson(item, field));
  if (typeof value === 'bigint') return value.toString();
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item, key)]));
  }
  return value;
}

/** RFC 3339 UTC of milliseconds. */
export function toTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** An entry with its receipt, as writes answer with it. */
export function committedJson(entry: CommittedEntry, receipt: Uint8Array | null): CommittedJson {
  return {
    entryId: entry.entryId,
    index: entry.index,
    height: entry.height,
    time: toTime(entry.timeMs),
    type: entry.type,
    result: toJson(entry.result) as Record<string, unknown>,
    receipt: receipt === null ? null : toBase64url(receipt),
  };
}

/** An entry as the ledger routes show it. */
export function entryJson(entry: CommittedEntry): Record<string, unknown> {
  return {
    entryId: entry.entryId,
    index: entry.index,
    height: entry.height,
    time: toTime(entry.timeMs),
    type: entry.type,
    subject: entry.subject,
    body: toJson(entry.body),
    result: toJson(entry.result),
  };
}

/** Bytes of a base64url or hexadecimal field that a schema has already checked for form. */
export const bytesOf = { base64url: fromBase64url, hex: fromHex } as const;

/** The request bytes `{ tx, sig }` of a body that the client signed; throws when only one of the two is there. */
export function signedPair(body: {
  tx?: string | undefined;
  sig?: string | undefined;
}): { tx: Uint8Array; sig: Uint8Array } | undefined {
  if (body.tx === undefined && body.sig === undefined) return undefined;
  if (body.tx === undefined || body.sig === undefined) {
    throw new CodedError('request.invalid', 'expected both "tx" and "sig", or neither');
  }
  return { tx: fromBase64url(body.tx), sig: fromBase64url(body.sig) };
}

/** Plaintext as JSON carries it without loss: text if it is UTF-8, else its bytes in base64url. */
export function contentJson(plaintext: Uint8Array): {
  readonly content: string;
  readonly encoding: 'utf-8' | 'base64url';
} {
  try {
    // A byte order mark is part of the content.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plaintext);
    return { content: text, encoding: 'utf-8' };
  } catch {
    return { content: toBase64url(plaintext), encoding: 'base64url' };
  }
}
