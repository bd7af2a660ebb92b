/** Evaluates a plan's formula over sets. Conjunctions start with the rarest term; a pure NOT has the universe. */
import type { Formula } from './plan.ts';
import { EMPTY_SET, intersect, subtract, unite } from './sets.ts';

/** The members that satisfy `formula`; `setAt` gives a keyword's set, `universe` everything that lives. */
export function evaluateFormula(
  formula: Formula,
  setAt: (keyword: number) => Uint32Array,
  universe: () => Uint32Array,
): Uint32Array {
  const evaluate = (part: Formula): Uint32Array => {
    switch (part.op) {
      case 'keyword':
        return setAt(part.at);
      case 'not':
        return subtract(universe(), evaluate(part.arg));
      case 'or':
        return part.args.map(evaluate).reduce(unite, EMPTY_SET);
      default:
        return conjunction(part.args);
    }
  };
  const conjunction = (args: readonly Formula[]): Uint32Array => {
    const positive = args.filter((arg) => arg.op !== 'not').map(evaluate);
    positive.sort((a, b) => a.length - b.length);
    let result = positive.length > 0 ? positive.reduce(intersect) : universe();
    for (const arg of args) if (arg.op === 'not') result = subtract(result, evaluate(arg.arg));
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
