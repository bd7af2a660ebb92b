/** How every command runs: options in common, one place for problems and exit codes. */
import type { Command } from 'commander';
import { hasCode } from '../codec/errors.ts';
import { EXIT, Output } from './output.ts';

export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Adds `--json` and `--quiet`, and runs `action` with an output; its problem becomes exit code 1. */
export function runs<Options extends CommonOptions>(
  command: Command,
  action: (output: Output, options: Options, args: readonly string[]) => Promise<number | undefined>,
): Command {
  return command
    .option('--json', 'print one JSON value')
    .option('--quiet', 'no notes and no progress')
    .action(async (...given: unknown[]) => {
      const self = given[given.length - 1] as Command;
      const options = self.opts<Options>();
      const output = new Output({ json: options.json === true, quiet: options.quiet === true });
      try {
        process.exitCode = (await action(output, options, self.args)) ?? EXIT.ok;
      } catch (error) {
        output.problem(error);
        process.exitCode = hasCode(error, 'cli.usage') ? EXIT.usage : EXIT.failed;
      }
    });
}
