/**
 * Rows as plots: vega-lite specifications, compiled and rendered to SVG text by vega without a DOM. One plot for the
 * targets and one a suite. Times stand on logarithmic axes, because what is compared is factors; suites with a peer are
 * drawn beside it over the size of the problem, the others as a dot at p50 with a line to p95.
 */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Row } from './row.ts';
import { formatNumber } from './table.ts';
import { type Check, checkTargets } from './targets.ts';

export interface Plot {
  /** `targets` or the suite's name; part of a file name. */
  readonly name: string;
  /** What is to be seen, in a sentence, for readers who do not see it. */
  readonly title: string;
  readonly svg: string;
}

/** Ours, the reference of our own, the peer; told apart without colour by their order and labels too. */
const OURS = '#0f766e';
const REFERENCE = '#8b95a5';
const PEER = '#c2570c';
const MISSED = '#b4232c';
const INK = '#1f2933';
const GRID = '#e4e7eb';

/** Pixels of the longest label before it is cut. */
const LABEL_MAX = 480;
/** Where grid lines of times stand: one a decade. */
const DECADES = [0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000];

const FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const CONFIG: TopLevelSpec['config'] = {
  background: 'transparent',
  font: FONT,
  aria: false,
  view: { stroke: null },
  axis: {
    labelColor: INK,
    titleColor: '#52606d',
    titleFontWeight: 'normal',
    titleFontSize: 12,
    labelFontSize: 12,
    gridColor: GRID,
    domainColor: '#9aa5b1',
    tickColor: '#9aa5b1',
  },
  legend: {
    orient: 'top',
    title: null,
    labelLimit: LABEL_MAX,
    labelFontSize: 13,
    symbolStrokeWidth: 2.5,
    labelColor: INK,
  },
  header: { title: null, labelFontSize: 13, labelFontWeight: 600, labelColor: INK },
};

const PANEL = { width: 235, height: 220 } as const;
const LIST_WIDTH = 560;
const STEP = 24;
/** Rows of a plot; beyond it a list is a table. */
const LIST_MAX = 40;

/** Mean width of a character over the font's size, for the fonts above; vega's own guess without a DOM is 0.8. */
const CHARACTER_WIDTH = 0.6;

interface TextItem {
  readonly fontSize?: number;
  readonly limit?: number;
}

/** The hook by which vega takes another measure of text than its guess; its types leave it out. */
const { textMetrics } = vega as unknown as {
  readonly textMetrics: { width: (item: TextItem, text: unknown) => number };
};
textMetrics.width = ({ fontSize = 11, limit = 0 }, text) => {
  const width = CHARACTER_WIDTH * fontSize * String(text ?? '').length;
  return limit > 0 ? Math.min(limit, width) : width;
};

/** All plots that the rows give something for, the targets first. */
export async function drawPlots(rows: readonly Row[]): Promise<readonly Plot[]> {
  const plots: Plot[] = [];
  const checks = checkTargets(rows);
  if (checks.length > 0) {
    const title = 'How far each measured figure is on the good or the bad side of its target';
    plots.push({ name: 'targets', title, svg: await render('targets', targetsPlot(checks)) });
  }
  for (const suite of new Set(rows.map((row) => row.suite))) {
    const { title, spec } = suitePlot(
      suite,
      rows.filter((row) => row.suite === suite),
    );
    plots.push({ name: suite, title, svg: await render(suite, spec) });
  }
  return plots;
}

