/**
 * What a condition means under the registry. This is the one place that says which relation a label's type
 * allows, and what its negation is; check, expansion, evaluation and explanation all ask here.
 *
 * Closed world: a condition and its negation both fail for a holder who lacks the label. Negation of a text
 * needs a finite label (the holder has the label, and the value is none of the holder's values); negation of a
 * number is the rest of the range. Levels are "at least" only, and have no negation.
 */
import { type Condition, type Literal, positionOf } from './ast.ts';
import { POLICY_ERRORS, policyError } from './errors.ts';
import { LEVEL_MAX } from './limits.ts';
import {
  complement,
  everything,
  type Interval,
  mergeIntervals,
  numberBounds,
  positionIn,
  type Width,
} from './prefix-tree.ts';
import { printCondition, printLiteral, printName, printText } from './print.ts';
import type { LabelSpec, Registry } from './registry.ts';
import { didYouMean } from './suggest.ts';
import { isBadPseudonym, RESERVED_LABELS } from './text.ts';

export type Meaning =
  /** One of `values` (`negated` false), or the label without any of `values` (`negated` true). */
  | { readonly kind: 'text'; readonly values: readonly string[]; readonly negated: boolean }
  | { readonly kind: 'level'; readonly atLeast: number }
  /** A value within one of `intervals`: merged, ascending, at least one. */
  | {
      readonly kind: 'number';
      readonly type: 'int' | 'date';
      readonly width: Width;
      readonly intervals: readonly Interval[];
    };

/**
 * The meaning of `condition`, or of its negation. Throws `policy.unknown_label`, `policy.unknown_value`,
 * `policy.issuer`, `policy.type`, `policy.relation`, `policy.not_finite` or `policy.range`.
 */
export function meaningOf(condition: Condition, registry: Registry, negated: boolean): Meaning {
  const spec = specOf(condition, registry);
  if (spec.type === 'text') return textMeaning(condition, spec, negated);
  if (spec.type === 'level') return levelMeaning(condition, negated);
  return numberMeaning(condition, spec, negated);
}

const refuse = (code: string, message: string, condition: Condition): never => {
  throw policyError(code, message, positionOf(condition), { label: condition.label });
};

function specOf(condition: Condition, registry: Registry): LabelSpec {
  const { issuer, label } = condition;
  const spec = registry.get(label);
  if (spec === undefined) {
    const hint = RESERVED_LABELS.has(label)
      ? ': the name is reserved, and what a header adds no policy asks for'
      : didYouMean(label, registry.keys());
    return refuse(POLICY_ERRORS.unknownLabel, `the registry has no label "${label}"${hint}`, condition);
  }
  const isShared = spec.shared === true;
  if (isShared && issuer !== '') {
    refuse(POLICY_ERRORS.issuer, `"${label}" is shared and has no issuer: write "${label}" alone`, condition);
  }
  if (!isShared && issuer === '') {
    refuse(POLICY_ERRORS.issuer, `"${label}" needs its issuer, such as mercy/${label}`, condition);
  }
  return spec;
}

function textMeaning(condition: Condition, spec: LabelSpec, negated: boolean): Meaning {
  const { label } = condition;
  if (condition.kind === 'range') {
    return refuse(POLICY_ERRORS.type, `"${label}" holds text and has no ranges: use in {...}`, condition);
  }
  const literals = condition.kind === 'set' ? condition.members : [condition.literal];
  const values = literals.map((literal) => {
    if (literal.type === 'text') return literal.value;
    const written = printLiteral(literal);
    return refuse(POLICY_ERRORS.type, `"${label}" holds text: write "${written}" in quotes`, condition);
  });
  for (const value of values) {
    if (spec.values !== undefined && !spec.values.includes(value)) {
      const hint = didYouMean(value, spec.values);
      refuse(POLICY_ERRORS.unknownValue, `"${label}" has no value ${printText(value)}${hint}`, condition);
    }
    if (isBadPseudonym(label, value)) {
      refuse(POLICY_ERRORS.type, `"${label}" holds a pseudonym: 32 lower-case hexadecimal digits`, condition);
    }
  }
  const isNotEqual = condition.kind === 'compare' && condition.relation === '!=';
  const isNegative = isNotEqual !== negated;
  if (isNegative && spec.values === undefined) {
    const what = isNotEqual ? '!=' : 'not';
    refuse(
      POLICY_ERRORS.notFinite,
      `${what} needs a label whose values the registry lists; see "${label}"`,
      condition,
    );
  }
  return { kind: 'text', values, negated: isNegative };
}

