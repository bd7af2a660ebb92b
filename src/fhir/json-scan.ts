/**
 * A strict JSON scanner over bytes (RFC 8259 with the restrictions of I-JSON, RFC 7493: UTF-8 only, no
 * duplicate names, no unpaired surrogates). It builds no values: it validates and tells where a value begins
 * and ends, so that a resource can be cut out of its Bundle byte for byte. Parsing the slice afterwards with
 * `JSON.parse` cannot fail and cannot meet a duplicate name.
 *
 * It keeps the whole value in memory and does not resume over chunks: values are bounded by VALUE_BYTES_MAX.
 */
import { fromUtf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { JSON_DEPTH_MAX } from './limits.ts';

/** Half-open range of bytes: `bytes.subarray(start, end)` is the value without the white space around it. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Thrown as `fhir.json_*`; `details.offset` is the offending byte. Never quotes the text. */
function refuse(code: string, offset: number, expected: string): never {
  throw new CodedError(code, `expected ${expected}`, { details: { offset } });
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LITERALS: Readonly<Record<number, Uint8Array>> = {
  116: Uint8Array.of(0x74, 0x72, 0x75, 0x65),
  102: Uint8Array.of(0x66, 0x61, 0x6c, 0x73, 0x65),
  110: Uint8Array.of(0x6e, 0x75, 0x6c, 0x6c),
};
/** `"`, `\`, `/`, b, f, n, r, t: what may follow a backslash besides u. */
const SIMPLE_ESCAPES = new Set([0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]);
/** Below this many names a linear search for duplicates is cheaper than a set. */
const LINEAR_NAMES_MAX = 12;

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** A cursor over one JSON text. Every method starts at the cursor and leaves it behind what it read. */
export class JsonScanner {
  readonly #bytes: Uint8Array;
  #at: number;
  #depth = 0;

  constructor(bytes: Uint8Array, start = 0) {
    this.#bytes = bytes;
    this.#at = start;
  }

  /** Offset just behind what was read. */
  get offset(): number {
    return this.#at;
  }

  /** Offset of the next byte that is not white space. */
  position(): number {
    this.#space();
    return this.#at;
  }

  /** Whether the next value is an object. */
  atObject(): boolean {
    return this.#bytes[this.position()] === OPEN_OBJECT;
  }

  /** Whether the next value is an array. */
  atArray(): boolean {
    return this.#bytes[this.position()] === OPEN_ARRAY;
  }

  /** Whether the next value is a string. */
  atString(): boolean {
    return this.#bytes[this.position()] === QUOTE;
  }

  /** Refuses anything but white space up to the end of the bytes. */
  finish(): void {
    if (this.position() !== this.#bytes.length) {
      refuse('fhir.json_syntax', this.#at, 'the end of the input after one JSON value');
    }
  }

  /** Validates the next value of any kind and tells where it lies. */
  value(): Span {
    const start = this.position();
    const first = this.#bytes[start];
    if (first === OPEN_OBJECT) this.members(() => this.value());
    else if (first === OPEN_ARRAY) this.elements(() => this.value());
    else if (first === QUOTE) this.#skipString();
    else if (first !== undefined && LITERALS[first] !== undefined) this.#literal(LITERALS[first]);
    else this.#number();
    return { start, end: this.#at };
  }

  /** The next value, which is a string, decoded. */
  string(): string {
    const start = this.position();
    const escaped = this.#skipString();
    return this.#decode(start, this.#at, escaped);
  }

  /** Reads an object; `onMember` is called behind each colon and must consume exactly the member's value. */
  members(onMember: (name: string) => void): void {
    this.#enter(OPEN_OBJECT, 'an object');
    const names: string[] = [];
    let many: Set<string> | undefined;
    let open = this.#bytes[this.position()] !== CLOSE_OBJECT;
    while (open) {
      const nameAt = this.position();
      const name = this.string();
      if (many === undefined ? names.includes(name) : many.has(name)) {
        refuse('fhir.json_duplicate_name', nameAt, 'every name in an object once');
      }
      if (many !== undefined) many.add(name);
      else if (names.push(name) > LINEAR_NAMES_MAX) many = new Set(names);
      if (this.#bytes[this.position()] !== COLON) refuse('fhir.json_syntax', this.#at, 'a colon');
      this.#at++;
      onMember(name);
      const next = this.#bytes[this.position()];
      open = next !== CLOSE_OBJECT;
      if (open && next !== COMMA) refuse('fhir.json_syntax', this.#at, 'a comma or the end of the object');
      if (open) this.#at++;
    }
    this.#leave();
  }

  /** Reads an array; `onElement` must consume exactly one element. */
  elements(onElement: () => void): void {
    this.#enter(OPEN_ARRAY, 'an array');
    let open = this.#bytes[this.position()] !== CLOSE_ARRAY;
    while (open) {
      onElement();
      const next = this.#bytes[this.position()];
      open = next !== CLOSE_ARRAY;
      if (open && next !== COMMA) refuse('fhir.json_syntax', this.#at, 'a comma or the end of the array');
      if (open) this.#at++;
    }
    this.#leave();
  }

  #enter(open: number, what: string): void {
    if (this.#bytes[this.position()] !== open) refuse('fhir.json_syntax', this.#at, what);
    if (++this.#depth > JSON_DEPTH_MAX) {
      refuse('fhir.json_depth', this.#at, `at most ${JSON_DEPTH_MAX} levels of nesting`);
    }
    this.#at++;
  }

  #leave(): void {
    this.#depth--;
    this.#at++;
  }

  #space(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    while (at < bytes.length) {
      const byte = bytes[at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    this.#at = at;
  }

  #literal(word: Uint8Array): void {
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#at + i] !== word[i]) refuse('fhir.json_syntax', this.#at, 'true, false or null');
    }
    this.#at += word.length;
  }

  #number(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    if (bytes[this.#at] === 0x2d) this.#at++;
    if (bytes[this.#at] === 0x30) this.#at++;
    else this.#digits(start);
    if (bytes[this.#at] === 0x2e) {
      this.#at++;
      this.#digits(start);
    }
    if (bytes[this.#at] === 0x65 || bytes[this.#at] === 0x45) {
      this.#at++;
      if (bytes[this.#at] === 0x2b || bytes[this.#at] === 0x2d) this.#at++;
      this.#digits(start);
    }
  }

  #digits(start: number): void {
    if (!isDigit(this.#bytes[this.#at] ?? 0)) refuse('fhir.json_syntax', start, 'a JSON value');
    while (this.#at < this.#bytes.length && isDigit(this.#bytes[this.#at])) this.#at++;
  }

  /** Moves behind the closing quote; true when the string holds an escape. */
  #skipString(): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    if (bytes[start] !== QUOTE) refuse('fhir.json_syntax', start, 'a string');
    let escaped = false;
    let at = start + 1;
    for (;;) {
      const byte = bytes[at];
      if (byte === undefined) refuse('fhir.json_syntax', start, 'the end of the string');
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        escaped = true;
        at = this.#escape(at);
      } else if (byte < 0x20) {
        refuse('fhir.json_syntax', at, 'control characters in strings to be escaped');
      } else if (byte < 0x80) {
        at++;
      } else {
        at += utf8Length(bytes, at);
      }
    }
    this.#at = at + 1;
    return escaped;
  }

  /** Offset behind the escape at `at`; a high surrogate takes its low one with it. */
  #escape(at: number): number {
    const kind = this.#bytes[at + 1] ?? 0;
    if (SIMPLE_ESCAPES.has(kind)) return at + 2;
    const unit = this.#unicodeEscape(at);
    if (unit < 0xd800 || unit > 0xdfff) return at + 6;
    const paired =
      unit < 0xdc00 && this.#bytes[at + 6] === BACKSLASH ? this.#unicodeEscape(at + 6) : undefined;
    if (paired === undefined || paired < 0xdc00 || paired > 0xdfff) {
      refuse('fhir.json_text', at, 'surrogates in pairs');
    }
    return at + 12;
  }

  #unicodeEscape(at: number): number {
    if (this.#bytes[at + 1] !== 0x75) refuse('fhir.json_syntax', at, 'a JSON escape');
    let unit = 0;
    for (let i = at + 2; i < at + 6; i++) {
      const byte = this.#bytes[i] ?? 0;
      const digit = isDigit(byte) ? byte - 0x30 : (byte | 0x20) - 0x57;
      if (!isDigit(byte) && (digit < 10 || digit > 15)) {
        refuse('fhir.json_syntax', at, 'four hexadecimal digits');
      }
      unit = (unit << 4) | digit;
    }
    return unit;
  }

  #decode(start: number, end: number, escaped: boolean): string {
    if (escaped) return JSON.parse(fromUtf8(this.#bytes.subarray(start, end)));
    const length = end - start - 2;
    if (length > 48) return fromUtf8(this.#bytes.subarray(start + 1, end - 1));
    let text = '';
    for (let i = start + 1; i < end - 1; i++) {
      const byte = this.#bytes[i];
      if (byte >= 0x80) return fromUtf8(this.#bytes.subarray(start + 1, end - 1));
      text += String.fromCharCode(byte);
    }
    return text;
  }
}

/** Length of the well-formed UTF-8 sequence (Unicode table 3-7) that begins at `at` with a byte >= 0x80. */
function utf8Length(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  const second = bytes[at + 1] ?? 0;
  const follows = (i: number): boolean => ((bytes[at + i] ?? 0) & 0xc0) === 0x80;
  if (lead >= 0xc2 && lead <= 0xdf && follows(1)) return 2;
  if (lead >= 0xe0 && lead <= 0xef && follows(1) && follows(2)) {
    const overlong = lead === 0xe0 && second < 0xa0;
    const surrogate = lead === 0xed && second > 0x9f;
    if (!overlong && !surrogate) return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4 && follows(1) && follows(2) && follows(3)) {
    const overlong = lead === 0xf0 && second < 0x90;
    const beyond = lead === 0xf4 && second > 0x8f;
    if (!overlong && !beyond) return 4;
  }
  return refuse('fhir.json_utf8', at, 'well-formed UTF-8');
}
