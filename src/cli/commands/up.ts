/** `hippocrypt up`: a consortium in this process, and with `--tour` the walk through what it does. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CodedError } from '../../codec/errors.ts';
import { type Consortium, DEMO_MEMBERS, startConsortium } from '../../node/consortium.ts';
import { letHeapGrow } from '../../node/heap.ts';
import { wholeNumber } from '../arguments.ts';
import { EXIT, Output, paint } from '../output.ts';
import { DEMO_PASSWORD } from '../tour/people.ts';
import { remoteStage, stageOf } from '../tour/stage.ts';
import { runTour } from '../tour/tour.ts';

interface UpOptions {
  readonly data: string;
  readonly port: number;
  readonly tour?: boolean;
  readonly once?: boolean;
  readonly import?: string[];
  readonly importMax?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function upCommand(program: Command): void {
  program
    .command('up')
    .description('run a consortium of four hospitals in this process, for demonstration and development')
    .option('--data <dir>', 'where the members keep their data', 'data')
    .option(
      '--port <first>',
      'first of the four ports on 127.0.0.1; 0 takes free ones',
      wholeNumber(0, 65_535 - DEMO_MEMBERS.length + 1),
      8080,
    )
    .option('--tour', 'import records and walk through what Hippocrypt does')
    .option('--once', 'end after the tour instead of serving on')
    .option('--import <path...>', 'FHIR Bundles or ndjson (also .gz) instead of the sample')
    .option('--import-max <n>', 'take only the first n Bundles', wholeNumber(1, 1_000_000_000))
    .option('--json', 'print the steps as one JSON value')
    .option('--quiet', 'no notes and no progress')
    .action(async (options: UpOptions) => {
      process.exitCode = await up(options);
    });
}

interface TourCliOptions {
  readonly url: string[];
  readonly data: string;
  readonly import?: string[];
  readonly importMax?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The same tour over the gateways of a consortium that runs elsewhere. */
export function tourCommand(program: Command): void {
  program
    .command('tour')
    .description('walk the tour over the gateways of a demonstration in separate processes')
    .option(
      '--url <url...>',
      "every member's gateway",
      [8080, 8081, 8082, 8083].map((port) => `http://127.0.0.1:${port}`),
    )
    .option('--data <dir>', "where the people's device files go", 'tour')
    .option('--import <path...>', 'FHIR Bundles or ndjson (also .gz) instead of the sample')
    .option('--import-max <n>', 'take only the first n Bundles', wholeNumber(1, 1_000_000_000))
    .option('--json', 'print the steps as one JSON value')
    .option('--quiet', 'no notes and no progress')
    .action(async (options: TourCliOptions) => {
      const output = new Output({ json: options.json === true, quiet: options.quiet === true });
      try {
        const stage = await remoteStage(options.url);
        const steps = await runTour({ stage, dir: resolve(options.data), source: sourceOf(options), output });
        output.result({ steps }, () => `\n${paint('green', 'The tour holds.')} ${steps.length} steps.`);
      } catch (error) {
        output.problem(error);
        process.exitCode = EXIT.failed;
      }
    });
}

async function up(options: UpOptions): Promise<number> {
  const output = new Output({ json: options.json === true, quiet: options.quiet === true });
  const dir = resolve(options.data);
  output.note(`Hippocrypt: four hospitals in one process, data in ${dir}`);
  const stop = interruption();
  let consortium: Consortium;
  try {
    await requireFree(options.port);
    letHeapGrow();
    consortium = await startConsortium({
      dir,
      port: options.port,
      onStep: (step) => output.note(`  ${step} ...`),
      log: { event: (name, fields) => output.note(`  ${name} ${JSON.stringify(fields)}`) },
    });
  } catch (error) {
    output.problem(error);
    return EXIT.failed;
  }
  let code: number = EXIT.ok;
  try {
    await demoAccounts(consortium);
    if (output.json === false) announce(consortium, output);
    if (options.tour === true || options.once === true) {
      const tour = runTour({
        stage: stageOf(consortium),
        dir: join(dir, 'tour'),
        source: sourceOf(options),
        output,
      });
      const steps = await Promise.race([tour, stop.then(() => undefined)]);
      if (steps === undefined) {
        // What the tour was about to do fails on the closing members; the next start goes on from here.
        tour.catch(() => undefined);
        output.note('Interrupted.');
        await consortium.close();
        return EXIT.interrupted;
      }
      output.result({ steps }, () => `\n${paint('green', 'The tour holds.')} ${steps.length} steps.`);
    }
    if (options.once !== true) {
      firstCurls(consortium, output);
      output.note('Serving until Ctrl-C.');
      await stop;
    }
  } catch (error) {
    output.problem(error);
    code = EXIT.failed;
  }
  await consortium.close();
  return code;
}

