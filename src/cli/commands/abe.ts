/** `hippocrypt abe`: CP-ABE on files, without a ledger. For trying the core out, for review and for offline exchange. */
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { openGroup } from '../../abe/index.ts';
import { platformRandom } from '../../client/index.ts';
import { CodedError } from '../../codec/errors.ts';
import { type CommonOptions, runs } from '../run.ts';
import { decrypt, encrypt, keygen, setup } from '../toolkit.ts';
import { inspect } from '../toolkit-inspect.ts';

interface OutOptions extends CommonOptions {
  readonly out?: string;
}

interface SetupOptions extends CommonOptions {
  readonly master: string;
  readonly public: string;
}

interface KeygenOptions extends CommonOptions {
  readonly master: string;
  readonly out: string;
}

interface EncryptOptions extends OutOptions {
  readonly public: string;
  readonly policy: string;
}

interface DecryptOptions extends OutOptions {
  readonly key: string;
}

interface InspectOptions extends CommonOptions {
  readonly key?: string;
}

export function abeCommands(program: Command): void {
  const abe = program.command('abe').description('attribute-based encryption of files, offline');

  runs<SetupOptions>(
    abe
      .command('setup')
      .description('make a master secret and a public key')
      .option('--master <file>', 'where the master secret goes; it opens everything', 'master.hpm')
      .option('--public <file>', 'where the public key goes', 'public.hpp'),
    async (output, options) => {
      const made = setup(await openGroup(), platformRandom);
      // The public key first: one that is overwritten would leave sealed files that no key opens.
      await writeFile(options.public, made.publicKey, { flag: 'wx' }).catch(taken(options.public));
      await writeFile(options.master, made.master, { mode: 0o600, flag: 'wx' }).catch(async (error) => {
        await rm(options.public, { force: true });
        taken(options.master)(error);
      });
      const view = { master: options.master, public: options.public, fingerprint: made.fingerprint };
      output.result(
        view,
        () => `public key ${options.public} (${made.fingerprint}), master secret ${options.master}`,
      );
    },
  );

  runs<KeygenOptions>(
    abe
      .command('keygen')
      .description('issue a key over attributes')
      .argument('<attribute...>', 'such as mercy/role:doctor')
      .requiredOption('--out <file>', 'where the key goes')
      .option('--master <file>', 'the master secret', 'master.hpm'),
    async (output, options, attributes) => {
      const master = new Uint8Array(await readFile(options.master));
      const key = keygen(await openGroup(), master, attributes, platformRandom);
      await writeFile(options.out, key, { mode: 0o600, flag: 'wx' }).catch(taken(options.out));
      output.result(
        { key: options.out, attributes },
        () => `key ${options.out} over ${attributes.join(', ')}`,
      );
    },
  );

  runs<EncryptOptions>(
    abe
      .command('encrypt')
      .description('seal a file (or stdin) under a policy')
      .argument('[file]')
      .requiredOption('--policy <text>', 'policy text, see docs/policies.md')
      .option('--public <file>', 'the public key', 'public.hpp')
      .option('--out <file>', 'where the sealed bytes go; default stdout'),
    async (_output, options, [file]) => {
      const publicKey = new Uint8Array(await readFile(options.public));
      await write(
        encrypt(await openGroup(), publicKey, options.policy, read(file), platformRandom),
        options.out,
        true,
      );
    },
  );

  runs<DecryptOptions>(
    abe
      .command('decrypt')
      .description('open a sealed file (or stdin)')
      .argument('[file]')
      .requiredOption('--key <file>', 'the key')
      .option('--out <file>', 'where the plaintext goes; default stdout'),
    async (_output, options, [file]) => {
      const key = new Uint8Array(await readFile(options.key));
      await write(decrypt(await openGroup(), key, read(file), platformRandom), options.out, false);
    },
  );

  runs<InspectOptions>(
    abe
      .command('inspect')
      .description('what a sealed file says without a key; or a key, public key or master file about itself')
      .argument('[file]')
      .option('--key <file>', 'say in words why this key opens the sealed file or does not'),
    async (output, options, [file]) => {
      const key = options.key === undefined ? undefined : new Uint8Array(await readFile(options.key));
      const view = await inspect(await openGroup(), read(file), key);
      output.result(view, () =>
        Object.entries(view)
          .map(([name, value]) => `${name.padEnd(12)} ${value}`)
          .join('\n'),
      );
    },
  );
}

function read(file: string | undefined): AsyncIterable<Uint8Array> {
  return file === undefined || file === '-' ? process.stdin : createReadStream(file);
}

/** Control characters that no text has: a terminal would take them for commands. */
const isText = (bytes: Uint8Array): boolean =>
  bytes.every((byte) => (byte >= 0x20 ? byte !== 0x7f : byte === 0x09 || byte === 0x0a || byte === 0x0d));

/** Bytes that are no text never go to a terminal; a file is complete or not there. */
async function write(
  source: AsyncIterable<Uint8Array>,
  out: string | undefined,
  isBinary: boolean,
): Promise<void> {
  if (out === undefined) {
    if (isBinary && process.stdout.isTTY) {
      throw new CodedError(
        'cli.binary',
        'sealed bytes are binary: give --out FILE, or send stdout elsewhere',
      );
    }
    for await (const chunk of source) {
      if (process.stdout.isTTY && !isText(chunk)) {
        throw new CodedError(
          'cli.binary',
          'the plaintext is no text: give --out FILE, or send stdout elsewhere',
        );
      }
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
    return;
  }
  const part = `${out}.part`;
  try {
    await pipeline(Readable.from(source), createWriteStream(part, { mode: 0o600 }));
    await rename(part, out);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function taken(file: string): (error: unknown) => never {
  return (cause) => {
    if ((cause as { code?: unknown }).code !== 'EEXIST') throw cause;
    throw new CodedError('cli.exists', `${file} exists: keys are never overwritten, choose another name`, {
      cause,
    });
  };
}
