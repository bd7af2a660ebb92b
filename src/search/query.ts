/**
 * The query language: from text to a tree, with the column of every mistake. Grammar (keywords in any case, `and`
 * binds tighter than `or`, `not` tightest):
 *   query := and ('or' and)* ;  and := unary ('and' unary)* ;  unary := 'not' unary | '(' query ')' | term
 *   term  := field ':' match | field ('=' | '!=' | '<' | '<=' | '>' | '>=') value
 *          | field 'in' ('[' value ',' value ']' | '{' value (',' value)* '}')
 *   match := '*' | 'missing' | [system '|'] value ['*']     (no space before a closing '*')
 * A value is a bare word or a quoted string ("..." with \" and \\). What a field supports is decided by `planQuery`.
 */
import { searchError } from './errors.ts';
import { isFieldName } from './keyword.ts';
import { QUERY_CHARS_MAX, QUERY_DEPTH_MAX } from './parameters.ts';

/** What a term asks of its field; values as written. */
export type Match =
  | { readonly kind: 'equals'; readonly value: string; readonly system?: string }
  | { readonly kind: 'prefix'; readonly value: string; readonly system?: string }
  | { readonly kind: 'range'; readonly low?: Bound; readonly high?: Bound }
  | { readonly kind: 'set'; readonly values: readonly { readonly value: string; readonly system?: string }[] }
  | { readonly kind: 'present' }
  | { readonly kind: 'missing' };

/** One end of a range. */
export interface Bound {
  readonly value: string;
  readonly inclusive: boolean;
}

export interface Term {
  readonly field: string;
  readonly match: Match;
  /** Column of the field name, from 1. */
  readonly column: number;
}

export type Query =
  | { readonly op: 'and' | 'or'; readonly args: readonly Query[] }
  | { readonly op: 'not'; readonly arg: Query }
  | { readonly op: 'term'; readonly term: Term };

interface Token {
  readonly kind: 'word' | 'string' | 'sign' | 'end';
  readonly text: string;
  readonly column: number;
  /** Whether white space or the start stands before it. */
  readonly spaced: boolean;
}

const SIGN = /^(?:!=|<=|>=|[()[\]{},:|*=<>])/;
const WORD = /^[^\s()[\]{},:|*=<>!"]+/u;

function syntaxError(column: number, message: string): never {
  throw searchError('search.syntax', `column ${column}: ${message}`, { details: { column } });
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let spaced = true;
  while (at < text.length) {
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space !== null) {
      at += space[0].length;
      spaced = true;
      continue;
    }
    const token = nextToken(rest, at + 1, spaced);
    tokens.push(token.token);
    at += token.length;
    spaced = false;
  }
  tokens.push({ kind: 'end', text: '', column: text.length + 1, spaced });
  return tokens;
}

