/**
 * What opens a member's keystore: key files and passphrases from files, and their rotation. A new key file is on disk, name
 * and all, before anything is sealed under it; the change itself is one transaction of the keystore, after which the slot
 * of the old seal is overwritten (src/storage/secrets). Ended at any moment, the command leaves a keystore that opens under
 * the old key or under the new one, and can be run again.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { platformRandom } from '../../client/index.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { readNodeConfig, readUnlock } from '../../node/process.ts';
import { type Keystore, openKeystore, replaceFile, type Unlock } from '../../storage/index.ts';
import { type CommonOptions, runs } from '../run.ts';

/** Bytes of a key file that is made here. */
const KEY_FILE_BYTES = 64;

interface RotateOptions extends CommonOptions {
  readonly config: string;
  readonly newKeyFile?: string;
  readonly newPassphraseFile?: string;
}

export function keystoreCommands(program: Command): void {
  const keystore = program.command('keystore').description("a member's secrets at rest");
  runs<RotateOptions>(
    keystore
      .command('rotate')
      .description(
        'let another key file or passphrase open the keystore of a stopped node; the old one opens it no more',
      )
      .requiredOption('--config <file>', 'the node\'s configuration, whose "unlock" opens the keystore now')
      .option(
        '--new-key-file <file>',
        'opens it from now on; made if it does not exist; keep it apart from the disk',
      )
      .option('--new-passphrase-file <file>', 'file with the passphrase that opens it from now on'),
    async (output, { config, newKeyFile, newPassphraseFile }) => {
      const { dir, unlock } = await readNodeConfig(config);
      const fresh = await unlockOf(
        {
          ...(newKeyFile === undefined ? {} : { keyFile: newKeyFile }),
          ...(newPassphraseFile === undefined ? {} : { passphraseFile: newPassphraseFile }),
        },
        true,
      );
      const rotated = await rotate(join(dir, 'keystore'), await readUnlock(unlock), fresh);
      const setting =
        newKeyFile === undefined ? { passphraseFile: newPassphraseFile } : { keyFile: newKeyFile };
      output.result({ rotated, unlock: setting }, () =>
        [
          rotated ? 'The keystore opens under the new key only.' : 'It opened under the new key already.',
          `Set "unlock": ${JSON.stringify(setting)} in ${config}. Backups made before open with the old key: keep it until they expire,`,
          'then destroy it.',
        ].join('\n'),
      );
    },
  );
}

/** False when an earlier run that was cut off has rotated already. */
async function rotate(dir: string, old: Unlock, fresh: Unlock): Promise<boolean> {
  const options = { random: platformRandom };
  let keystore: Keystore;
  try {
    keystore = await openKeystore(dir, old, options);
  } catch (error) {
    if (!hasCode(error, 'storage.keystore_locked')) throw error;
    await (await openKeystore(dir, fresh, options).catch(() => Promise.reject(error))).close();
    return false;
  }
  try {
    await keystore.rotate(fresh);
  } finally {
    await keystore.close();
  }
  return true;
}

/** The secret from the file that an option names; with `mayMake` a key file that does not exist is made, durably. */
export async function unlockOf(
  options: { readonly keyFile?: string; readonly passphraseFile?: string },
  mayMake: boolean,
): Promise<Unlock> {
  const { keyFile, passphraseFile } = options;
  if ((keyFile === undefined) === (passphraseFile === undefined))
    throw new CodedError('cli.usage', 'give either a key file or a file with a passphrase');
  if (passphraseFile !== undefined) return readUnlock({ passphraseFile });
  const path = keyFile ?? '';
  if (mayMake && !existsSync(path))
    await replaceFile(dirname(path), basename(path), platformRandom(KEY_FILE_BYTES));
  return readUnlock({ keyFile: path });
}
