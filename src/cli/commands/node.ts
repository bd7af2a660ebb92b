/** Founding a consortium and running one member: init, genesis, node. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { platformRandom } from '../../client/index.ts';
import { fromBase64url, toBase64url, toHex } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';
import type { GenesisDocument } from '../../ledger/index.ts';
import { DEMO_MEMBERS } from '../../node/consortium.ts';
import { initMember, sealGenesis, signDraft } from '../../node/founding.ts';
import { genesisDocument } from '../../node/genesis.ts';
import { letHeapGrow } from '../../node/heap.ts';
import { decodeCard, type MemberProfile } from '../../node/identity.ts';
import { type NodeConfig, readNodeConfig, startMember } from '../../node/process.ts';
import { EXIT, Output } from '../output.ts';
import { type CommonOptions, runs } from '../run.ts';
import { DEMO_PASSWORD } from '../tour/people.ts';
import { unlockOf } from './keystore.ts';

interface InitOptions extends CommonOptions {
  readonly dir: string;
  readonly id?: string;
  readonly name?: string;
  readonly url?: string;
  readonly keyFile?: string;
  readonly passphraseFile?: string;
  readonly members?: string;
  readonly restPort: string;
  readonly linkPort: string;
}

interface DraftOptions extends CommonOptions {
  readonly chain: string;
  readonly out: string;
}

interface SignOptions extends CommonOptions {
  readonly dir: string;
  readonly draft: string;
  readonly out: string;
  readonly keyFile?: string;
  readonly passphraseFile?: string;
}

interface SealOptions extends CommonOptions {
  readonly draft: string;
  readonly out: string;
}

export function nodeCommands(program: Command): void {
  runs<InitOptions>(
    program
      .command('init')
      .description(
        "make one member's keys and its card; --members 4 makes a whole demonstration on this machine",
      )
      .requiredOption('--dir <dir>', 'where the member keeps its data')
      .option('--id <id>', 'short name, also the issuer of its attributes')
      .option('--name <name>', 'name of the hospital, public')
      .option('--url <url>', 'URL of its gateway')
      .option(
        '--key-file <file>',
        'opens the keystore; made if it does not exist; keep it apart from the disk',
      )
      .option('--passphrase-file <file>', 'file with a passphrase that opens the keystore')
      .option('--members <n>', 'a demonstration: so many members, whose secrets then all lie on this machine')
      .option('--rest-port <port>', 'first REST port of the demonstration', '8080')
      .option('--link-port <port>', 'first link port of the demonstration', '8180'),
    async (output, options) => {
      if (options.members !== undefined) {
        const made = await initDemo(options);
        output.note("All members' secrets lie on this machine: for demonstration only.");
        output.result(made, () =>
          made.configs.map((config) => `hippocrypt node --config ${config}`).join('\n'),
        );
        return;
      }
      const { id, name, url } = options;
      if (id === undefined || name === undefined || url === undefined) {
        throw new CodedError('cli.usage', 'give --id, --name and --url of the member');
      }
      const unlock = await unlockOf(options, true);
      const card = await initMember(options.dir, { id, name, url }, unlock, platformRandom);
      const path = join(options.dir, `${id}.card`);
      await writeFile(path, `${toBase64url(card)}\n`);
      output.result(
        { card: path, fingerprint: fingerprint(card) },
        () => `card ${path}\nfingerprint ${fingerprint(card)} (tell the other members by another way)`,
      );
    },
  );

  const genesis = program.command('genesis').description('found a consortium');
  runs<DraftOptions>(
    genesis
      .command('draft')
      .description('assemble the document that all members sign from their cards')
      .argument('<card...>')
      .requiredOption('--chain <id>', 'name of the chain: a-z, 0-9, dots and dashes')
      .option('--out <file>', 'where the draft goes', 'genesis.draft'),
    async (output, { chain, out }, cards) => {
      const decoded = await Promise.all(cards.map(async (card) => decodeCard(await readText(card))));
      const document = genesisDocument(decoded, chain, Date.now());
      await writeFile(out, `${toBase64url(document)}\n`);
      output.result({ draft: out, fingerprint: fingerprint(document) }, () =>
        [
          `draft ${out}, fingerprint ${fingerprint(document)}`,
          ...decoded.map(({ member }) => `  ${member.id.padEnd(16)} ${member.url}`),
          'Each member reads it and runs "hippocrypt genesis sign".',
        ].join('\n'),
      );
    },
  );
  runs<SignOptions>(
    genesis
      .command('sign')
      .description('sign a draft as this member')
      .requiredOption('--dir <dir>', "the member's data")
      .option('--draft <file>', 'the draft', 'genesis.draft')
      .option('--out <file>', 'where the signature goes', 'genesis.sig')
      .option('--key-file <file>')
      .option('--passphrase-file <file>'),
    async (output, options) => {
      const document = await readText(options.draft);
      const { chainId, members } = decodeCbor(document) as GenesisDocument;
      output.note(
        `chain ${chainId}: ${members.map((member) => member.id).join(', ')}; fingerprint ${fingerprint(document)}`,
      );
      const signature = await signDraft(
        options.dir,
        await unlockOf(options, false),
        document,
        platformRandom,
      );
      await writeFile(options.out, `${toBase64url(signature)}\n`);
      output.result({ signature: options.out }, () => `signature ${options.out}`);
    },
  );
  runs<SealOptions>(
    genesis
      .command('seal')
      .description('join the draft and all signatures to the genesis')
      .argument('<signature...>')
      .option('--draft <file>', 'the draft', 'genesis.draft')
      .option('--out <file>', 'where the genesis goes', 'genesis'),
    async (output, { draft, out }, signatures) => {
      const sealed = sealGenesis(await readText(draft), await Promise.all(signatures.map(readText)));
      await writeFile(out, `${toBase64url(sealed)}\n`);
      output.result({ genesis: out }, () => `genesis ${out}: every member takes the same file`);
    },
  );

  program
    .command('node')
    .description('run one member')
    .requiredOption('--config <file>', 'configuration, see docs/operations.md')
    .action(async ({ config }: { config: string }) => {
      process.exitCode = await runNode(config);
    });
}

async function runNode(path: string): Promise<number> {
  const output = new Output({ json: false, quiet: false });
  let disk: (failure: CodedError) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    disk = reject;
  });
  failed.catch(() => undefined);
  const log = {
    event: (name: string, fields: Readonly<Record<string, unknown>>): void => {
      if (name === 'consensus.halted' && fields.code !== name) disk(storeFailure(fields));
      process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event: name, ...fields })}\n`);
    },
  };
  const stop = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  try {
    letHeapGrow();
    const starting = startMember(await readNodeConfig(path), log);
    // Asked to stop before it is up: nothing is acknowledged yet, so the process may end where it stands.
    const member = await Promise.race([starting, failed, stop.then(() => undefined)]);
    if (member === undefined) process.exit(EXIT.interrupted);
    output.line(`ready ${member.url}`);
    await Promise.race([stop, failed]);
    await member.close();
    return EXIT.ok;
  } catch (error) {
    output.problem(error);
    // What the disk has refused is not tried again from here, closing included: a start reads what it has.
    if (hasCode(error, 'node.store_failed')) process.exit(EXIT.failed);
    return EXIT.failed;
  }
}

/** A log or store that the disk refused ends the process, so that it begins again from what is on the disk. */
function storeFailure({ code, reason }: Readonly<Record<string, unknown>>): CodedError {
  return new CodedError(
    'node.store_failed',
    `${String(reason)} (${String(code)}): see to the disk and start the node again, or let a supervisor do it`,
  );
}