function nextToken(rest: string, column: number, spaced: boolean): { token: Token; length: number } {
  if (rest[0] === '"') {
    const quoted = /^"((?:[^"\\]|\\["\\])*)"/.exec(rest);
    if (quoted === null)
      return syntaxError(column, 'a quoted string does not end, or has a \\ before another character');
    const text = quoted[1].replace(/\\(["\\])/g, '$1');
    return { token: { kind: 'string', text, column, spaced }, length: quoted[0].length };
  }
  const sign = SIGN.exec(rest);
  if (sign !== null)
    return { token: { kind: 'sign', text: sign[0], column, spaced }, length: sign[0].length };
  const word = WORD.exec(rest);
  if (word === null) return syntaxError(column, `unexpected "${rest[0]}"; quote values that hold it`);
  return { token: { kind: 'word', text: word[0], column, spaced }, length: word[0].length };
}

/** The tree of `text`; throws `search.syntax` (details: column) or `search.too_large`. */
export function parseQuery(text: string): Query {
  if (text.length > QUERY_CHARS_MAX) {
    throw searchError('search.too_large', `a query has at most ${QUERY_CHARS_MAX} characters`);
  }
  const parser = new Parser(tokenize(text));
  const query = parser.or(0);
  parser.expectEnd();
  return query;
}

const COMPARISONS = ['=', '!=', '<', '<=', '>', '>='];

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  or(depth: number): Query {
    return this.#chain('or', depth, () => this.#and(depth));
  }

  expectEnd(): void {
    const token = this.#peek();
    if (token.kind !== 'end')
      syntaxError(token.column, `expected "and", "or" or the end, got "${token.text}"`);
  }

  #and(depth: number): Query {
    return this.#chain('and', depth, () => this.#unary(depth));
  }

  #chain(op: 'and' | 'or', depth: number, next: () => Query): Query {
    if (depth > QUERY_DEPTH_MAX) syntaxError(this.#peek().column, `nested deeper than ${QUERY_DEPTH_MAX}`);
    const args = [next()];
    while (this.#isKeyword(op)) {
      this.#at++;
      args.push(next());
    }
    return args.length === 1 ? args[0] : { op, args };
  }

  #unary(depth: number): Query {
    if (depth > QUERY_DEPTH_MAX) syntaxError(this.#peek().column, `nested deeper than ${QUERY_DEPTH_MAX}`);
    if (this.#isKeyword('not')) {
      this.#at++;
      return { op: 'not', arg: this.#unary(depth + 1) };
    }
    if (this.#isSign('(')) {
      this.#at++;
      const inner = this.or(depth + 1);
      this.#sign(')');
      return inner;
    }
    return this.#term();
  }

  #term(): Query {
    const name = this.#peek();
    if (name.kind !== 'word') syntaxError(name.column, 'expected a term such as field:value');
    if (!isFieldName(name.text)) {
      syntaxError(
        name.column,
        `"${name.text}" is no field name; write field:value, and quote values with signs`,
      );
    }
    this.#at++;
    const term = (match: Match): Query => ({
      op: 'term',
      term: { field: name.text, match, column: name.column },
    });
    if (this.#isKeyword('in')) {
      this.#at++;
      return term(this.#isSign('{') ? this.#set() : this.#interval());
    }
    const sign = this.#peek();
    if (sign.kind === 'sign' && sign.text === ':') {
      this.#at++;
      return term(this.#match());
    }
    if (sign.kind === 'sign' && COMPARISONS.includes(sign.text)) {
      this.#at++;
      return this.#comparison(sign.text, term);
    }
    return syntaxError(sign.column, `expected ":", "in" or a comparison after field "${name.text}"`);
  }

  #comparison(sign: string, term: (match: Match) => Query): Query {
    const value = this.#value();
    switch (sign) {
      case '=':
        return term({ kind: 'equals', value });
      case '!=':
        return { op: 'not', arg: term({ kind: 'equals', value }) };
      case '<':
      case '<=':
        return term({ kind: 'range', high: { value, inclusive: sign === '<=' } });
      default:
        return term({ kind: 'range', low: { value, inclusive: sign === '>=' } });
    }
  }

  #match(): Match {
    const first = this.#peek();
    if (this.#isSign('*')) {
      this.#at++;
      return { kind: 'present' };
    }
    if (first.kind === 'word' && first.text === 'missing') {
      const next = this.#tokens[this.#at + 1];
      if (next.kind !== 'sign' || (next.text !== '|' && next.text !== '*')) {
        this.#at++;
        return { kind: 'missing' };
      }
    }
    const coded = this.#coded();
    const star = this.#peek();
    if (star.kind === 'sign' && star.text === '*' && !star.spaced) {
      this.#at++;
      return { kind: 'prefix', ...coded };
    }
    return { kind: 'equals', ...coded };
  }

  /** `value` or `system|value`. */
  #coded(): { value: string; system?: string } {
    const value = this.#value();
    if (!this.#isSign('|')) return { value };
    this.#at++;
    return { system: value, value: this.#value() };
  }

  #interval(): Match {
    this.#sign('[');
    const low = this.#value();
    this.#sign(',');
    const high = this.#value();
    this.#sign(']');
    return { kind: 'range', low: { value: low, inclusive: true }, high: { value: high, inclusive: true } };
  }

  #set(): Match {
    this.#sign('{');
    const values = [this.#coded()];
    while (this.#isSign(',')) {
      this.#at++;
      values.push(this.#coded());
    }
    this.#sign('}');
    return { kind: 'set', values };
  }

  /** A quoted string, or a bare word with the parts that `:` or `|`-free URLs and times put behind it. */
  #value(): string {
    const token = this.#peek();
    if (token.kind === 'string') {
      this.#at++;
      return token.text;
    }
    if (token.kind !== 'word') {
      return syntaxError(
        token.column,
        `expected a value, got "${token.text || 'the end'}"; quote values with signs`,
      );
    }
    this.#at++;
    let text = token.text;
    while (this.#isSign(':') && !this.#peek().spaced) {
      const next = this.#tokens[this.#at + 1];
      if (next.kind !== 'word' || next.spaced) break;
      text += `:${next.text}`;
      this.#at += 2;
    }
    return text;
  }

  #peek(): Token {
    return this.#tokens[this.#at];
  }

  #isSign(text: string): boolean {
    const token = this.#peek();
    return token.kind === 'sign' && token.text === text;
  }

  #isKeyword(word: string): boolean {
    const token = this.#peek();
    return token.kind === 'word' && token.text.toLowerCase() === word;
  }

  #sign(text: string): void {
    const token = this.#peek();
    if (!this.#isSign(text))
      syntaxError(token.column, `expected "${text}", got "${token.text || 'the end'}"`);
    this.#at++;
  }
}