async function render(name: string, spec: TopLevelSpec): Promise<string> {
  const view = new vega.View(vega.parse(compile({ config: CONFIG, ...spec }).spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  // Several stand in one page, where ids are shared.
  return svg.replaceAll(/(id="|url\(#)/g, `$1${name}-`);
}

function suitePlot(suite: string, rows: readonly Row[]): { title: string; spec: TopLevelSpec } {
  if (suite === 'abe')
    return { title: 'Time by number of attributes, for each backend', spec: abePlot(rows) };
  const queries = suite === 'search' ? queryRows(rows) : [];
  if (queries.length > 0) {
    return {
      title: 'Time of a query by number of candidates, beside its peers on plaintext',
      spec: searchPlot(queries),
    };
  }
  return {
    title: 'Each operation: a dot and the figure at p50, a line to p95, a red mark where a target stands',
    spec: rangePlot(rows.slice(0, LIST_MAX)),
  };
}

const BACKENDS: Readonly<Record<string, string>> = {
  mcl: 'Hippocrypt (mcl, WebAssembly)',
  noble: 'Hippocrypt (noble, JavaScript)',
  circl: 'CIRCL tkn20 (Go)',
};
const ABE_PANELS: Readonly<Record<string, string>> = {
  keygen: 'Key generation',
  encrypt: 'Encrypt',
  decrypt: 'Decrypt',
};

function abePlot(rows: readonly Row[]): TopLevelSpec {
  const values = rows
    .filter((row) => typeof row.op === 'string' && row.op in ABE_PANELS)
    .map((row) => ({ ...row, panel: ABE_PANELS[row.op], who: BACKENDS[String(row.backend)] ?? row.backend }));
  const order = Object.values(BACKENDS);
  return {
    data: { values },
    facet: { column: { field: 'panel', type: 'nominal', sort: Object.values(ABE_PANELS) } },
    spec: linesOver('n', 'attributes in the policy', order, [OURS, REFERENCE, PEER]),
  };
}

const QUERY = /^and (\d) terms, (\d+) candidates(?:, (SQLite FTS5|MiniSearch))?$/;
const SEARCHERS = ['Hippocrypt, encrypted and verified', 'SQLite FTS5, plaintext', 'MiniSearch, plaintext'];

function queryRows(rows: readonly Row[]) {
  return rows.flatMap((row) => {
    const match = QUERY.exec(row.op);
    if (match === null) return [];
    const [, terms, candidates, peer] = match;
    return [
      {
        ...row,
        panel: `${terms} terms`,
        candidates: Number(candidates),
        who: peer === undefined ? SEARCHERS[0] : `${peer}, plaintext`,
      },
    ];
  });
}

function searchPlot(values: ReturnType<typeof queryRows>): TopLevelSpec {
  return {
    data: { values },
    facet: { column: { field: 'panel', type: 'nominal' } },
    spec: linesOver(
      'candidates',
      'candidates of the rarest term',
      SEARCHERS.filter((one) => values.some(({ who }) => who === one)),
      [OURS, PEER, REFERENCE],
    ),
  };
}

/** One panel: time over a size, both logarithmic, a line for each of `who`, with a whisker to p95. */
function linesOver(field: string, title: string, who: readonly string[], colours: readonly string[]) {
  const decades = [1, 10, 100, 1000, 10_000];
  const x = {
    field,
    type: 'quantitative',
    scale: { type: 'log' },
    axis: { title, values: decades, format: ',', grid: false },
  } as const;
  const color = { field: 'who', type: 'nominal', scale: { domain: [...who], range: [...colours] } } as const;
  return {
    ...PANEL,
    layer: [
      {
        mark: { type: 'line' as const, strokeWidth: 2.5, point: { size: 55, filled: true } },
        encoding: { x, y: milliseconds('p50_ms'), color },
      },
      {
        mark: { type: 'rule' as const, strokeWidth: 1.5, opacity: 0.45 },
        encoding: { x, y: milliseconds('p50_ms'), y2: { field: 'p95_ms' }, color },
      },
    ],
  };
}

const milliseconds = (field: string) =>
  ({
    field,
    type: 'quantitative',
    scale: { type: 'log' },
    axis: { title: 'milliseconds', format: ',~r', values: DECADES },
  }) as const;

/** Operations from top to bottom in order of running; a tick where a target for p50 stands. */
function rangePlot(rows: readonly Row[]): TopLevelSpec {
  // A logarithm has no zero; a thousandth of a millisecond is the resolution of the rows.
  const values = rows.map((row) => {
    const limit = /p50_ms <= (\d+(?:\.\d+)?)/.exec(String(row.target ?? ''))?.[1];
    return {
      op: row.op,
      p50_ms: Math.max(row.p50_ms, 0.001),
      p95_ms: Math.max(row.p95_ms, 0.001),
      label: formatNumber(row.p50_ms),
      limit: limit === undefined ? null : Number(limit),
    };
  });
  const y = {
    field: 'op',
    type: 'nominal',
    sort: null,
    axis: { title: null, ticks: false, domain: false, labelLimit: LABEL_MAX },
  } as const;
  const x = {
    ...milliseconds('p50_ms'),
    axis: { ...milliseconds('').axis, title: 'milliseconds, p50 to p95' },
  } as const;
  return {
    data: { values },
    width: LIST_WIDTH,
    height: { step: STEP },
    layer: [
      {
        mark: { type: 'rule', color: OURS, strokeWidth: 3, opacity: 0.35 },
        encoding: { y, x, x2: { field: 'p95_ms' } },
      },
      { mark: { type: 'point', filled: true, color: OURS, size: 80, opacity: 1 }, encoding: { y, x } },
      {
        mark: { type: 'text', align: 'left', dx: 9, fontSize: 11.5, color: '#52606d' },
        encoding: { y, x: { ...x, field: 'p95_ms' }, text: { field: 'label' } },
      },
      {
        transform: [{ filter: 'datum.limit !== null' }],
        mark: { type: 'tick', color: MISSED, thickness: 2.5, size: 18 },
        encoding: { y, x: { field: 'limit', type: 'quantitative', scale: { type: 'log' } } },
      },
    ],
  };
}

/** Longest bar to either side: beyond it a factor is only "far". */
const FACTOR_MAX = 1000;

/** How many times better (above 1) or worse than its limit a figure is. A limit of nothing is met exactly or missed by far. */
function factorOf(measured: number, relation: Check['relation'], limit: number): number {
  const [good, bad] = relation === '>=' ? [measured, limit] : [limit, measured];
  if (good === bad) return 1;
  if (good === 0) return 1 / FACTOR_MAX;
  return bad === 0 ? FACTOR_MAX : Math.min(FACTOR_MAX, Math.max(1 / FACTOR_MAX, good / bad));
}

function wordsOf(factor: number): string {
  if (factor === 1) return 'exactly';
  return factor > 1 ? `${formatNumber(factor)}x better` : `${formatNumber(1 / factor)}x short`;
}

/** Factor by which each figure is better (right of 1) or worse (left) than its target. */
function targetsPlot(checks: readonly Check[]): TopLevelSpec {
  const values = checks.map(({ suite, what, measured, relation, limit, met }) => {
    const factor = factorOf(measured, relation, limit);
    return {
      what: `${suite}: ${what}`,
      factor,
      one: 1,
      verdict: met ? 'met' : 'missed',
      label: wordsOf(factor),
    };
  });
  const largest = Math.max(2, ...values.map(({ factor }) => Math.max(factor, 1 / factor)));
  // Both sides of 1 are drawn alike, with room for the labels.
  const reach = largest * 3.5;
  const domain = [1 / reach, reach];
  const y = {
    field: 'what',
    type: 'nominal',
    sort: null,
    axis: { title: null, ticks: false, domain: false, labelLimit: LABEL_MAX },
  } as const;
  const x = {
    field: 'factor',
    type: 'quantitative',
    scale: { type: 'log', domain, nice: false },
    axis: { title: 'measured against target: better to the right', grid: false, tickCount: 6, format: '~r' },
  } as const;
  const color = {
    field: 'verdict',
    type: 'nominal',
    scale: { domain: ['met', 'missed'], range: [OURS, MISSED] },
  } as const;
  return {
    data: { values },
    width: LIST_WIDTH,
    height: { step: STEP },
    layer: [
      { mark: { type: 'bar', height: 9 }, encoding: { y, x, x2: { field: 'one' }, color } },
      {
        mark: { type: 'rule', color: INK, strokeWidth: 1.2 },
        encoding: { x: { datum: 1, type: 'quantitative' } },
      },
      {
        transform: [{ filter: 'datum.factor >= 1' }],
        mark: { type: 'text', align: 'left', dx: 6, fontSize: 12, color: INK },
        encoding: { y, x, text: { field: 'label' } },
      },
      {
        transform: [{ filter: 'datum.factor < 1' }],
        mark: { type: 'text', align: 'right', dx: -6, fontSize: 12, color: INK },
        encoding: { y, x, text: { field: 'label' } },
      },
    ],
  };
}
