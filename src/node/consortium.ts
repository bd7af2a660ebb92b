/**
 * Several members in one process: for demonstrations, tests and development. Each has its own directory, stores,
 * keystore, share, indexer keys and gateway; they share worker threads, one pairing instance, and caches of verified
 * signatures, and talk in memory through the same codecs as between processes. Because one machine then holds the
 * secrets of all members, a consortium that means it runs one process a member.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Group, openGroup } from '../abe/index.ts';
import { fromBase64url, toBase64url } from '../codec/bytes.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { ed25519Signer } from '../codec/signature.ts';
import { InProcessNetwork, VerificationCache } from '../consensus/index.ts';
import { encodeGenesis, VerifiedSignatures, type Witness } from '../ledger/index.ts';
import { createKeystore, type Keystore, openKeystore, type Unlock } from '../storage/index.ts';
import { ensureFields } from './field-keys.ts';
import { genesisDocument, signGenesis } from './genesis.ts';
import { cardOf, createIdentity, type MemberProfile, SECRETS, secretOf } from './identity.ts';
import { InProcessLinks } from './link/in-process.ts';
import { MemberNode } from './member.ts';
import type { NodeLog } from './member-options.ts';
import type { PayloadsChoice } from './payloads.ts';
import { ensureShare } from './setup.ts';
import type { SnapshotOptions } from './snapshot.ts';
import { WorkPool } from './work/pool.ts';

/** The hospitals of the demonstration. */
export const DEMO_MEMBERS: readonly Omit<MemberProfile, 'url'>[] = [
  { id: 'mercy', name: 'Mercy Hospital' },
  { id: 'st-luke', name: 'St. Luke Hospital' },
  { id: 'county-general', name: 'County General Hospital' },
  { id: 'university', name: 'University Hospital' },
];

const FIRST_PORT = 8080;
/** A ceremony in one process takes a second; on a loaded machine a few. */
const CEREMONY_MS_MAX = 60_000;

export interface ConsortiumOptions {
  readonly dir: string;
  readonly members?: readonly Omit<MemberProfile, 'url'>[];
  /** First port; members take the following ones. 0: free ports. */
  readonly port?: number;
  readonly threads?: number;
  readonly random?: (length: number) => Uint8Array;
  readonly clock?: () => number;
  readonly log?: NodeLog;
  readonly onStep?: (step: string) => void;
  readonly ratePerMinute?: number;
  /** What keeps a member's payloads; the embedded store by default. */
  readonly payloads?: (member: string) => PayloadsChoice;
  readonly publicIpfs?: boolean;
  /** Members that fetch and serve index pages directly; nobody by default. */
  readonly directFetch?: readonly string[];
  readonly copies?: number;
  /** Outside witnesses whose cosignatures every member takes. */
  readonly witnesses?: readonly Witness[];
  /** When a member that is far behind takes a snapshot; absent: never, as members of one process hardly ever are. */
  readonly snapshot?: SnapshotOptions;
}

export interface Consortium {
  readonly chainId: string;
  readonly nodes: ReadonlyMap<MemberId, MemberNode>;
  /** URL of each gateway. */
  readonly urls: ReadonlyMap<MemberId, string>;
  readonly links: InProcessLinks;
  readonly network: InProcessNetwork;
  /** True when the directory held no consortium before. */
  readonly created: boolean;
  close(): Promise<void>;
}

interface ChainFile {
  readonly v: 1;
  readonly members: readonly string[];
  readonly genesis: string;
}

const SILENT: NodeLog = { event: () => undefined };
const platformRandom = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));

