/** Checks that anybody can run: the consensus simulator with seeds, and the benchmarks. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CodedError } from '../../codec/errors.ts';
import { runSimulation } from '../../consensus/index.ts';
import { wholeNumber } from '../arguments.ts';
import { EXIT } from '../output.ts';
import { type CommonOptions, runs } from '../run.ts';

interface SimOptions extends CommonOptions {
  readonly seeds: number;
  readonly seed: number;
  readonly members?: number;
}

const SEEDS_MAX = 100_000_000;
/** From `dist/cli/commands`; only a checkout has it. */
const BENCH = fileURLToPath(new URL('../../../scripts/bench.mjs', import.meta.url));

export function checkCommands(program: Command): void {
  runs<SimOptions>(
    program
      .command('sim')
      .description(
        'simulate consensus under crashes, partitions, lost messages and traitors; every seed is one replayable run',
      )
      .option('--seeds <n>', 'how many', wholeNumber(1, SEEDS_MAX), 100)
      .option('--seed <n>', 'the first', wholeNumber(1, SEEDS_MAX), 1)
      .option('--members <n>', 'validators; by seed when left out', wholeNumber(4, 13)),
    async (output, { seeds, seed, members }) => {
      const progress = output.progress('simulating', seeds, 'seeds');
      const result = runSimulation({
        seeds,
        firstSeed: seed,
        ...(members === undefined ? {} : { members: [members] }),
        onSeed: (_seed, violations) => {
          progress.add(1);
          for (const text of violations) output.note(text);
          return undefined;
        },
      });
      progress.end();
      output.result(result, () =>
        result.violations.length === 0
          ? `${result.seeds} seeds, ${result.steps} steps: agreement, validity and exactly-once held in all`
          : result.violations
              .map(({ text, replay }) => `${text}\n  again: hippocrypt ${replay} --seeds 1`)
              .join('\n'),
      );
      return result.violations.length === 0 ? EXIT.ok : EXIT.failed;
    },
  );

  program
    .command('bench')
    .description(
      'run benchmarks: abe, constant-time, search, ledger, storage, main or all; needs the checkout',
    )
    .argument('[arguments...]', 'as npm run bench takes them; --help lists them')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (given: readonly string[]) => {
      if (!existsSync(BENCH)) {
        throw new CodedError(
          'cli.no_checkout',
          'benchmarks need a checkout of the sources: run npm run bench there',
        );
      }
      const child = spawn(process.execPath, [BENCH, ...given], { stdio: 'inherit' });
      process.exitCode = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) =>
          resolve(code ?? (signal === 'SIGINT' ? EXIT.interrupted : EXIT.failed)),
        );
      });
    });
}