async function readText(path: string): Promise<Uint8Array> {
  return fromBase64url((await readFile(path, 'utf8')).trim());
}

/** First 16 bytes of SHA-256 in groups that people can read to each other. */
function fingerprint(bytes: Uint8Array): string {
  return toHex(sha256(bytes).subarray(0, 16)).replace(/(.{4})(?=.)/g, '$1 ');
}

/** Members, genesis and configurations of a demonstration in separate processes. */
async function initDemo(options: InitOptions): Promise<{ configs: string[] }> {
  const count = Number(options.members);
  if (!Number.isInteger(count) || count < 4 || count > 13) {
    throw new CodedError('cli.usage', 'give --members a number from 4 to 13');
  }
  const [restPort, linkPort] = [Number(options.restPort), Number(options.linkPort)];
  const profiles: MemberProfile[] = Array.from({ length: count }, (_, i) => ({
    ...(DEMO_MEMBERS[i] ?? { id: `hospital-${i + 1}`, name: `Hospital ${i + 1}` }),
    url: `http://127.0.0.1:${restPort + i}`,
  }));
  await mkdir(options.dir, { recursive: true });
  await writeFile(join(options.dir, 'admin.password'), `${DEMO_PASSWORD}\n`, { mode: 0o600 });
  const cards = [];
  for (const profile of profiles) {
    const dir = join(options.dir, profile.id);
    await mkdir(dir, { recursive: true });
    const unlock = await unlockOf({ keyFile: join(dir, 'keystore.key') }, true);
    cards.push(decodeCard(await initMember(dir, profile, unlock, platformRandom)));
  }
  const document = genesisDocument(cards, `demo-${toHex(platformRandom(6))}`, Date.now());
  const signatures = [];
  for (const { id } of profiles) {
    const dir = join(options.dir, id);
    signatures.push(
      await signDraft(
        dir,
        await unlockOf({ keyFile: join(dir, 'keystore.key') }, false),
        document,
        platformRandom,
      ),
    );
  }
  await writeFile(join(options.dir, 'genesis'), `${toBase64url(sealGenesis(document, signatures))}\n`);
  const configs: string[] = [];
  for (const [i, { id }] of profiles.entries()) {
    const config: NodeConfig = {
      v: 1,
      member: id,
      dir: id,
      unlock: { keyFile: join(id, 'keystore.key') },
      genesis: 'genesis',
      rest: { host: '127.0.0.1', port: restPort + i },
      link: { host: '127.0.0.1', port: linkPort + i },
      peers: Object.fromEntries(
        profiles.flatMap((peer, j) =>
          peer.id === id ? [] : [[peer.id, { host: '127.0.0.1', port: linkPort + j }]],
        ),
      ),
      admin: { account: 'admin', passwordFile: 'admin.password' },
      threads: 1,
    };
    const path = join(options.dir, `${id}.json`);
    await writeFile(path, `${JSON.stringify(config, null, 2)}\n`);
    configs.push(path);
  }
  return { configs };
}
