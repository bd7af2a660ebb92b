/** `hippocrypt up`: a consortium in this process, and with `--tour` the walk through what it does. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { hasCode } from '../../codec/errors.ts';
import { type Consortium, startConsortium } from '../../node/consortium.ts';
import { EXIT, Output, paint } from '../output.ts';
import { DEMO_PASSWORD } from '../tour/people.ts';
import { runTour } from '../tour/tour.ts';

interface UpOptions {
  readonly data: string;
  readonly port: string;
  readonly tour?: boolean;
  readonly once?: boolean;
  readonly import?: string[];
  readonly importMax?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function upCommand(program: Command): void {
  program
    .command('up')
    .description('run a consortium of four hospitals in this process, for demonstration and development')
    .option('--data <dir>', 'where the members keep their data', 'data')
    .option('--port <first>', 'first of the four ports on 127.0.0.1; 0 takes free ones', '8080')
    .option('--tour', 'import records and walk through what Hippocrypt does')
    .option('--once', 'end after the tour instead of serving on')
    .option('--import <path...>', 'FHIR Bundles or ndjson (also .gz) instead of the sample')
    .option('--import-max <n>', 'take only the first n Bundles')
    .option('--json', 'print the steps as one JSON value')
    .option('--quiet', 'no notes and no progress')
    .action(async (options: UpOptions) => {
      process.exitCode = await up(options);
    });
}

async function up(options: UpOptions): Promise<number> {
  const output = new Output({ json: options.json === true, quiet: options.quiet === true });
  const dir = resolve(options.data);
  output.note(`Hippocrypt: four hospitals in one process, data in ${dir}`);
  const stop = interruption();
  let consortium: Consortium;
  try {
    consortium = await startConsortium({
      dir,
      port: Number(options.port),
      onStep: (step) => output.note(`  ${step} ...`),
      log: { event: (name, fields) => output.note(`  ${name} ${JSON.stringify(fields)}`) },
    });
  } catch (error) {
    output.problem(portProblem(error, options.port));
    return EXIT.failed;
  }
  let code: number = EXIT.ok;
  try {
    await demoAccounts(consortium);
    if (output.json === false) announce(consortium, output);
    if (options.tour === true || options.once === true) {
      const steps = await runTour({ consortium, dir: join(dir, 'tour'), source: sourceOf(options), output });
      output.result({ steps }, () => `\n${paint('green', 'The tour holds.')} ${steps.length} steps.`);
    }
    if (options.once !== true) {
      if (options.tour === true) firstCurls(consortium, output);
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

function sourceOf(options: UpOptions): { paths: readonly string[]; max?: number } {
  const max = options.importMax === undefined ? {} : { max: Number(options.importMax) };
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

function announce(consortium: Consortium, output: Output): void {
  output.line();
  output.line(paint('bold', `chain ${consortium.chainId}`));
  for (const [member, url] of consortium.urls)
    output.line(`  ${member.padEnd(16)} ${url}   API at ${url}/docs`);
  output.line(
    `  accounts: admin at each; after the tour doctor, clerk, visitor, researcher, nurse, patient; password ${DEMO_PASSWORD}`,
  );
  output.line();
}

function firstCurls(consortium: Consortium, output: Output): void {
  const nodes = [...consortium.nodes.values()];
  const home = nodes.find((node) => node.accounts.session('nurse') !== undefined) ?? nodes[0];
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

function portProblem(error: unknown, port: string): unknown {
  if ((error as { code?: unknown }).code !== 'EADDRINUSE' && !hasCode(error, 'EADDRINUSE')) return error;
  return new Error(`port ${port} or one of the next three is taken: stop what listens there, or give --port`);
}

function interruption(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
