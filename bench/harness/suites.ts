/**
 * The suites by name: what each measures, where it is, and how its options follow from ours. A suite is a module that
 * exports one function returning rows. It is named by path and loaded in a child process, so that a suite that is
 * not there is reported as skipped instead of breaking the others.
 */

/** What a suite is given, in the child process. */
export interface SuiteContext {
  readonly quick: boolean;
  /** Folder for the suite's stores; removed afterwards. */
  readonly directory: string;
  readonly random: (length: number) => Uint8Array;
  readonly log: (line: string) => void;
}

export interface Suite {
  readonly name: string;
  readonly title: string;
  /** What the figures are about, for the page. */
  readonly about: string;
  /** Runs only where it is asked for by name: it takes long, or needs what few machines have. */
  readonly onlyByName?: boolean;
  /** Modules beside bench/main.ts, without ending, and the function that each exports. */
  readonly parts: readonly SuitePart[];
}

export interface SuitePart {
  readonly module: string;
  readonly run: string;
  /** The suite's own options; each suite documents its own. */
  readonly options: (context: SuiteContext) => SuiteOptions | Promise<SuiteOptions>;
}

type SuiteOptions = Readonly<Record<string, unknown>>;

const common = ({ quick, log, directory }: SuiteContext): SuiteOptions => ({
  quick,
  log,
  directory,
});

/** In the order in which `all` runs them. */
export const SUITES: readonly Suite[] = [
  {
    name: 'abe',
    title: 'Attribute-based encryption',
    about:
      'Key generation, encryption and decryption under an AND of n attributes, with chosen-ciphertext security on both sides. ' +
      "Beside it, in the same run: the same scheme over the pure JavaScript backend, and CIRCL's tkn20 in Go.",
    parts: [
      { module: 'abe', run: 'runAbeBench', options: common },
      { module: 'abe-floor', run: 'runAbeFloorBench', options: common },
    ],
  },
  {
    name: 'constant-time',
    title: 'Timing of secrets',
    about:
      'Every operation on a secret with one fixed secret and with random ones, in random order, and what the clock says: ' +
      'a |t| above 10 is a difference. Where constant time is claimed, an alarm fails the command.',
    parts: [
      {
        module: 'constant-time',
        run: 'runConstantTimeBench',
        options: ({ quick, log }) => ({ quick, log }),
      },
    ],
  },
  {
    name: 'search',
    title: 'Encrypted search',
    about:
      'Conjunctions over an encrypted index with cached keyword secrets; every page is verified to its root in every query. ' +
      'Beside it, in the same run: SQLite FTS5 and MiniSearch on the plaintext, with the same answers.',
    parts: [
      {
        module: 'search',
        run: 'runSearchBench',
        options: ({ quick, log }) => (quick ? { documents: 10_000, runs: 7, log } : { log }),
      },
    ],
  },
  {
    name: 'search-growth',
    title: 'Growth of encrypted search',
    about:
      'The same index and queries at 10,000, 100,000 and a million records of 20 keywords: build, size, time by candidates, memory.',
    onlyByName: true,
    parts: [
      {
        module: 'search-growth',
        run: 'runSearchGrowthBench',
        options: ({ quick, log }) => ({ quick, log }),
      },
    ],
  },
  {
    name: 'search-browser',
    title: 'Encrypted search in a browser',
    about:
      'A million records of 20 keywords searched by a page in headless Chromium, for each fetch policy: memory and time.',
    onlyByName: true,
    parts: [
      {
        module: 'search-browser',
        run: 'runSearchBrowserBench',
        options: ({ quick, log }) => ({ quick, log }),
      },
    ],
  },
  {
    name: 'ledger',
    title: 'Ledger',
    about:
      'Agreement among four validators on signed entries, durable at each before it votes; and the log itself.',
    parts: [
      { module: 'ledger', run: 'runLedgerBench', options: common },
      {
        module: 'ledger-log',
        run: 'runLedgerLogBench',
        options: ({ quick, log, directory }) => ({
          log,
          directory,
          ...(quick ? { entries: 20_000, keys: 20_000 } : {}),
        }),
      },
    ],
  },
  {
    name: 'storage',
    title: 'Payload storage',
    about: 'Sealed payloads in content-addressed blocks: durable when put, checked against the CID when got.',
    parts: [
      {
        module: 'storage',
        run: 'runStorageBench',
        options: async ({ quick, directory, random, log }) => {
          // Here and not above: the process that only reports must not need the product to load.
          const { sealPayload } = await import('../../src/abe/payload/stream.ts');
          const name = { recordId: random(32), payloadId: random(16), random };
          return {
            seal: (source: AsyncIterable<Uint8Array>) => sealPayload(random(32), name, source),
            directory,
            log,
            ...(quick ? { largeBytes: 64 * 2 ** 20, records: 5_000 } : {}),
          };
        },
      },
    ],
  },
  {
    name: 'main',
    title: 'The main job',
    about:
      'A consortium of four hospitals in one process, used over HTTP by clients in another: request a key, open a record, ' +
      'import FHIR Bundles, search over all four, read metadata while sealing runs.',
    parts: [{ module: 'main-job', run: 'runMainJobBench', options: common }],
  },
];

/** The suites that `names` ask for, in the order of running; throws RangeError naming what is known. */
export function chooseSuites(names: readonly string[]): readonly Suite[] {
  const known = SUITES.map((suite) => suite.name);
  for (const name of names) {
    if (name !== 'all' && !known.includes(name)) {
      throw new RangeError(`there is no suite "${name}": expected ${known.join(', ')} or all`);
    }
  }
  if (names.length === 0 || names.includes('all'))
    return SUITES.filter(({ name, onlyByName }) => onlyByName !== true || names.includes(name));
  return SUITES.filter((suite) => names.includes(suite.name));
}