function levelMeaning(condition: Condition, negated: boolean): Meaning {
  const { label } = condition;
  const isAtLeast =
    condition.kind === 'compare' && (condition.relation === '>=' || condition.relation === '>');
  if (!isAtLeast || negated) {
    return refuse(
      POLICY_ERRORS.relation,
      `"${label}" is a level: it takes ">=" and ">" only, and no not, because a higher level holds the lower ones`,
      condition,
    );
  }
  const { literal, relation } = condition;
  if (literal.type !== 'int')
    return refuse(POLICY_ERRORS.type, `"${label}" is a level from 0 to ${LEVEL_MAX}`, condition);
  const atLeast = relation === '>' ? literal.value + 1 : literal.value;
  if (literal.value < 0 || atLeast > LEVEL_MAX) {
    return refuse(POLICY_ERRORS.range, `"${label}" is a level from 0 to ${LEVEL_MAX}`, condition);
  }
  return { kind: 'level', atLeast };
}

function numberMeaning(condition: Condition, spec: LabelSpec, negated: boolean): Meaning {
  const { type, width } = spec;
  if ((type !== 'int' && type !== 'date') || width === undefined)
    throw new RangeError('a number label has a width');
  const at = (literal: Literal): bigint => positionIn(width, checkNumber(condition, literal, type, width));
  let intervals = mergeIntervals(intervalsOf(condition, at, everything(width)));
  if (negated) intervals = complement(width, intervals);
  if (intervals.length === 0) {
    const clause = printCondition(condition);
    return refuse(
      POLICY_ERRORS.range,
      negated ? `"not ${clause}" can never hold` : `"${clause}" can never hold`,
      condition,
    );
  }
  return { kind: 'number', type, width, intervals };
}

function checkNumber(condition: Condition, literal: Literal, type: 'int' | 'date', width: Width): number {
  const { issuer, label } = condition;
  if (literal.type !== type) {
    const example = type === 'date' ? 'a date such as 2026-01-31' : 'an integer';
    return refuse(POLICY_ERRORS.type, `"${printName(issuer, label)}" takes ${example}`, condition);
  }
  const { min, max } = numberBounds(width);
  if (literal.value < min || literal.value > max) {
    return refuse(
      POLICY_ERRORS.range,
      `${printLiteral(literal)} is out of the ${width} bits of "${label}"`,
      condition,
    );
  }
  return literal.value;
}

/** The values that satisfy `condition`; empty where none can. */
function intervalsOf(condition: Condition, at: (literal: Literal) => bigint, all: Interval): Interval[] {
  if (condition.kind === 'range') return [{ low: at(condition.low), high: at(condition.high) }];
  if (condition.kind === 'set') {
    return condition.members.map((member) => ({ low: at(member), high: at(member) }));
  }
  const point = at(condition.literal);
  const below: Interval[] = point > all.low ? [{ low: all.low, high: point - 1n }] : [];
  const above: Interval[] = point < all.high ? [{ low: point + 1n, high: all.high }] : [];
  switch (condition.relation) {
    case '=':
      return [{ low: point, high: point }];
    case '!=':
      return [...below, ...above];
    case '<':
      return below;
    case '<=':
      return [{ low: all.low, high: point }];
    case '>':
      return above;
    case '>=':
      return [{ low: point, high: all.high }];
  }
}
