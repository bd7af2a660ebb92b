/**
 * Policy and attribute texts to trees, by recursive descent. Grammar (docs/policies.md says it with examples):
 *
 *     policy     = conjunction *( "or" conjunction )
 *     conjunction = unary *( "and" unary )
 *     unary      = "not" unary / "(" policy ")" / integer "of" "(" policy *( "," policy ) ")" / condition
 *     condition  = [ issuer "/" ] label ( relation literal / "in" range / "in" set )
 */
import {
  allOf,
  anyOf,
  atLeast,
  type Condition,
  canonicalPolicy,
  checkTextSize,
  conditionProblem,
  type Literal,
  negate,
  type Policy,
  placeAt,
  type Relation,
  tooDeep,
} from './ast.ts';
import { POLICY_ERRORS, type Position, policyError } from './errors.ts';
import { type Keyword, keywordOf, Lexer, shown, type Token } from './lexer.ts';
import { POLICY_DEPTH_MAX, POLICY_TEXT_BYTES_MAX } from './limits.ts';
import { looksLikeInteger, readInteger, readLiteral } from './literal.ts';
import { didYouMean, nearest } from './suggest.ts';
import { issuerProblem, labelProblem } from './text.ts';

const RELATIONS: ReadonlyMap<string, Relation> = new Map([
  ['=', '='],
  [':', '='],
  ['!=', '!='],
  ['<', '<'],
  ['<=', '<='],
  ['>', '>'],
  ['>=', '>='],
]);

/**
 * The policy that `text` says, in canonical form. Throws `policy.syntax` (details line, column), or a bound:
 * `policy.too_large`, `policy.too_deep`, `policy.too_many_leaves`. Labels are not looked up: `checkPolicy` does.
 *
 * @example parsePolicy('mercy/role:doctor and (mercy/ward in {icu, er} or consent:00112233445566778899aabbccddeeff)')
 */
export function parsePolicy(text: string): Policy {
  checkTextSize(text, POLICY_TEXT_BYTES_MAX);
  const parser = new Parser(text);
  const policy = parser.policy();
  parser.end();
  return canonicalPolicy(policy);
}

/** The one `issuer/label:value` that `text` says, as a condition with relation `=`; throws `policy.syntax`. */
export function parseAttributeText(text: string): { issuer: string; label: string; literal: Literal } {
  checkTextSize(text, POLICY_TEXT_BYTES_MAX);
  const parser = new Parser(text);
  const attribute = parser.attribute();
  parser.end();
  return attribute;
}

const fail = (message: string, at: Position): never => {
  throw policyError(POLICY_ERRORS.syntax, message, at);
};

class Parser {
  private readonly lexer: Lexer;
  private token: Token;
  private nesting = 0;

  constructor(text: string) {
    this.lexer = new Lexer(text);
    this.token = this.lexer.next();
  }

  private take(): Token {
    const taken = this.token;
    this.token = this.lexer.next();
    return taken;
  }

  private isKeyword(word: Keyword): boolean {
    return this.token.kind === 'word' && keywordOf(this.token.text) === word;
  }

  private isMark(mark: string): boolean {
    return this.token.kind === 'mark' && this.token.text === mark;
  }

  private expectMark(mark: string, where: string): void {
    if (!this.isMark(mark)) fail(`expected "${mark}" ${where}, got ${shown(this.token)}`, this.token.at);
    this.take();
  }

  /** One level deeper for what `inside` parses: what bounds the recursion. */
  private nested<T>(inside: () => T): T {
    if (++this.nesting > POLICY_DEPTH_MAX) throw tooDeep(this.token.at);
    const result = inside();
    this.nesting--;
    return result;
  }

  policy(): Policy {
    const terms = [this.conjunction()];
    while (this.isKeyword('or')) {
      this.take();
      terms.push(this.conjunction());
    }
    return anyOf(terms);
  }

  private conjunction(): Policy {
    const factors = [this.unary()];
    while (this.isKeyword('and')) {
      this.take();
      factors.push(this.unary());
    }
    return allOf(factors);
  }

  private unary(): Policy {
    if (this.isMark('(')) {
      this.take();
      const inside = this.nested(() => this.policy());
      if (!this.isMark(')')) this.failAfterOperand(')');
      this.take();
      return inside;
    }
    if (this.token.kind !== 'word') {
      return fail(`expected a condition such as mercy/role:doctor, got ${shown(this.token)}`, this.token.at);
    }
    const word = this.take();
    // A name before "/" is an issuer whatever it spells; elsewhere keywords are keywords.
    if (this.isMark('/')) return this.condition(word);
    const keyword = keywordOf(word.text);
    if (keyword === 'not') return negate(this.nested(() => this.unary()));
    if (keyword !== undefined) return fail(`expected a condition before "${word.text}"`, word.at);
    if (looksLikeInteger(word.text)) return this.threshold(word);
    return this.condition(word);
  }

