/**
 * One member in a process of its own: configuration file, keystore, TLS link, node, gateway. No machine holds two members'
 * secrets; the authorities' key ceremony runs over the link when the consortium starts for the first time.
 */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { openGroup } from '../abe/index.ts';
import { fromBase64url } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { memberId } from '../codec/ids.ts';
import { decodeGenesis, parseWitnessKey } from '../ledger/index.ts';
import { type Keystore, openKeystore, type Unlock } from '../storage/index.ts';
import { admitted, followMembers, serveAdmission } from './admission.ts';
import { KEEP_DAYS } from './backup.ts';
import { ensureFields } from './field-keys.ts';
import { decodeCard, type MemberCard, SECRETS, secretOf } from './identity.ts';
import { type Address, tlsLinks } from './link/tls.ts';
import { MemberNode } from './member.ts';
import type { NodeLog } from './member-options.ts';
import { PayloadsSchema } from './payloads.ts';
import { catchUp } from './rejoin.ts';
import { ensureShare } from './setup.ts';
import { WITNESSES_MAX } from './witnesses.ts';
import { WorkPool } from './work/pool.ts';

const address = z.strictObject({ host: z.string().min(1), port: z.number().int().min(0).max(65_535) });

/** The configuration file of `hippocrypt node`. Paths are relative to the file. It holds no secret. */
export const NodeConfigSchema = z.strictObject({
  v: z.literal(1),
  member: z.string(),
  /** Where the node keeps its data. */
  dir: z.string(),
  /** What opens the keystore: a file with a passphrase, or a key file kept apart from the disk. */
  unlock: z.union([z.strictObject({ passphraseFile: z.string() }), z.strictObject({ keyFile: z.string() })]),
  /** The signed genesis, as `hippocrypt genesis seal` wrote it. */
  genesis: z.string(),
  rest: address.default({ host: '127.0.0.1', port: 8080 }),
  link: address.default({ host: '127.0.0.1', port: 8180 }),
  /** Where the other members' links listen. */
  peers: z.record(z.string(), address),
  /** Hospitals that are about to join: their nodes may follow the chain. Kept here once they are members, or moved to `peers`. */
  observers: z.record(z.string(), address.extend({ card: z.string() })).optional(),
  /** This member's own card, if the genesis does not name it. */
  card: z.string().optional(),
  /** An account for the member's first operator, made at start if it is absent. */
  admin: z.strictObject({ account: z.string(), passwordFile: z.string() }).optional(),
  threads: z.number().int().min(1).max(64).optional(),
  /** What keeps the payloads: the embedded store, or a Kubo daemon of this member's own. */
  payloads: PayloadsSchema.optional(),
  /** Encrypted, incremental backups while the node runs; `keyFile` opens the repository `to`. */
  backup: z
    .strictObject({
      to: z.string(),
      keyFile: z.string(),
      everyMinutes: z.number().int().min(1).max(100_000),
      keepDays: z.number().int().min(1).max(3_650).default(KEEP_DAYS),
    })
    .optional(),
  /** Members that keep each record, its custodian among them; the same at every member. */
  copies: z.number().int().min(1).max(64).optional(),
  /** Who may fetch ciphertext from `/ipfs`: those with a session (default), or everybody. */
  ipfs: z.enum(['session', 'public']).optional(),
  /** Whether index pages are fetched from custodians and served to other members directly: shows custodians what is searched. */
  directFetch: z.boolean().optional(),
  /** Verifier keys of outside witnesses whose cosignatures this node takes. */
  witnesses: z.array(z.string()).max(WITNESSES_MAX).optional(),
  /** Blocks behind the others from which on a start takes a snapshot instead of executing every block. */
  snapshotBehind: z.number().int().min(1).max(1_000_000_000).optional(),
});
export type NodeConfig = z.infer<typeof NodeConfigSchema>;

/** How long the first start waits for the other members' part in the key ceremony. */
const CEREMONY_MS_MAX = 10 * 60_000;

export interface RunningMember {
  readonly node: MemberNode;
  readonly url: string;
  readonly linkPort: number;
  close(): Promise<void>;
}

/** Reads a configuration; throws `config.invalid` with what is wrong and where. */
export async function readNodeConfig(path: string): Promise<NodeConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new CodedError('config.invalid', `cannot read ${path} as JSON`, { cause });
  }
  const parsed = NodeConfigSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CodedError(
      'config.invalid',
      `${path}: ${issue.path.join('.') || 'the file'}: ${issue.message}`,
    );
  }
  const base = dirname(resolve(path));
  const at = (one: string): string => (isAbsolute(one) ? one : join(base, one));
  const { unlock, admin, payloads, backup, observers, card } = parsed.data;
  return {
    ...parsed.data,
    ...(card === undefined ? {} : { card: at(card) }),
    ...(observers === undefined
      ? {}
      : {
          observers: Object.fromEntries(
            Object.entries(observers).map(([id, one]) => [id, { ...one, card: at(one.card) }]),
          ),
        }),
    dir: at(parsed.data.dir),
    genesis: at(parsed.data.genesis),
    unlock:
      'keyFile' in unlock ? { keyFile: at(unlock.keyFile) } : { passphraseFile: at(unlock.passphraseFile) },
    ...(admin === undefined ? {} : { admin: { ...admin, passwordFile: at(admin.passwordFile) } }),
    ...(backup === undefined
      ? {}
      : { backup: { ...backup, to: at(backup.to), keyFile: at(backup.keyFile) } }),
    ...(payloads?.kind === 'kubo' && payloads.authFile !== undefined
      ? { payloads: { ...payloads, authFile: at(payloads.authFile) } }
      : {}),
  };
}

