/** Values as they are written: which word is an integer, which a date, which a text. */
import type { Literal } from './ast.ts';
import { daysOfDate, looksLikeDate } from './date.ts';
import { POLICY_ERRORS, type Position, policyError } from './errors.ts';
import { keywordOf, shown, type Token } from './lexer.ts';
import { PSEUDONYM_LABELS, textProblem } from './text.ts';

const INTEGER = /^-?[0-9]+$/;

const fail = (message: string, at: Position): never => {
  throw policyError(POLICY_ERRORS.syntax, message, at);
};

/** True for digits with or without a sign, whatever their value. */
export function looksLikeInteger(text: string): boolean {
  return INTEGER.test(text);
}

/** The value that `token` writes for `label`; throws `policy.syntax`. */
export function readLiteral(token: Token, label: string): Literal {
  if (token.kind !== 'quoted' && token.kind !== 'word') {
    return fail(`expected a value for "${label}", got ${shown(token)}`, token.at);
  }
  const { text, at } = token;
  // Pseudonyms are hexadecimal: one in three million has no letter, and is text all the same.
  if (token.kind === 'word' && !PSEUDONYM_LABELS.has(label)) {
    if (looksLikeInteger(text)) return { type: 'int', value: readInteger(token) };
    if (looksLikeDate(text)) {
      const value = daysOfDate(text);
      return value === undefined ? fail(`there is no day ${text}`, at) : { type: 'date', value };
    }
    if (keywordOf(text) !== undefined)
      return fail(`"${text}" is a keyword: as a value it goes in "quotes"`, at);
    if (text.startsWith('-'))
      return fail(`${shown(token)} begins with a sign: as text it goes in "quotes"`, at);
  }
  const problem = textProblem(text);
  return problem === undefined ? { type: 'text', value: text } : fail(problem, at);
}

/** The integer that `token` writes in digits; throws `policy.syntax`. */
export function readInteger(token: Token): number {
  const value = Number(token.text);
  if (!Number.isSafeInteger(value)) {
    return fail(`an integer lies within 2^53 - 1 either way; is ${shown(token)} text?`, token.at);
  }
  if (String(value) !== token.text) {
    const plain = Object.is(value, -0) ? 0 : value;
    return fail(`write ${plain} without leading zeros, or ${shown(token)} in quotes if it is text`, token.at);
  }
  return value;
}
