/**
 * C2SP signed-note: a text, a blank line, and signature lines `— <name> <base64(key id || signature)>`.
 * The text is covered with its final newline, without the blank line.
 *
 * Signature types here: 0x01 Ed25519 over the text (validators), 0x04 timestamped cosignature (tlog-cosignature v1,
 * outside witnesses). Decoding is strict: standard base64 with padding and zero spare bits, no line but these.
 */
import { concat, equalBytes, fromBase64url, fromUtf8, toBase64url, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';

/** Ed25519 over the note text. */
export const NOTE_ED25519 = 0x01;
/** Ed25519 over `cosignature/v1`, a time line and the note text. */
export const NOTE_COSIGNATURE = 0x04;

/** Largest note that is parsed. */
export const NOTE_BYTES_MAX = 64 * 1024;
/** Most signature lines: every validator of the largest set and as many witnesses again. */
export const NOTE_SIGNATURES_MAX = 128;
/** Longest key name. */
export const NOTE_NAME_BYTES_MAX = 256;

const DASH = '— ';
const KEY_ID_BYTES = 4;

/** One signature line: whose it says it is, and its bytes without the key id. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** A note taken apart; nothing in it is verified. */
export interface Note {
  /** Ends in a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

const malformed = (message: string): never => {
  throw new CodedError('checkpoint.malformed', message);
};

/** Throws `checkpoint.malformed` unless `name` may stand in a signature line. */
export function checkNoteName(name: string): string {
  if (!/^[^\s+]+$/u.test(name) || utf8(name).length > NOTE_NAME_BYTES_MAX) {
    malformed(`expected a key name of 1 to ${NOTE_NAME_BYTES_MAX} bytes without spaces and "+"`);
  }
  return name;
}

/** First 4 bytes of SHA-256(name || 0x0A || type || public key). */
export function noteKeyId(name: string, type: number, publicKey: Uint8Array): Uint8Array {
  return sha256(utf8(name), Uint8Array.of(0x0a, type), publicKey).subarray(0, KEY_ID_BYTES);
}

/** Whether a line claims to be by this key. Only then is its signature worth a look. */
export function isLineOf(line: NoteSignature, name: string, type: number, publicKey: Uint8Array): boolean {
  return line.name === name && equalBytes(line.keyId, noteKeyId(name, type, publicKey));
}

/** A signature line with its newline. */
export function noteLine(line: NoteSignature): string {
  return `${DASH}${checkNoteName(line.name)} ${toBase64(concat(line.keyId, line.signature))}\n`;
}

/** The note of `text` (ending in a newline) and finished signature lines. */
export function joinNote(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.join('')}`;
}

/** Takes a note apart. Throws `checkpoint.malformed`. */
export function splitNote(note: string): Note {
  if (utf8(note).length > NOTE_BYTES_MAX) malformed(`expected a note of at most ${NOTE_BYTES_MAX} bytes`);
  // A lone surrogate would be signed as one text and shown as another.
  if (fromUtf8(utf8(note)) !== note) malformed('expected well-formed text');
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || !note.endsWith('\n')) malformed('expected a text, a blank line and signature lines');
  const text = note.slice(0, cut + 1);
  const lines = note.slice(cut + 2, -1).split('\n');
  if (lines.length > NOTE_SIGNATURES_MAX) malformed(`expected at most ${NOTE_SIGNATURES_MAX} signatures`);
  return { text, signatures: lines.map(parseLine) };
}

function parseLine(line: string): NoteSignature {
  const parts = line.startsWith(DASH) ? line.slice(DASH.length).split(' ') : [];
  if (parts.length !== 2) malformed('expected signature lines of the form "— name base64"');
  const [name, text] = parts;
  const bytes = fromBase64(text);
  if (bytes.length <= KEY_ID_BYTES) malformed('expected a key id and a signature');
  return {
    name: checkNoteName(name),
    keyId: bytes.subarray(0, KEY_ID_BYTES),
    signature: bytes.subarray(KEY_ID_BYTES),
  };
}

/** RFC 4648 section 4, padded. */
export function toBase64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** Bytes of padded base64, exactly as `toBase64` writes it. Throws `checkpoint.malformed`. */
export function fromBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) malformed('expected padded base64');
  try {
    return fromBase64url(text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'));
  } catch {
    return malformed('expected base64 with zero spare bits');
  }
}
