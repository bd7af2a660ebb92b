/**
 * From a query to the keywords it needs and the formula over them, or to a clear refusal. Ranges become covers,
 * texts become words, `!=` and `:missing` become complements. Every field of a plan brings its sentinel: it guards
 * against wrong keys and is the universe of `:missing`.
 */

import { CodedError } from '../codec/errors.ts';
import { calendarCover, calendarNode, firstDay, lastDay, parseDate, stepDay } from './calendar.ts';
import { searchError } from './errors.ts';
import { type FieldRegistry, type FieldSpec, fieldOf } from './fields.ts';
import { type Grid, gridCover, gridNodes, locate } from './grid.ts';
import { encodeKeyword, type Keyword, keywordKey, sentinel } from './keyword.ts';
import { QUERY_KEYWORDS_MAX } from './parameters.ts';
import type { Bound, Match, Query, Term } from './query.ts';
import { foldedWords, foldText, stemWord } from './words.ts';

/** A formula over the keywords of a plan, by their position. */
export type Formula =
  | { readonly op: 'and' | 'or'; readonly args: readonly Formula[] }
  | { readonly op: 'not'; readonly arg: Formula }
  | { readonly op: 'keyword'; readonly at: number };

/** One keyword of a plan. */
export interface PlannedKeyword {
  readonly field: string;
  readonly bytes: Uint8Array;
  readonly isSentinel: boolean;
  /** Whether slots of its lists are fetched in groups. */
  readonly sensitive: boolean;
}

export interface Plan {
  readonly formula: Formula;
  /** Distinct; sentinels that the query does not ask for itself come last, sorted by field. */
  readonly keywords: readonly PlannedKeyword[];
}

/** The plan of `query`; throws `search.unsupported`, `search.field_unknown` or `search.too_large`. */
export function planQuery(query: Query, registry: FieldRegistry): Plan {
  const planner = new Planner(registry);
  const formula = planner.formula(query);
  return { formula, keywords: planner.keywords() };
}

class Planner {
  readonly #registry: FieldRegistry;
  readonly #positions = new Map<string, number>();
  readonly #keywords: PlannedKeyword[] = [];

  constructor(registry: FieldRegistry) {
    this.#registry = registry;
  }

  formula(query: Query): Formula {
    switch (query.op) {
      case 'and':
      case 'or':
        return { op: query.op, args: query.args.map((arg) => this.formula(arg)) };
      case 'not':
        return { op: 'not', arg: this.formula(query.arg) };
      default:
        return this.#term(query.term);
    }
  }

  keywords(): PlannedKeyword[] {
    const fields = [...new Set(this.#keywords.map(({ field }) => field))].sort();
    for (const field of fields) this.#take(sentinel(field), fieldOf(this.#registry, field));
    return this.#keywords;
  }

  #term(term: Term): Formula {
    const spec = fieldOf(this.#registry, term.field);
    let terms: Formula;
    try {
      terms = this.#match(spec, term.match);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      throw searchError(
        error.code === 'search.too_large' ? 'search.too_large' : 'search.unsupported',
        `column ${term.column}, field "${spec.name}" (${spec.index.type}): ${error.message}`,
        { details: { column: term.column, field: spec.name } },
      );
    }
    return terms;
  }

  #match(spec: FieldSpec, match: Match): Formula {
    switch (match.kind) {
      case 'present':
        return this.#use(spec, sentinel(spec.name));
      case 'missing':
        return { op: 'not', arg: this.#use(spec, sentinel(spec.name)) };
      case 'set':
        return this.#any(match.values.map((one) => this.#equals(spec, one.value, one.system)));
      case 'equals':
        return this.#equals(spec, match.value, match.system);
      case 'prefix':
        return this.#prefix(spec, match.value, match.system);
      default:
        return this.#range(spec, match.low, match.high);
    }
  }

  #equals(spec: FieldSpec, value: string, system: string | undefined): Formula {
    const { index, name: field } = spec;
    if (system !== undefined && index.type !== 'code')
      refuse('only codes have a system; leave "system|" out');
    switch (index.type) {
      case 'code':
        return this.#use(spec, { field, type: 'code', system: system ?? null, value });
      case 'text': {
        const words = [...new Set(foldedWords(value).map(stemWord))];
        if (words.length === 0) refuse('expected a word of two letters or more');
        return this.#all(words.map((word) => this.#use(spec, { field, type: 'text', value: word })));
      }
      case 'date':
        return this.#use(spec, { field, type: 'date', value: calendarNode(parseDate(value)) });
      case 'number': {
        if (!onGrid(index.grid, value).exact)
          refuse(`expected a multiple of ${index.grid.step} from ${index.grid.min}`);
        return this.#use(spec, { field, type: 'number', value: gridNodes(index.grid, value)[0] });
      }
      case 'reference':
        return this.#use(spec, { field, type: 'reference', value });
      default:
        return this.#use(spec, { field, type: 'type', value });
    }
  }

