#!/usr/bin/env node
/** The `hippocrypt` command. Data on stdout, notes on stderr, `--json` everywhere; exit codes in output.ts. */
import { Command, CommanderError } from 'commander';
import { API_VERSION } from '../api/version.ts';
import { abeCommands } from './commands/abe.ts';
import { backupCommands } from './commands/backup.ts';
import { checkCommands } from './commands/checks.ts';
import { consentCommands } from './commands/consents.ts';
import { doctorCommand } from './commands/doctor.ts';
import { governanceCommands } from './commands/governance.ts';
import { importCommand } from './commands/import.ts';
import { keystoreCommands } from './commands/keystore.ts';
import { ledgerCommands } from './commands/ledger.ts';
import { nodeCommands } from './commands/node.ts';
import { recordCommands } from './commands/records.ts';
import { searchCommands } from './commands/search.ts';
import { sessionCommands } from './commands/session.ts';
import { subjectCommands } from './commands/subjects.ts';
import { tourCommand, upCommand } from './commands/up.ts';
import { EXIT, Output } from './output.ts';

const program = new Command('hippocrypt')
  .description('Shared health records under attribute policies, for hospitals that do not trust each other.')
  .version(API_VERSION)
  .showHelpAfterError()
  .exitOverride();

upCommand(program);
tourCommand(program);
sessionCommands(program);
subjectCommands(program);
recordCommands(program);
importCommand(program);
searchCommands(program);
consentCommands(program);
ledgerCommands(program);
governanceCommands(program);
abeCommands(program);
nodeCommands(program);
keystoreCommands(program);
backupCommands(program);
doctorCommand(program);
checkCommands(program);

// A reader that has seen enough (`| head`) ends the command in peace.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else {
    new Output({ json: process.argv.includes('--json'), quiet: false }).problem(error);
    process.exitCode = EXIT.failed;
  }
}
