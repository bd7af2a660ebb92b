/**
 * Words of a policy text. Only ASCII stands without quotes; anything else is quoted, so that a letter which
 * merely looks like another is at least seen to be text.
 */
import { POLICY_ERRORS, type Position, policyError } from './errors.ts';
import { BARE_FORM, KEYWORDS } from './text.ts';

export type Keyword = 'and' | 'or' | 'not' | 'of' | 'in';

export type Token =
  /** Bare characters: a name, an unquoted value, an integer, a date or a keyword, as its place decides. */
  | { readonly kind: 'word'; readonly text: string; readonly at: Position }
  | { readonly kind: 'quoted'; readonly text: string; readonly at: Position }
  | { readonly kind: 'mark'; readonly text: string; readonly at: Position }
  | { readonly kind: 'end'; readonly text: ''; readonly at: Position };

/** Most characters of a word that a message repeats. */
const SHOWN_MAX = 40;

const SPACE = /[ \t\r\n]*/y;
const WORD = /-?[A-Za-z0-9_][A-Za-z0-9_.@+-]*/y;
const MARK = /!=|<=|>=|[()[\]{},:=<>/]/y;

/** Marks of other languages, and what they are called here. */
const FOREIGN: readonly (readonly [string, string])[] = [
  ['&&', 'and'],
  ['&', 'and'],
  ['\u2227', 'and'],
  ['||', 'or'],
  ['|', 'or'],
  ['\u2228', 'or'],
  ['\u00ac', 'not'],
  ['!', 'not'],
  ['==', '='],
  ['<>', '!='],
  ['=<', '<='],
  ['=>', '>='],
  ['\u2264', '<='],
  ['\u2265', '>='],
  ['\u2260', '!='],
  ["'", '" (double quotes)'],
  ['\u201c', '" (straight quotes)'],
  ['\u201d', '" (straight quotes)'],
  ['\u201e', '" (straight quotes)'],
];

const matchAt = (form: RegExp, text: string, offset: number): string | undefined => {
  form.lastIndex = offset;
  return form.exec(text)?.[0];
};

/** The keyword that `text` is, in any case. */
export function keywordOf(text: string): Keyword | undefined {
  const lower = text.toLowerCase();
  return KEYWORDS.includes(lower) ? (lower as Keyword) : undefined;
}

/** `token` for a message: cut short, and quoted text not repeated at all. */
export function shown(token: Token): string {
  if (token.kind === 'end') return 'the end';
  if (token.kind === 'quoted') return 'a quoted text';
  return token.text.length > SHOWN_MAX ? `"${token.text.slice(0, SHOWN_MAX)}..."` : `"${token.text}"`;
}

/** True when `text` needs quotes to be read as text: no bare form, a keyword, or like a number or date. */
export function needsQuotes(text: string): boolean {
  return (
    !BARE_FORM.test(text) || keywordOf(text) !== undefined || /^[0-9]+$/.test(text) || /^[0-9-]+$/.test(text)
  );
}

/** Splits `text`; throws `policy.syntax` at the first character that belongs to no word. */
export class Lexer {
  private readonly text: string;
  private offset = 0;
  private line = 1;
  private column = 1;
  private counted = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The position of `offset`, which is not before the last one asked for. */
  private here(offset: number): Position {
    // Columns count characters, not UTF-16 units, so that an editor and a person agree with us.
    for (const _ of this.text.slice(this.counted, offset)) this.column++;
    this.counted = offset;
    return { line: this.line, column: this.column };
  }

  private skipSpace(): void {
    const space = matchAt(SPACE, this.text, this.offset) ?? '';
    for (let i = 0; i < space.length; i++) {
      if (space[i] !== '\n') continue;
      this.line++;
      this.column = 1;
      this.counted = this.offset + i + 1;
    }
    this.offset += space.length;
  }

  /** The next token; `end` for ever at the end. */
  next(): Token {
    this.skipSpace();
    const { text, offset } = this;
    const at = this.here(offset);
    if (offset >= text.length) return { kind: 'end', text: '', at };
    if (text[offset] === '"') return this.quoted(at);
    for (const [foreign, ours] of FOREIGN) {
      const isOurs = foreign === '!' && text[offset + 1] === '=';
      if (!isOurs && text.startsWith(foreign, offset)) {
        throw policyError(
          POLICY_ERRORS.syntax,
          `"${foreign}" is not of this language; did you mean ${ours}?`,
          at,
        );
      }
    }
    const word = matchAt(WORD, text, offset);
    if (word !== undefined) {
      this.offset += word.length;
      return { kind: 'word', text: word, at };
    }
    const mark = matchAt(MARK, text, offset);
    if (mark !== undefined) {
      this.offset += mark.length;
      return { kind: 'mark', text: mark, at };
    }
    throw policyError(
      POLICY_ERRORS.syntax,
      'unexpected character: text other than ASCII goes in "quotes"',
      at,
    );
  }

  private quoted(at: Position): Token {
    let value = '';
    for (let i = this.offset + 1; i < this.text.length; i++) {
      const char = this.text[i];
      if (char === '"') {
        this.offset = i + 1;
        return { kind: 'quoted', text: value, at };
      }
      if (char === '\n' || char === '\r') break;
      if (char !== '\\') {
        value += char;
        continue;
      }
      const escaped = this.text[++i];
      if (escaped !== '"' && escaped !== '\\') {
        throw policyError(POLICY_ERRORS.syntax, 'after "\\" comes \\ or "', this.here(i - 1));
      }
      value += escaped;
    }
    throw policyError(POLICY_ERRORS.syntax, 'this quote is not closed on its line', at);
  }
}