  #prefix(spec: FieldSpec, value: string, system: string | undefined): Formula {
    const { index, name: field } = spec;
    if (system !== undefined) refuse('a prefix is indexed without its system; leave "system|" out');
    if (index.type === 'code' && index.hierarchy === 'ancestors') {
      return this.#use(spec, { field, type: 'prefix', value });
    }
    if ((index.type !== 'code' && index.type !== 'text') || index.prefix === null) {
      return refuse('it is not indexed by first characters');
    }
    const folded = foldText(value);
    const { min, max } = index.prefix;
    const length = [...folded].length;
    if (length < min || length > max) refuse(`expected ${min} to ${max} characters before *`);
    return this.#use(spec, { field, type: 'prefix', value: folded });
  }

  #range(spec: FieldSpec, low: Bound | undefined, high: Bound | undefined): Formula {
    const { index, name: field } = spec;
    if (index.type === 'date') {
      const nodes = dateCover(index.fromYear, index.toYear, low, high);
      return this.#any(nodes.map((value) => this.#use(spec, { field, type: 'date', value })));
    }
    if (index.type === 'number') {
      const cells = 2 ** index.grid.bits;
      const first = low === undefined ? 0 : firstCell(onGrid(index.grid, low.value), low.inclusive);
      const last = high === undefined ? cells - 1 : lastCell(onGrid(index.grid, high.value), high.inclusive);
      if (first <= 0 && last >= cells - 1) return this.#use(spec, sentinel(field));
      const nodes = gridCover(index.grid, first, last);
      return this.#any(nodes.map((value) => this.#use(spec, { field, type: 'number', value })));
    }
    return refuse('it has no order: ranges and comparisons go with dates and numbers');
  }

  #use(spec: FieldSpec, keyword: Keyword): Formula {
    return { op: 'keyword', at: this.#take(keyword, spec) };
  }

  #take(keyword: Keyword, spec: FieldSpec): number {
    const bytes = encodeKeyword(keyword);
    const key = keywordKey(bytes);
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    if (this.#keywords.length >= QUERY_KEYWORDS_MAX) {
      throw searchError('search.too_large', `the query needs more than ${QUERY_KEYWORDS_MAX} keywords`);
    }
    const isSentinel = keyword.type === 'any';
    this.#keywords.push({ field: keyword.field, bytes, isSentinel, sensitive: spec.sensitive });
    this.#positions.set(key, this.#keywords.length - 1);
    return this.#keywords.length - 1;
  }

  #all(args: readonly Formula[]): Formula {
    return args.length === 1 ? args[0] : { op: 'and', args };
  }

  #any(args: readonly Formula[]): Formula {
    return args.length === 1 ? args[0] : { op: 'or', args };
  }
}

function refuse(why: string): never {
  throw searchError('search.unsupported', why);
}

function dateCover(
  fromYear: number,
  toYear: number,
  low: Bound | undefined,
  high: Bound | undefined,
): string[] {
  let from = { year: fromYear, month: 1, day: 1 };
  let to = { year: toYear, month: 12, day: 31 };
  if (low !== undefined) {
    const date = parseDate(low.value);
    from = low.inclusive ? firstDay(date) : stepDay(lastDay(date), 1);
  }
  if (high !== undefined) {
    const date = parseDate(high.value);
    to = high.inclusive ? lastDay(date) : stepDay(firstDay(date), -1);
  }
  return calendarCover(from, to);
}

type Located = ReturnType<typeof locate>;

/** Beyond the grid all values share the open end cells, so a bound there cannot be answered. */
function onGrid(grid: Grid, value: string): Located {
  const located = locate(grid, value);
  if (located.cell < 0 || located.cell >= 2 ** grid.bits) {
    refuse(
      `expected a number on the grid: ${2 ** grid.bits} steps of ${grid.step} ${grid.unit} from ${grid.min}`,
    );
  }
  return located;
}

/** First cell whose lower end is at least (above) the located bound; the first cell is open below. */
const firstCell = ({ cell, exact }: Located, inclusive: boolean): number =>
  exact && inclusive ? cell : cell + 1;

/** Last cell whose lower end is at most (below) the located bound; the last cell is open above. */
const lastCell = ({ cell, exact }: Located, inclusive: boolean): number =>
  exact && !inclusive ? cell - 1 : cell;

/** What a plan costs before anything is asked: for people, and for budgets. */
export interface Explanation {
  /** New keywords that each custodian has to evaluate, by field, sentinels included. */
  readonly evaluations: Readonly<Record<string, number>>;
  /** Terms that are looked up in every segment. */
  readonly keywords: number;
  /** The formula with k0, k1, .. for the keywords. */
  readonly formula: string;
}

/** A plan in words and numbers; holds no value of the query. */
export function explainQuery(plan: Plan): Explanation {
  const evaluations: Record<string, number> = {};
  for (const { field } of plan.keywords) evaluations[field] = (evaluations[field] ?? 0) + 1;
  return { evaluations, keywords: plan.keywords.length, formula: printFormula(plan.formula) };
}

function printFormula(formula: Formula): string {
  switch (formula.op) {
    case 'keyword':
      return `k${formula.at}`;
    case 'not':
      return `not ${printFormula(formula.arg)}`;
    default:
      return formula.args.length === 0
        ? 'none'
        : `(${formula.args.map(printFormula).join(` ${formula.op} `)})`;
  }
}
