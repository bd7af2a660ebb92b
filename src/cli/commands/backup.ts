/** Backing up the directory of a stopped node, and restoring one. A running node makes its own: `backup` in its configuration. */
import type { Command } from 'commander';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { backupStopped, restoreNode, withRepository } from '../../node/backup.ts';
import { readNodeConfig } from '../../node/process.ts';
import { type CommonOptions, runs } from '../run.ts';

interface BackupOptions extends CommonOptions {
  readonly config: string;
  readonly to: string;
  readonly keyFile: string;
}

interface RestoreOptions extends CommonOptions {
  readonly config: string;
  readonly from: string;
  readonly keyFile: string;
  readonly snapshot?: string;
}

export function backupCommands(program: Command): void {
  runs<BackupOptions>(
    program
      .command('backup')
      .description('back up the data of a stopped node, encrypted; only what is new is written')
      .requiredOption('--config <file>', "the node's configuration")
      .requiredOption('--to <dir>', 'the repository; made if it does not exist')
      .requiredOption(
        '--key-file <file>',
        'opens the repository: at least 32 random bytes, kept apart from it',
      ),
    async (output, { config, to, keyFile }) => {
      const { dir } = await readNodeConfig(config);
      const made = await withRepository(to, keyFile, (repository) =>
        backupStopped(dir, repository, Date.now()),
      ).catch((error: unknown) => {
        if (!hasCode(error, 'storage.locked')) throw error;
        throw new CodedError(
          'storage.locked',
          'the node runs: stop it first, or let it make its own backups with "backup" in its configuration',
          { cause: error },
        );
      });
      output.result(made, () =>
        [
          `snapshot ${made.snapshot}: ${made.files} files, ${made.bytes} bytes, ${made.newBytes} of them new`,
          'The key file of the keystore is not in it: keep that apart too, or the backup cannot be used.',
        ].join('\n'),
      );
    },
  );
  runs<RestoreOptions>(
    program
      .command('restore')
      .description("restore a node's data from a backup into its empty data directory")
      .requiredOption('--config <file>', "the node's configuration")
      .requiredOption('--from <dir>', 'the repository')
      .requiredOption('--key-file <file>', 'opens the repository')
      .option('--snapshot <name>', 'which backup; the newest by default'),
    async (output, { config, from, keyFile, snapshot }) => {
      const { dir } = await readNodeConfig(config);
      const restored = await withRepository(from, keyFile, (repository) =>
        restoreNode(dir, repository, Date.now(), snapshot),
      );
      output.result(restored, () =>
        [
          `restored ${restored.snapshot} into ${dir}: ${restored.files} files, ${restored.bytes} bytes`,
          'Start the node while the others run: it follows them, fetches what came after the backup, and votes',
          'again once its old votes cannot matter. Never start the lost machine beside it.',
        ].join('\n'),
      );
    },
  );
}
