/**
 * The words of the language: which names, issuers and text values are allowed. Only NFC is accepted, never
 * repaired: two writers who normalise differently would otherwise mean different attributes by one text.
 */
import { utf8 } from '../../codec/bytes.ts';
import { ISSUER_LENGTH_MAX, LABEL_LENGTH_MAX, VALUE_BYTES_MAX } from './limits.ts';

/** Words with a meaning of their own, in any case; as a text value they need quotes. */
export const KEYWORDS: readonly string[] = ['and', 'or', 'not', 'of', 'in'];

/**
 * Labels that no registry may define: the keywords, and the names of leaves that only the ledger's rules
 * release. Typed leaves cannot collide whatever a label is called; this keeps people from being misled.
 */
export const RESERVED_LABELS: ReadonlySet<string> = new Set([
  ...KEYWORDS,
  'b',
  'gate',
  'emergency',
  'epoch',
  'level',
  'window',
  'record',
  'issuer',
]);

/** Shared text labels that every registry holds: granted by ledger rules only, value = patient pseudonym. */
export const PSEUDONYM_LABELS: ReadonlySet<string> = new Set(['patient', 'consent']);

const PSEUDONYM_FORM = /^[0-9a-f]{32}$/;
const LABEL_FORM = new RegExp(`^[a-z][a-z0-9_.-]{0,${LABEL_LENGTH_MAX - 1}}$`);
const ISSUER_FORM = new RegExp(`^[a-z][a-z0-9-]{0,${ISSUER_LENGTH_MAX - 1}}$`);

/** A text that may stand without quotes, if it is no keyword, number or date. */
export const BARE_FORM = /^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$/;

/**
 * First and last of the code points refused: C0 and C1 controls, line and paragraph separators, the characters
 * that turn text round, and the byte-order mark. A policy must read as what it is. The list is fixed here,
 * because engines differ in their Unicode version.
 */
const FORBIDDEN: readonly (readonly [number, number])[] = [
  [0x0000, 0x001f],
  [0x007f, 0x009f],
  [0x061c, 0x061c],
  [0x200e, 0x200f],
  [0x2028, 0x202e],
  [0x2066, 0x2069],
  [0xfeff, 0xfeff],
];
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is wrong with `label`, or undefined. */
export function labelProblem(label: string): string | undefined {
  if (!LABEL_FORM.test(label)) {
    return `a label is a-z, 0-9, "_", "." and "-", beginning with a letter, at most ${LABEL_LENGTH_MAX}`;
  }
  return undefined;
}

/** What is wrong with `issuer`, or undefined; the empty issuer stands for "shared". */
export function issuerProblem(issuer: string): string | undefined {
  if (issuer !== '' && !ISSUER_FORM.test(issuer)) {
    return `an issuer is a-z, 0-9 and "-", beginning with a letter, at most ${ISSUER_LENGTH_MAX}`;
  }
  return undefined;
}

/** What is wrong with `value` as a text value, or undefined. */
export function textProblem(value: string): string | undefined {
  if (value === '') return 'a text value is not empty';
  if (LONE_SURROGATE.test(value)) return 'text is well-formed Unicode: this has half a surrogate pair';
  if (hasForbidden(value)) return 'text has no control, line-separator or direction characters';
  if (value.normalize('NFC') !== value) return 'text is in Unicode normal form C: normalise it first';
  if (utf8(value).length > VALUE_BYTES_MAX) return `a text value has at most ${VALUE_BYTES_MAX} bytes`;
  return undefined;
}

function hasForbidden(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (FORBIDDEN.some(([first, last]) => unit >= first && unit <= last)) return true;
  }
  return false;
}

/** True when a label's values are patient pseudonyms and `value` is not one. */
export function isBadPseudonym(label: string, value: string): boolean {
  return PSEUDONYM_LABELS.has(label) && !PSEUDONYM_FORM.test(value);
}
