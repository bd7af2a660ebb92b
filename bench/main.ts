/**
 * The benches: runs suites, prints their rows, writes results, plots and a page to bench/results/, and compares with
 * a stored baseline as ratios. Started by scripts/bench.mjs, which compiles it; the options are in
 * harness/arguments.ts. Figures of one run on one machine may be compared with each other; the ratios to peers
 * and to a baseline are what carries over to another machine.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type BenchArguments, HELP, parseBenchArguments } from './harness/arguments.ts';
import { type Comparison, compare, type Results, readResults } from './harness/baseline.ts';
import { describeEnvironment, type SuiteOutcome } from './harness/environment.ts';
import type { Row } from './harness/row.ts';
import { runSuite } from './harness/run.ts';
import { formatTable } from './harness/table.ts';
import { checkTargets, formatChecks } from './harness/targets.ts';

const note = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

async function measure(options: BenchArguments): Promise<Results> {
  const environment = describeEnvironment(options.root, options.quick);
  const [load] = environment.load_average;
  if (load > environment.cores) {
    note(
      `The machine is busy: load average ${load} on ${environment.cores} cores. Absolute figures will be high.`,
    );
  }
  const rows: Row[] = [];
  const suites: SuiteOutcome[] = [];
  for (const suite of options.suites) {
    note(`${suite.name}: ${suite.title}`);
    const { rows: own, outcome } = await runSuite(suite, {
      quick: options.quick,
      root: options.root,
      log: note,
    });
    rows.push(...own);
    suites.push(outcome);
    note(`${suite.name}: ${outcome.status}, ${outcome.rows} rows in ${outcome.seconds} s`);
  }
  return { environment: { ...environment, suites }, rows };
}

function comparisonOf(results: Results, options: BenchArguments): Comparison | undefined {
  if (!options.baselineWanted && !existsSync(options.baseline)) return undefined;
  const comparison = compare(results, readResults(options.baseline));
  for (const warning of comparison.warnings) note(`Baseline: ${warning}.`);
  return comparison;
}

/** Writes what a run leaves in bench/results/; answers the path without ending. */
async function write(results: Results, comparison: Comparison | undefined, options: BenchArguments) {
  const folder = join(options.root, 'bench', 'results');
  mkdirSync(folder, { recursive: true });
  const base = join(folder, results.environment.date.replace(/\.\d+Z$/, 'Z').replaceAll(':', '-'));
  const json = `${JSON.stringify(results, null, 1)}\n`;
  writeFileSync(`${base}.json`, json);
  if (options.json !== undefined && options.json !== '-') writeFileSync(options.json, json);
  if (options.saveBaseline) writeFileSync(options.baseline, json);
  const written = [`${base}.json`];
  if (options.page && results.rows.length > 0) {
    const { drawPlots } = await import('./harness/plots.ts');
    const { renderPage } = await import('./harness/page.ts');
    const plots = await drawPlots(results.rows);
    for (const { name, svg } of plots) {
      writeFileSync(`${base}-${name}.svg`, svg);
      written.push(`${base}-${name}.svg`);
    }
    writeFileSync(`${base}.html`, renderPage(results, plots, comparison));
    written.push(`${base}.html`);
  }
  for (const path of written) note(`wrote ${relative(process.cwd(), path)}`);
}

async function main(options: BenchArguments): Promise<number> {
  const results = await measure(options);
  const comparison = comparisonOf(results, options);
  await write(results, comparison, options);
  if (options.json === '-') {
    process.stdout.write(`${JSON.stringify(results)}\n`);
  } else {
    process.stdout.write(formatTable(results.rows, comparison?.ratios));
    process.stdout.write(formatChecks(checkTargets(results.rows)));
  }
  return results.environment.suites.some((one) => one.status === 'failed') ? 1 : 0;
}

function usage(): BenchArguments | undefined {
  try {
    const options = parseBenchArguments(process.argv.slice(2));
    if (!options.help) return options;
    process.stdout.write(HELP);
  } catch (error) {
    process.exitCode = 2;
    note(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
  }
  return undefined;
}

const options = usage();
if (options !== undefined) process.exitCode = await main(options);
