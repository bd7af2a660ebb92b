/** Why a policy holds or fails for given attributes, in words: for the person who asked, who owns them. */
import { type Condition, canonicalPolicy, isCondition, type Policy } from './ast.ts';
import { type Attribute, type Held, holdingKey, holdings, printAttribute } from './attribute.ts';
import { conditionHolds, type VerdictOptions } from './evaluate.ts';
import { printCondition, printName, printPolicy } from './print.ts';
import type { Registry } from './registry.ts';

/** One clause of the policy and its verdict. `reason` is one sentence without a full stop. */
export interface Clause {
  readonly holds: boolean;
  /** The clause as canonical text, with `not` where it stands under a negation. */
  readonly clause: string;
  readonly reason: string;
  readonly members: readonly Clause[];
}

export interface Explanation {
  readonly holds: boolean;
  /** The reasons of the clauses that decide, one a line. */
  readonly text: string;
  readonly root: Clause;
}

/** The verdict of `evaluatePolicy` with its reasons; `others` as there. Throws the same errors. */
export function explainPolicy(
  policy: Policy,
  attributes: readonly Attribute[],
  registry: Registry,
  extra: Pick<VerdictOptions, 'others'> = {},
): Explanation {
  const held = holdings(attributes, registry, extra.others);
  const root = explain(canonicalPolicy(policy), held, registry, true);
  return { holds: root.holds, text: decisive(root).join('\n'), root };
}

function explain(
  policy: Policy,
  held: ReadonlyMap<string, Held>,
  registry: Registry,
  wanted: boolean,
): Clause {
  if (isCondition(policy)) return explainCondition(policy, held, registry, wanted);
  if (policy.kind === 'not') return explain(policy.of, held, registry, !wanted);
  const members = policy.of.map((child) => explain(child, held, registry, wanted));
  const n = members.length;
  const k = policy.kind === 'and' ? n : policy.kind === 'or' ? 1 : policy.k;
  const needed = wanted ? k : n - k + 1;
  const met = members.filter((member) => member.holds).length;
  const printed = printPolicy(policy);
  const what = needed === n ? `all ${n}` : needed === 1 ? `one of ${n}` : `${needed} of ${n}`;
  return {
    holds: met >= needed,
    clause: wanted ? printed : `not (${printed})`,
    reason: `needs ${what} clauses, ${met === 0 ? 'none' : met} ${met === 1 ? 'holds' : 'hold'}`,
    members,
  };
}

function explainCondition(
  condition: Condition,
  held: ReadonlyMap<string, Held>,
  registry: Registry,
  wanted: boolean,
): Clause {
  const { issuer, label } = condition;
  const mine = held.get(holdingKey(issuer, label));
  const holds = conditionHolds(condition, mine, registry, wanted);
  const printed = printCondition(condition);
  const clause = wanted ? printed : `not ${printed}`;
  const print = (value: string | number): string => printAttribute({ issuer, label, value }, registry);
  const values = [...(mine?.values ?? []), ...(mine?.against ?? [])].map(print);
  const have =
    values.length === 0 ? `you have no ${printName(issuer, label)}` : `you have ${values.join(', ')}`;
  return { holds, clause, reason: `${clause} ${holds ? 'holds' : 'fails'}: ${have}`, members: [] };
}

/** The clauses that carry the verdict of `clause`: those that agree with it, down to single conditions. */
function decisive(clause: Clause): string[] {
  if (clause.members.length === 0) return [clause.reason];
  return clause.members.filter((member) => member.holds === clause.holds).flatMap(decisive);
}
