/** Evaluates a plan's formula over sets. Conjunctions start with the rarest term; a pure NOT has the universe. */

import { intersectMembers, type Members, NO_MEMBERS, subtractMembers, uniteMembers } from './members.ts';
import type { Formula } from './plan.ts';

/** The members that satisfy `formula`; `setAt` gives a keyword's set, `universe` everything that lives. */
export function evaluateFormula(
  formula: Formula,
  setAt: (keyword: number) => Members,
  universe: () => Members,
): Members {
  const evaluate = (part: Formula): Members => {
    switch (part.op) {
      case 'keyword':
        return setAt(part.at);
      case 'not':
        return subtractMembers(universe(), evaluate(part.arg));
      case 'or':
        return part.args.map(evaluate).reduce(uniteMembers, NO_MEMBERS);
      default:
        return conjunction(part.args);
    }
  };
  const conjunction = (args: readonly Formula[]): Members => {
    const positive = args.filter((arg) => arg.op !== 'not').map(evaluate);
    positive.sort((a, b) => a.size - b.size);
    let result = positive.length > 0 ? positive.reduce(intersectMembers) : universe();
    for (const arg of args) if (arg.op === 'not') result = subtractMembers(result, evaluate(arg.arg));
    return result;
  };
  return evaluate(formula);
}

/** Keywords that stand under an even number of negations: those that can speak for a hit. */
export function positiveKeywords(formula: Formula): Set<number> {
  const found = new Set<number>();
  const walk = (part: Formula, positive: boolean): void => {
    if (part.op === 'keyword') {
      if (positive) found.add(part.at);
    } else if (part.op === 'not') walk(part.arg, !positive);
    else for (const arg of part.args) walk(arg, positive);
  };
  walk(formula, true);
  return found;
}