/** The secret that opens a keystore, from the file that the configuration names. */
export async function readUnlock(unlock: NodeConfig['unlock']): Promise<Unlock> {
  if ('keyFile' in unlock) return { keyFile: new Uint8Array(await readFile(unlock.keyFile)) };
  return { passphrase: (await readFile(unlock.passphraseFile, 'utf8')).replace(/\r?\n$/, '') };
}

/** Starts a member. Resolves when its gateway listens; roles that need the others follow as they come. */
export async function startMember(config: NodeConfig, log: NodeLog): Promise<RunningMember> {
  const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
  const keystore: Keystore = await openKeystore(
    join(config.dir, 'keystore'),
    await readUnlock(config.unlock),
    { random },
  );
  const genesis = fromBase64url((await readFile(config.genesis, 'utf8')).trim());
  const { members } = decodeGenesis(genesis).decoded;
  const card = config.card === undefined ? undefined : await readCard(config.card);
  const isNamed = members.some(({ id }) => id === config.member);
  const observers = Object.entries(config.observers ?? {});
  const links = tlsLinks({
    self: memberId(config.member),
    seed: await secretOf(keystore, SECRETS.link),
    members: isNamed || card === undefined ? members : [...members, card.member],
    observers: await Promise.all(observers.map(async ([, one]) => (await readCard(one.card)).member)),
    listen: config.link,
    peers: new Map<string, Address>([...observers, ...Object.entries(config.peers)]),
    jitter: () => Math.random(),
  });
  const pool = new WorkPool(config.threads);
  let isMember = false;
  const linkPort = await links.start();
  const node = await MemberNode.open({
    member: memberId(config.member),
    dir: config.dir,
    keystore,
    genesis,
    link: links.link,
    transport: () => links.transport,
    pool,
    group: await openGroup(),
    random,
    clock: Date.now,
    log,
    snapshot: config.snapshotBehind === undefined ? {} : { behind: config.snapshotBehind },
    ...(config.payloads === undefined ? {} : { payloads: config.payloads }),
    ...(config.backup === undefined ? {} : { backup: config.backup }),
    ...(config.copies === undefined ? {} : { copies: config.copies }),
    ...(config.ipfs === 'public' ? { publicIpfs: true } : {}),
    directFetch: config.directFetch === true,
    ...(config.witnesses === undefined ? {} : { witnesses: config.witnesses.map(parseWitnessKey) }),
  });
  const unfollow = followMembers(node, (current) => {
    links.setMembers(current);
    if (isMember && !current.some(({ id }) => id === node.id)) log.event('node.removed', { member: node.id });
    isMember = current.some(({ id }) => id === node.id);
  });
  const close = async (): Promise<void> => {
    unfollow();
    await node.close();
    await links.stop();
    await keystore.close();
    await pool.close();
  };
  try {
    await ensureAdmin(node, config);
    log.event('node.link', { port: linkPort });
    if (!isMember && card !== undefined) {
      serveAdmission(links.link, node, card, keystore);
      log.event('node.observing', { member: node.id });
      await admitted(node);
      log.event('node.admitted', { height: node.ledger.tip().height });
    }
    // A ledger without a share may only be one that is behind: a node that lost its stores begins no ceremony of its own.
    if (node.ledger.shareEpoch() === null) await catchUp(node.ledger, links.link);
    if (node.ledger.shareEpoch() === null) log.event('node.ceremony', { waitsForMs: CEREMONY_MS_MAX });
    await ensureShare(node, AbortSignal.timeout(CEREMONY_MS_MAX));
    log.event('node.share', { shareEpoch: node.ledger.shareEpoch() });
    const fields = await ensureFields(node.fieldOwner());
    if (fields > 0) log.event('node.fields', { registered: fields });
    await node.startRoles();
    const url = await node.listen(config.rest.port, config.rest.host);
    log.event('node.ready', { url });
    return { node, url, linkPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readCard(path: string): Promise<MemberCard> {
  return decodeCard(fromBase64url((await readFile(path, 'utf8')).trim()));
}

async function ensureAdmin(node: MemberNode, config: NodeConfig): Promise<void> {
  const { admin } = config;
  if (admin === undefined || node.accounts.session(admin.account) !== undefined) return;
  const password = (await readFile(admin.passwordFile, 'utf8')).replace(/\r?\n$/, '');
  await node.accounts.add(admin.account, password, node.operator, 'gateway');
}
