/** Canonical text of a policy: one spelling for each tree, which the parser reads back as that tree. */
import {
  type Condition,
  canonicalPolicy,
  checkTextSize,
  isCondition,
  type Literal,
  type Policy,
} from './ast.ts';
import { dateOfDays } from './date.ts';
import { needsQuotes } from './lexer.ts';
import { POLICY_TEXT_BYTES_MAX } from './limits.ts';

/**
 * The canonical text of `policy`: lower-case keywords, parentheses only where they are needed, `:` for equal
 * text, quotes only where they are needed. Throws like `canonicalPolicy`, and `policy.too_large`.
 */
export function printPolicy(policy: Policy): string {
  const text = printNode(canonicalPolicy(policy));
  checkTextSize(text, POLICY_TEXT_BYTES_MAX);
  return text;
}

/** `text` as a value: bare where the parser would read it back as text, else quoted. */
export function printText(text: string): string {
  return needsQuotes(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;
}

/** `issuer/label`, or the label alone when it is shared. */
export function printName(issuer: string, label: string): string {
  return issuer === '' ? label : `${issuer}/${label}`;
}

/** `literal` as the parser reads it. */
export function printLiteral(literal: Literal): string {
  if (literal.type === 'text') return printText(literal.value);
  return literal.type === 'date' ? dateOfDays(literal.value) : String(literal.value);
}

function printNode(policy: Policy): string {
  if (isCondition(policy)) return printCondition(policy);
  switch (policy.kind) {
    case 'not':
      return `not ${printInside(policy.of, ['and', 'or'])}`;
    case 'and':
      return policy.of.map((child) => printInside(child, ['or'])).join(' and ');
    case 'or':
      return policy.of.map(printNode).join(' or ');
    case 'threshold':
      return `${policy.k} of (${policy.of.map(printNode).join(', ')})`;
  }
}

const printInside = (policy: Policy, wrapped: readonly string[]): string =>
  wrapped.includes(policy.kind) ? `(${printNode(policy)})` : printNode(policy);

/** One condition of a policy, as it stands in the text. */
export function printCondition(condition: Condition): string {
  const name = printName(condition.issuer, condition.label);
  switch (condition.kind) {
    case 'compare': {
      const { literal, relation } = condition;
      if (literal.type === 'text' && relation === '=') return `${name}:${printText(literal.value)}`;
      return `${name} ${relation} ${printLiteral(literal)}`;
    }
    case 'range':
      return `${name} in [${printLiteral(condition.low)}, ${printLiteral(condition.high)}]`;
    case 'set':
      return `${name} in {${condition.members.map(printLiteral).join(', ')}}`;
  }
}