/** Starts the consortium in `dir`, or founds one there. */
export async function startConsortium(options: ConsortiumOptions): Promise<Consortium> {
  const { dir, random = platformRandom, clock = Date.now, log = SILENT, onStep = () => undefined } = options;
  await mkdir(dir, { recursive: true });
  const known = await readChain(dir);
  const profiles = (options.members ?? DEMO_MEMBERS).map((one, i) => ({
    ...one,
    url: `http://127.0.0.1:${(options.port ?? FIRST_PORT) === 0 ? 0 : (options.port ?? FIRST_PORT) + i}`,
  }));
  const ids = known === undefined ? profiles.map((one) => one.id) : known.members;
  const keystores = new Map<string, Keystore>();
  for (const id of ids) keystores.set(id, await openMemberKeystore(join(dir, id), random));
  const genesis =
    known === undefined ? await found(dir, profiles, keystores, random, clock) : fromBase64url(known.genesis);
  const pool = new WorkPool(options.threads);
  const group: Group = await openGroup();
  const shared = { signatures: new VerifiedSignatures(), verificationCache: new VerificationCache() };
  const network = new InProcessNetwork();
  const links = new InProcessLinks();
  const nodes = new Map<MemberId, MemberNode>();
  const close = async (): Promise<void> => {
    for (const node of nodes.values()) await node.close();
    for (const keystore of keystores.values()) await keystore.close();
    await pool.close();
  };
  try {
    onStep('opening the members');
    for (const id of ids) {
      const keystore = keystores.get(id);
      if (keystore === undefined) continue;
      const node = await MemberNode.open({
        dir: join(dir, id),
        keystore,
        genesis,
        link: links.join(memberId(id)),
        transport: (validator) => network.endpoint(validator as Parameters<typeof network.endpoint>[0]),
        pool,
        group,
        random,
        clock,
        log: { event: (name, fields) => log.event(name, { member: id, ...fields }) },
        ...shared,
        ...(options.payloads === undefined ? {} : { payloads: options.payloads(id) }),
        ...(options.copies === undefined ? {} : { copies: options.copies }),
        ...(options.witnesses === undefined ? {} : { witnesses: options.witnesses }),
        directFetch: options.directFetch?.includes(id) === true,
        ...(options.snapshot === undefined ? {} : { snapshot: options.snapshot }),
        ...(options.publicIpfs === undefined ? {} : { publicIpfs: options.publicIpfs }),
        ...(options.ratePerMinute === undefined ? {} : { ratePerMinute: options.ratePerMinute }),
      });
      nodes.set(memberId(id), node);
    }
    const all = [...nodes.values()];
    if (all[0].ledger.shareEpoch() === null) onStep('making the public key among the authorities');
    const giveUp = AbortSignal.timeout(CEREMONY_MS_MAX);
    await Promise.all(all.map((node) => ensureShare(node, giveUp)));
    if (known === undefined) onStep('registering search fields');
    await Promise.all(all.map((node) => ensureFields(node.fieldOwner())));
    for (const node of all) await node.startRoles();
    onStep('opening the gateways');
    const urls = new Map<MemberId, string>();
    for (const [i, node] of all.entries()) {
      const port = options.port ?? FIRST_PORT;
      urls.set(node.id, await node.listen(port === 0 ? 0 : port + i));
    }
    const { chainId } = all[0].ledger;
    return { chainId, nodes, urls, links, network, created: known === undefined, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readChain(dir: string): Promise<ChainFile | undefined> {
  let text: string;
  try {
    text = await readFile(join(dir, 'consortium.json'), 'utf8');
  } catch {
    return undefined;
  }
  const file = parsed(text) as Partial<ChainFile> | null | undefined;
  if (file?.v !== 1 || !Array.isArray(file.members) || typeof file.genesis !== 'string') {
    throw new CodedError(
      'node.bad_data',
      `${join(dir, 'consortium.json')} is not a consortium file of version 1: give another data directory`,
    );
  }
  return file as ChainFile;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function found(
  dir: string,
  profiles: readonly MemberProfile[],
  keystores: ReadonlyMap<string, Keystore>,
  random: (length: number) => Uint8Array,
  clock: () => number,
): Promise<Uint8Array> {
  const held = profiles.map((profile) => ({ profile, keystore: keystores.get(profile.id) }));
  const cards = [];
  const validators = new Map<string, ReturnType<typeof ed25519Signer>>();
  for (const { profile, keystore } of held) {
    if (keystore === undefined) continue;
    cards.push(await cardOf(keystore, profile));
    validators.set(profile.id, ed25519Signer(await secretOf(keystore, SECRETS.validator)));
  }
  const chainId = `demo-${Buffer.from(random(6)).toString('hex')}`;
  const document = genesisDocument(cards, chainId, clock());
  // Genesis lists members by id; the file keeps the order given, which is the order of ports.
  const order = [...validators.keys()].sort();
  const signatures = order.flatMap((id) => {
    const signer = validators.get(id);
    return signer === undefined ? [] : [signGenesis(document, signer)];
  });
  const genesis = encodeGenesis({ document, signatures });
  const file: ChainFile = {
    v: 1,
    members: profiles.map((profile) => profile.id),
    genesis: toBase64url(genesis),
  };
  await writeFile(join(dir, 'consortium.json'), `${JSON.stringify(file)}\n`, { flush: true });
  return genesis;
}

/** The member's keystore; in a demonstration its key file lies beside it, readable by the owner only. */
async function openMemberKeystore(dir: string, random: (length: number) => Uint8Array): Promise<Keystore> {
  await mkdir(dir, { recursive: true });
  const keyPath = join(dir, 'keystore.key');
  let keyFile: Uint8Array | undefined = await readFile(keyPath).catch(() => undefined);
  if (keyFile === undefined) {
    keyFile = random(64);
    await writeFile(keyPath, keyFile, { mode: 0o600, flush: true });
    await chmod(keyPath, 0o600);
  }
  const unlock: Unlock = { keyFile: new Uint8Array(keyFile) };
  const keystore = await openKeystore(join(dir, 'keystore'), unlock, { random }).catch((error: unknown) => {
    if (hasCode(error, 'storage.not_found')) return createKeystore(join(dir, 'keystore'), unlock, { random });
    throw error;
  });
  // A start that was ended before the secrets were drawn begins again.
  if ((await keystore.names()).length === 0) await createIdentity(keystore, random);
  return keystore;
}
