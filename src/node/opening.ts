/**
 * Opens what a member's node stands on: its stores, its ledger as far as it is stored, its seat in the consensus. Nothing runs
 * yet when this is done.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair } from '../codec/hpke.ts';
import { type MemberId, memberId, type SubjectId } from '../codec/ids.ts';
import { ed25519Signer } from '../codec/signature.ts';
import { checkEvidence, FileWal, PbftNode, validatorKey } from '../consensus/index.ts';
import {
  type Culprit,
  decodeGenesis,
  LedgerEngine,
  VerifiedSignatures,
  WriteBehind,
} from '../ledger/index.ts';
import {
  type Environment,
  type HeaderStore,
  openEnvironment,
  openHeaderStore,
  type PayloadStore,
  restoredMark,
} from '../storage/index.ts';
import { Accounts } from './accounts.ts';
import { Companions } from './companions.ts';
import { Custody } from './custody.ts';
import { Disk } from './disk.ts';
import { operatorOf, SECRETS, secretOf } from './identity.ts';
import { NodeLedger } from './ledger.ts';
import { openLedgerStore } from './ledger-store.ts';
import { describeError, type MemberOptions } from './member-options.ts';
import { openPayloads } from './payloads.ts';
import { STORED_TABLE } from './replication.ts';
import { SEARCHES_TABLE } from './search-journal.ts';
import { SEGMENTS_TABLE } from './segment-objects.ts';
import type { SnapshotServer } from './snapshot-server.ts';
import { Staging } from './staging.ts';
import { UPLOADS_TABLE } from './uploads.ts';
import { WITNESSED_TABLE } from './witnesses.ts';

/** Tables of a node's own environment, beside the ledger's. */
const NODE_TABLES = [
  'accounts',
  'identifiers',
  'manifests',
  SEARCHES_TABLE,
  STORED_TABLE,
  UPLOADS_TABLE,
  SEGMENTS_TABLE,
  WITNESSED_TABLE,
];
/** What the rest of a node is made from. */
export interface MemberParts {
  readonly id: MemberId;
  readonly operator: SubjectId;
  readonly ledger: NodeLedger;
  readonly engine: LedgerEngine;
  readonly consensus: PbftNode;
  readonly accounts: Accounts;
  readonly custody: Custody;
  readonly hpke: HpkeKeyPair;
  readonly payloads: PayloadStore;
  readonly headers: HeaderStore;
  readonly staging: Staging;
  readonly companions: Companions;
  readonly disk: Disk;
  readonly snapshots: SnapshotServer;
  readonly environments: readonly Environment[];
  readonly store: Environment;
  readonly local: Uint8Array;
  readonly options: MemberOptions;
}

/** Throws what stores, keystore and ledger throw, and `member.unknown` for a validator key that nobody knows. */
export async function openParts(options: MemberOptions): Promise<MemberParts> {
  const { dir, keystore, genesis, random, log } = options;
  await mkdir(dir, { recursive: true });
  const { decoded } = decodeGenesis(genesis);
  const validatorSeed = await secretOf(keystore, SECRETS.validator);
  const signer = ed25519Signer(validatorSeed);
  const named = decoded.members.find((one) => toHex(one.validatorKey) === toHex(signer.publicKey.key));
  const self = named === undefined ? options.member : memberId(named.id);
  if (self === undefined)
    throw new CodedError('member.unknown', 'the genesis names no member with this validator key');
  const disk = new Disk(dir, (name, fields) => log.event(name, fields));
  const signatures = options.signatures ?? new VerifiedSignatures();
  const { environment: ledgerEnv, ...ledgerStore } = await openLedgerStore({
    dir,
    disk,
    genesis,
    link: options.link,
    log,
    signatures,
    ...(options.snapshot === undefined ? {} : { snapshot: options.snapshot }),
  });
  const nodeEnv = openEnvironment(join(dir, 'node'), { tables: NODE_TABLES });
  const payloads = await openPayloads(options.payloads ?? { kind: 'embedded' }, dir);
  const headers = await openHeaderStore(join(dir, 'headers'), { random });
  const local = await secretOf(keystore, SECRETS.local);
  const stagingKey = hkdfSha256(local, new Uint8Array(), 'hippocrypt/staging/1', 32);
  const staging = await Staging.open(join(dir, 'staging'), stagingKey, { random });
  const engine = await LedgerEngine.open({
    store: new WriteBehind(ledgerStore.store),
    genesis,
    cosign: { member: self, signer },
    signatures,
    culpritOf: (evidence) => culpritOf(evidence, ledgerStore.genesis.chainId),
    onListenerError: (error) => log.event('listener.failed', { error: describeError(error) }),
  });
  const key = validatorKey(validatorSeed);
  const wal = new FileWal(join(dir, 'wal'));
  // Its votes may be lost: it observes until they cannot matter, and an operator should look at the disk.
  if (!wal.contents.whole) log.event('consensus.wal_damaged', { observes: true });
  const consensus = new PbftNode({
    key,
    genesis: ledgerStore.genesis,
    application: engine,
    blocks: engine.blocks,
    wal,
    transport: options.transport(toHex(key.publicKey)),
    random,
    now: () => performance.now(),
    clock: options.clock,
    restored: (await restoredMark(dir)) !== undefined,
    ...(options.verificationCache === undefined ? {} : { verificationCache: options.verificationCache }),
    onEvent: (event) => {
      if (event.type !== 'decided') log.event(`consensus.${event.type}`, eventFields({ ...event }));
    },
  });
  const ledger = await NodeLedger.open(
    engine,
    () => consensus,
    () => disk.requireRoom(),
  );
  return {
    id: self,
    operator: await operatorOf(keystore),
    ledger,
    engine,
    consensus,
    accounts: new Accounts(nodeEnv, options.pool.passwords, random),
    custody: new Custody(await secretOf(keystore, SECRETS.custody)),
    hpke: await hpkeKeyPair(await secretOf(keystore, SECRETS.hpke)),
    payloads,
    headers,
    staging,
    companions: await Companions.open(dir, self, local),
    disk,
    snapshots: ledgerStore.snapshots,
    environments: [ledgerEnv, nodeEnv],
    store: nodeEnv,
    local,
    options,
  };
}

/** What contradicting consensus messages prove on the chain with this genesis entry. */
function culpritOf(evidence: Uint8Array, genesisEntry: Uint8Array): Culprit | undefined {
  try {
    return checkEvidence(evidence, genesisEntry);
  } catch {
    return undefined;
  }
}

function eventFields(event: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { type: _, evidence: __, ...fields } = event;
  return fields;
}
