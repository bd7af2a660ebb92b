/**
 * The verdict on a policy by its meaning, for the ledger's access decision: plain comparisons on values, with no
 * use of leaves, covers or the sharing matrix, so that the two can be tested against each other.
 */
import { type Condition, canonicalPolicy, isCondition, type Literal, type Policy } from './ast.ts';
import { type Attribute, type Held, holdingKey, holdings } from './attribute.ts';
import { meaningOf } from './meaning.ts';
import type { Registry } from './registry.ts';

/** What a verdict takes into account beside the attributes of the key. */
export interface VerdictOptions {
  /** The emergency leaf stands beside the whole policy: true satisfies any. */
  readonly emergency?: boolean;
  /**
   * Everything else that the subject holds, or held within the generation of its key: it satisfies nothing, but
   * stands against `!=` and `not`, as it does in `attributeLeaves`.
   */
  readonly others?: readonly Attribute[];
}

/**
 * True when `attributes` satisfy `policy`, or `extra.emergency` is set. Throws what `canonicalPolicy`, `meaningOf` and `holdings` throw: a policy that was checked and
 * attributes that were checked never do.
 */
export function evaluatePolicy(
  policy: Policy,
  attributes: readonly Attribute[],
  registry: Registry,
  extra: VerdictOptions = {},
): boolean {
  const held = holdings(attributes, registry, extra.others);
  return judge(canonicalPolicy(policy), held, registry, true) || extra.emergency === true;
}

/**
 * Whether `policy` (`wanted`) or its negation (not `wanted`) holds. The two are not opposites: a condition on a
 * label that is absent fails both ways, so negation is carried down rather than applied to a result.
 */
function judge(
  policy: Policy,
  held: ReadonlyMap<string, Held>,
  registry: Registry,
  wanted: boolean,
): boolean {
  if (isCondition(policy)) {
    return conditionHolds(policy, held.get(holdingKey(policy.issuer, policy.label)), registry, wanted);
  }
  if (policy.kind === 'not') return judge(policy.of, held, registry, !wanted);
  const n = policy.of.length;
  const k = policy.kind === 'and' ? n : policy.kind === 'or' ? 1 : policy.k;
  const needed = wanted ? k : n - k + 1;
  // No early end: a condition without meaning is an error in every branch, whatever the others say.
  return policy.of.filter((child) => judge(child, held, registry, wanted)).length >= needed;
}

/** Whether the holder of `held` meets `condition`, or its negation when not `wanted`. */
export function conditionHolds(
  condition: Condition,
  held: Held | undefined,
  registry: Registry,
  wanted: boolean,
): boolean {
  meaningOf(condition, registry, !wanted);
  if (held === undefined) return false;
  const isNotEqual = condition.kind === 'compare' && condition.relation === '!=';
  if (isNotEqual !== wanted) return held.values.some((value) => matches(condition, value));
  // "Not" speaks of all values: a doctor who is a nurse too does not satisfy role != nurse.
  return ![...held.values, ...held.against].some((value) => matches(condition, value));
}

/** Whether one value has the relation, `!=` being read as `=` (the caller turns it round over all values). */
function matches(condition: Condition, value: string | number): boolean {
  switch (condition.kind) {
    case 'range':
      return order(value, condition.low) >= 0 && order(value, condition.high) <= 0;
    case 'set':
      return condition.members.some((member) => member.value === value);
    case 'compare': {
      const { literal } = condition;
      switch (condition.relation) {
        case '=':
        case '!=':
          return value === literal.value;
        case '<':
          return order(value, literal) < 0;
        case '<=':
          return order(value, literal) <= 0;
        case '>':
          return order(value, literal) > 0;
        case '>=':
          return order(value, literal) >= 0;
      }
    }
  }
}

/** Negative, zero or positive; text never gets here, since it has no order in the language. */
const order = (value: string | number, literal: Literal): number => Number(value) - Number(literal.value);