  private threshold(count: Token): Policy {
    const k = readInteger(count);
    if (!this.isKeyword('of')) {
      return fail(`expected a label, or "${k} of (...)"`, count.at);
    }
    this.take();
    this.expectMark('(', 'after of');
    const members = this.nested(() => {
      if (this.isMark(')')) fail('expected at least one member in of (...)', this.token.at);
      const of = [this.policy()];
      while (this.isMark(',')) {
        this.take();
        of.push(this.policy());
      }
      return of;
    });
    if (!this.isMark(')')) this.failAfterOperand('"," or ")"');
    this.take();
    if (k < 1 || k > members.length) {
      return fail(`expected 1 to ${members.length} of ${members.length} members, got ${k}`, count.at);
    }
    return atLeast(k, members);
  }

  /** The name that begins a condition or an attribute, `first` being taken already. */
  private name(first: Token): { issuer: string; label: string } {
    let issuer = '';
    let label = first;
    if (this.isMark('/')) {
      this.take();
      issuer = first.text;
      const problem = issuerProblem(issuer);
      if (problem !== undefined) fail(`${problem}; got ${shown(first)}`, first.at);
      if (this.token.kind !== 'word') {
        fail(`expected a label after "${issuer}/", got ${shown(this.token)}`, this.token.at);
      }
      label = this.take();
    }
    const problem = labelProblem(label.text);
    if (problem !== undefined) {
      const lower = label.text.toLowerCase();
      const hint = labelProblem(lower) === undefined ? `; did you mean "${lower}"?` : '';
      fail(`${problem}; got ${shown(label)}${hint}`, label.at);
    }
    if (keywordOf(label.text) !== undefined) fail(`"${label.text}" is a keyword, not a label`, label.at);
    return { issuer, label: label.text };
  }

  private condition(first: Token): Policy {
    const { issuer, label } = this.name(first);
    const operator = this.token;
    if (this.isKeyword('in')) {
      this.take();
      return this.finish(this.membership(issuer, label), first.at);
    }
    const relation = operator.kind === 'mark' ? RELATIONS.get(operator.text) : undefined;
    if (relation === undefined) {
      const hint = operator.kind === 'word' ? didYouMean(operator.text, ['in']) : '';
      return fail(
        `expected "=", ":", "!=", "<", "<=", ">", ">=" or in after "${label}", got ${shown(operator)}${hint}`,
        operator.at,
      );
    }
    this.take();
    const literal = this.literal(label);
    return this.finish({ kind: 'compare', issuer, label, relation, literal }, first.at);
  }

  private finish(condition: Condition, at: Position): Policy {
    const problem = conditionProblem(condition);
    if (problem !== undefined) fail(problem, at);
    return placeAt(condition, at);
  }

  private membership(issuer: string, label: string): Condition {
    if (this.isMark('[')) {
      this.take();
      const low = this.literal(label);
      this.expectMark(',', 'between the ends of a range');
      const high = this.literal(label);
      this.expectMark(']', 'after a range');
      return { kind: 'range', issuer, label, low, high };
    }
    this.expectMark('{', 'or "[" after in');
    if (this.isMark('}')) fail('a set has at least one member', this.token.at);
    const members = [this.literal(label)];
    while (this.isMark(',')) {
      this.take();
      members.push(this.literal(label));
    }
    this.expectMark('}', 'or "," in a set');
    return { kind: 'set', issuer, label, members };
  }

  private literal(label: string): Literal {
    const literal = readLiteral(this.token, label);
    this.take();
    return literal;
  }

  attribute(): { issuer: string; label: string; literal: Literal } {
    if (this.token.kind !== 'word') {
      fail(`expected an attribute such as mercy/role:doctor, got ${shown(this.token)}`, this.token.at);
    }
    const { issuer, label } = this.name(this.take());
    if (!this.isMark(':') && !this.isMark('=')) {
      fail(`expected ":" after "${label}", got ${shown(this.token)}`, this.token.at);
    }
    this.take();
    return { issuer, label, literal: this.literal(label) };
  }

  /** The error where an operand is complete and neither an operator nor `closing` follows. */
  private failAfterOperand(closing: string): never {
    const token = this.token;
    let hint = '';
    if (token.kind === 'word') {
      hint = `; did you mean ${nearest(token.text, ['and', 'or']) ?? 'and'}?`;
    } else if (token.kind === 'mark' && (token.text === '(' || token.text === ',')) {
      hint = '; did you mean and?';
    }
    return fail(`expected and, or, or ${closing}, got ${shown(token)}${hint}`, token.at);
  }

  /** Refuses whatever follows a complete policy. */
  end(): void {
    if (this.token.kind === 'end') return;
    if (this.isMark(')')) fail('this ")" closes nothing', this.token.at);
    this.failAfterOperand('the end');
  }
}
