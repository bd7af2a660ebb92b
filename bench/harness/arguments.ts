/** The command line of the benches, and the text of `--help`. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseSuites, SUITES, type Suite } from './suites.ts';

export const HELP = `npm run bench [-- SUITE...] [options]

Suites: ${SUITES.map((suite) => suite.name).join(', ')}, all (default). Each runs in a process of its own, one after the other;
${SUITES.filter(({ onlyByName }) => onlyByName === true)
  .map(({ name }) => name)
  .join(', ')}: only when named.

  --quick            fewer runs on smaller data; figures are not comparable with a full run's
  --json FILE        also write the results to FILE; "-" prints only the results, as JSON, on stdout
  --baseline FILE    compare with the results in FILE instead of bench/baseline.json
  --save-baseline    make this run the baseline
  --no-page          no plots and no page
  --help             this text

The table goes to stdout, progress to stderr, results, plots and page to bench/results/.
Exit codes: 0 all suites measured or skipped, 1 a suite failed, 2 wrong usage.
`;

export interface BenchArguments {
  readonly help: boolean;
  readonly suites: readonly Suite[];
  readonly quick: boolean;
  /** Results to be written to this file as well; "-" for stdout. */
  readonly json: string | undefined;
  readonly baseline: string;
  /** True when the caller named the baseline, which then must exist. */
  readonly baselineWanted: boolean;
  readonly saveBaseline: boolean;
  readonly page: boolean;
  /** The checkout. */
  readonly root: string;
}

/** Throws TypeError or RangeError with a text for the user. Files are relative to the working directory. */
export function parseBenchArguments(args: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      baseline: { type: 'string' },
      'save-baseline': { type: 'boolean', default: false },
      'no-page': { type: 'boolean', default: false },
      root: { type: 'string', default: '.' },
    },
  });
  const root = resolve(values.root);
  return {
    help: values.help,
    suites: chooseSuites(positionals),
    quick: values.quick,
    json: values.json === undefined || values.json === '-' ? values.json : resolve(values.json),
    baseline: values.baseline === undefined ? join(root, 'bench', 'baseline.json') : resolve(values.baseline),
    baselineWanted: values.baseline !== undefined,
    saveBaseline: values['save-baseline'],
    page: !values['no-page'],
    root,
  };
}