function sourceOf(options: { readonly import?: string[]; readonly importMax?: number }): {
  paths: readonly string[];
  max?: number;
} {
  const max = options.importMax === undefined ? {} : { max: options.importMax };
  if (options.import !== undefined) return { paths: options.import, ...max };
  return { paths: [sampleDir()], ...max };
}

/** The sample beside the package, from sources and from the build. */
function sampleDir(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'sample')) && dir !== dirname(dir)) dir = dirname(dir);
  return join(dir, 'sample');
}

/** Each member's administrator signs in as `admin`; its keys are the gateway's. */
async function demoAccounts(consortium: Consortium): Promise<void> {
  for (const node of consortium.nodes.values()) {
    if (node.accounts.session('admin') === undefined) {
      await node.accounts.add('admin', DEMO_PASSWORD, node.operator, 'gateway');
    }
  }
}

/** Whom the tour enrols. */
const TOUR_ACCOUNTS = ['doctor', 'clerk', 'nurse', 'patient', 'visitor', 'researcher'];

function announce(consortium: Consortium, output: Output): void {
  output.line();
  output.line(paint('bold', `chain ${consortium.chainId}`));
  for (const [member, url] of consortium.urls)
    output.line(`  ${member.padEnd(16)} ${url}   API at ${url}/docs`);
  output.line(
    `  accounts: admin at each; the tour adds ${TOUR_ACCOUNTS.join(', ')}; password ${DEMO_PASSWORD}`,
  );
  output.line();
}

function firstCurls(consortium: Consortium, output: Output): void {
  const nodes = [...consortium.nodes.values()];
  const home = nodes.find((node) => node.accounts.session('nurse') !== undefined);
  if (home === undefined) return;
  for (const node of nodes) {
    const here = TOUR_ACCOUNTS.filter((account) => node.accounts.session(account) !== undefined);
    if (here.length > 0) output.line(`  ${node.id.padEnd(16)} ${here.join(', ')}`);
  }
  const url = consortium.urls.get(home.id);
  output.line();
  output.line(paint('bold', 'Try it:'));
  output.line(
    `  TOKEN=$(curl -s ${url}/v1/auth/login -H 'content-type: application/json' -d '{"account":"nurse","password":"${DEMO_PASSWORD}"}' | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')`,
  );
  output.line(`  curl -s ${url}/v1/me -H "authorization: Bearer $TOKEN"`);
  output.line(`  curl -s "${url}/v1/records?custodian=${home.id}&limit=3" -H "authorization: Bearer $TOKEN"`);
  output.line();
}

/** Throws `cli.port` before anything is made or opened when a port of the four is taken. */
async function requireFree(first: number): Promise<void> {
  if (first === 0) return;
  for (let port = first; port < first + DEMO_MEMBERS.length; port++) {
    await new Promise<void>((resolve, reject) => {
      const probe = createServer();
      probe.once('error', (cause) =>
        reject(
          new CodedError(
            'cli.port',
            `port ${port} of 127.0.0.1 cannot be had: stop what listens there, or give another --port (0 takes free ones)`,
            { cause },
          ),
        ),
      );
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()));
    });
  }
}

function interruption(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
