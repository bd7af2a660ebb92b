/**
 * One member's node, wired from its parts: stores, ledger, consensus, authority, indexer, gateway. This is the
 * composition root; nothing below knows how it is put together. Members of one process share worker threads and
 * caches of verified signatures, never a store, key, share or decision.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { type AuthorityKeys, encodeAuthorityKeys, encodeRegistry, type Group } from '../abe/index.ts';
import { buildApp } from '../api/app.ts';
import type { CommittedEntry } from '../api/ports.ts';
import type { MemberLink } from '../authority/link.ts';
import { Authority } from '../authority/release.ts';
import { fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair } from '../codec/hpke.ts';
import { type EntryId, type MemberId, memberId, type SubjectId } from '../codec/ids.ts';
import { ed25519Signer } from '../codec/signature.ts';
import {
  checkEvidence,
  FileWal,
  PbftNode,
  type Transport,
  type VerificationCache,
  validatorKey,
} from '../consensus/index.ts';
import {
  type Culprit,
  decodeGenesis,
  type EntryType,
  encodeRequest,
  hasRight,
  LedgerEngine,
  type ShareState,
  STATE,
  signTransaction,
  type TransactionDraft,
  type VerifiedSignatures,
  type Witness,
  WriteBehind,
} from '../ledger/index.ts';
import {
  type BackupSummary,
  type Environment,
  type HeaderStore,
  type Keystore,
  openEnvironment,
  openHeaderStore,
  type PayloadStore,
  type Repository,
  restoredMark,
} from '../storage/index.ts';
import { WriteGate } from '../storage/kubo/write-gate.ts';
import { Accounts } from './accounts.ts';
import { Agent } from './agent.ts';
import { type BackupPlan, BackupSchedule, backupLive } from './backup.ts';
import { Companions } from './companions.ts';
import { Copies } from './copies.ts';
import { Custody } from './custody.ts';
import { Disk, LEDGER_RESERVE_BYTES } from './disk.ts';
import { Epochs } from './epochs.ts';
import { Erasure } from './erasure.ts';
import { eraseFieldKeys, type FieldOwner, heldFieldKeys } from './field-keys.ts';
import { COPIES_DEFAULT } from './holders.ts';
import { startHousekeeping } from './housekeeping.ts';
import { operatorOf, SECRETS, secretOf } from './identity.ts';
import { IndexService } from './index-service.ts';
import { NodeLedger } from './ledger.ts';
import { Parts } from './parts.ts';
import { openPayloads, type PayloadsChoice } from './payloads.ts';
import { Records } from './records.ts';
import { catchUp, clearMarkWhenVoting, serveTip } from './rejoin.ts';
import { Replicas } from './replicas.ts';
import { Replication, STORED_TABLE } from './replication.ts';
import { Scrub } from './scrub.ts';
import { SEARCHES_TABLE, StoredJournal } from './search-journal.ts';
import { SearchService } from './search-service.ts';
import { SegmentFiles, type SegmentFolder } from './segment-files.ts';
import { SEGMENTS_TABLE, SegmentObjects, segmentCids } from './segment-objects.ts';
import { servicesOf } from './services.ts';
import { epochKeys, Shares } from './shares.ts';
import { Staging } from './staging.ts';
import { Subjects } from './subjects.ts';
import { UPLOADS_TABLE, Uploads } from './uploads.ts';
import { WITNESSED_TABLE, Witnesses } from './witnesses.ts';
import type { WorkPool } from './work/pool.ts';
import type { Parameters } from './work/tasks.ts';

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
const LEDGER_TABLES = [
  'entry',
  'entry-id',
  'tx',
  'entry-ref',
  'block',
  'block-qc',
  'nonce-expiry',
  'ledger-meta',
  'state',
  'state-node',
  'log',
];
/** How long a transaction that the gateway signs may wait to be ordered. */
const TRANSACTION_TTL_MS = 120_000;

export interface NodeLog {
  event(name: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface MemberOptions {
  /** Who this is, if the genesis does not name its validator key: a hospital that joins later. */
  readonly member?: MemberId;
  readonly dir: string;
  readonly keystore: Keystore;
  /** Signed genesis. */
  readonly genesis: Uint8Array;
  readonly link: MemberLink;
  readonly transport: (validator: string) => Transport;
  readonly pool: WorkPool;
  readonly group: Group;
  readonly random: (length: number) => Uint8Array;
  readonly clock: () => number;
  readonly signatures?: VerifiedSignatures;
  readonly verificationCache?: VerificationCache;
  readonly log: NodeLog;
  readonly ratePerMinute?: number;
  /** What keeps the payloads; the embedded store by default. */
  readonly payloads?: PayloadsChoice;
  /** Members that keep each record, its custodian among them; the same at every member. */
  readonly copies?: number;
  readonly backup?: BackupPlan;
  /** Whether strangers may fetch ciphertext from the trustless gateway; others need a session. */
  readonly publicIpfs?: boolean;
  /** Outside witnesses whose cosignatures this node takes. */
  readonly witnesses?: readonly Witness[];
}

/** A running node. */
export class MemberNode {
  readonly id: MemberId;
  readonly operator: SubjectId;
  readonly ledger: NodeLedger;
  readonly engine: LedgerEngine;
  readonly consensus: PbftNode;
  readonly authority: Authority;
  readonly accounts: Accounts;
  readonly subjects: Subjects;
  readonly records: Records;
  readonly uploads: Uploads;
  readonly search: SearchService;
  readonly replicas: Replicas;
  readonly copies: Copies;
  readonly replication: Replication;
  readonly erasure: Erasure;
  readonly scrub: Scrub;
  readonly disk: Disk;
  readonly parts: Parts;
  readonly shares: Shares;
  readonly custody: Custody;
  readonly witnesses: Witnesses;
  readonly hpke: HpkeKeyPair;
  readonly payloads: PayloadStore;
  readonly headers: HeaderStore;
  readonly staging: Staging;
  readonly companions: Companions;
  readonly options: MemberOptions;
  indexes: IndexService | undefined;
  epochs: Epochs | undefined;
  backups: BackupSchedule | undefined;
  app: FastifyInstance | undefined;
  readonly #environments: readonly Environment[];
  readonly #store: Environment;
  readonly #gate = new WriteGate();
  readonly #stops: (() => void | Promise<void>)[] = [];
  #keys: { readonly epoch: number; readonly keys: AuthorityKeys; readonly bytes: Uint8Array } | undefined;
  readonly #keysOf: (share: ShareState) => AuthorityKeys;
  #registry: { readonly bytes: Uint8Array; readonly of: unknown } | undefined;

  private constructor(parts: {
    id: MemberId;
    operator: SubjectId;
    ledger: NodeLedger;
    engine: LedgerEngine;
    consensus: PbftNode;
    accounts: Accounts;
    custody: Custody;
    hpke: HpkeKeyPair;
    payloads: PayloadStore;
    headers: HeaderStore;
    staging: Staging;
    companions: Companions;
    disk: Disk;
    environments: readonly Environment[];
    store: Environment;
    local: Uint8Array;
    options: MemberOptions;
  }) {
    const { options, id, ledger, custody, store, local } = parts;
    const { link, pool, random } = options;
    this.id = id;
    this.operator = parts.operator;
    this.ledger = ledger;
    this.engine = parts.engine;
    this.consensus = parts.consensus;
    this.accounts = parts.accounts;
    this.custody = custody;
    this.hpke = parts.hpke;
    this.payloads = parts.payloads;
    this.headers = parts.headers;
    this.staging = parts.staging;
    this.companions = parts.companions;
    this.disk = parts.disk;
    this.options = options;
    this.#environments = parts.environments;
    this.#store = store;
    this.witnesses = new Witnesses({ engine: parts.engine, store, witnesses: options.witnesses ?? [] });
    const commit = (subject: SubjectId, type: string, body: unknown): Promise<readonly CommittedEntry[]> =>
      this.commitAs(subject, type, body);
    this.authority = new Authority({
      member: id,
      ledger,
      work: { issue: (task) => pool.run({ task: 'issue', ...task }) },
      now: options.clock,
    });
    this.#keysOf = epochKeys(options.group);
    this.shares = new Shares({
      member: id,
      engine: parts.engine,
      store: options.keystore,
      authority: this.authority,
      group: options.group,
      hpke: parts.hpke,
      random,
      clock: options.clock,
      keysOf: this.#keysOf,
      commit: (type, body) => this.commitAs(this.operator, type, body),
      event: (name, fields) => options.log.event(name, fields),
      onError: (event, error) => this.#logError(event, error),
    });
    this.parts = new Parts({ link, authority: this.authority, members: () => this.#shareMembers() });
    this.subjects = new Subjects({
      member: id,
      ledger,
      accounts: parts.accounts,
      custody,
      store,
      identifierKey: hkdfSha256(local, new Uint8Array(), 'hippocrypt/identifiers/1', 32),
      random,
      commit,
    });
    this.replicas = new Replicas({
      member: id,
      ledger,
      link,
      store,
      segments: (custodian) => this.segments(custodian),
      companions: parts.companions,
      onError: (event, error) => this.#logError(event, error),
    });
    serveTip(link, ledger, options.clock);
    const factor = options.copies ?? COPIES_DEFAULT;
    this.copies = new Copies({
      member: id,
      ledger,
      link,
      headers: parts.headers,
      payloads: parts.payloads,
      copies: factor,
    });
    const agent = new Agent({
      ledger,
      custody,
      parts: this.parts,
      authorityKeys: () => this.authorityKeys(),
      commit,
    });
    const parameters = (shareEpoch?: number): Parameters => this.parameters(shareEpoch);
    const gate = this.#gate;
    this.uploads = new Uploads({
      store,
      payloads: parts.payloads,
      gate,
      mayPut: (subject) => hasRight(parts.engine.state, subject, 'author', ledger.tipTimeMs()),
      clock: options.clock,
    });
    this.records = new Records({
      member: id,
      ledger,
      headers: parts.headers,
      payloads: parts.payloads,
      staging: this.staging,
      uploads: this.uploads,
      segments: () => segmentCids(store),
      gate,
      copies: this.copies,
      pool,
      agent,
      parameters,
      random,
      idempotencySecret: hkdfSha256(local, new Uint8Array(), 'hippocrypt/idempotency/1', 32),
      sign: (subject, type, body) => this.signAs(subject, type, body),
      submit: (request) => ledger.submit(request),
    });
    const onError = (event: string, error: unknown): void => this.#logError(event, error);
    const asOperator =
      (type: string) =>
      (body: unknown): Promise<unknown> =>
        commit(this.operator, type, body);
    this.erasure = new Erasure({
      member: id,
      operator: this.operator,
      ledger,
      headers: parts.headers,
      payloads: parts.payloads,
      staging: this.staging,
      records: this.records,
      factor,
      commit: asOperator('Destroyed'),
      onError,
    });
    this.replication = new Replication({
      member: id,
      ledger,
      copies: this.copies,
      factor,
      store,
      commit: asOperator('Stored'),
      onErased: (record) => this.erasure.carryOut(record),
      onError,
    });
    this.scrub = new Scrub({
      member: id,
      ledger,
      headers: parts.headers,
      payloads: parts.payloads,
      copies: this.copies,
      replicas: this.replicas,
      companions: parts.companions,
      segments: (custodian) => this.segments(custodian),
      factor,
      clock: options.clock,
      onEvent: (name, fields) => options.log.event(name, fields),
    });
    this.search = new SearchService({
      member: id,
      ledger,
      link,
      replicas: this.replicas,
      copies: this.copies,
      indexes: () => this.indexService(),
      segments: (custodian) => this.segments(custodian),
      agent,
      pool,
      parameters,
      commit,
      random,
      journal: new StoredJournal(store),
      clientSecret: hkdfSha256(local, new Uint8Array(), 'hippocrypt/searches/1', 32),
      transactionOf: (entry) => transactionOf(parts.engine, entry),
    });
  }

  readonly #segments = new Map<MemberId, Promise<SegmentFolder>>();

  /** Opens every store, recovers, and joins the consensus. The gateway listens only after `listen`. */
  static async open(options: MemberOptions): Promise<MemberNode> {
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
    const ledgerEnv = openEnvironment(join(dir, 'ledger'), {
      tables: LEDGER_TABLES,
      reserveBytes: LEDGER_RESERVE_BYTES,
    });
    const nodeEnv = openEnvironment(join(dir, 'node'), { tables: NODE_TABLES });
    const payloads = await openPayloads(options.payloads ?? { kind: 'embedded' }, dir);
    const headers = await openHeaderStore(join(dir, 'headers'), { random });
    const local = await secretOf(keystore, SECRETS.local);
    const stagingKey = hkdfSha256(local, new Uint8Array(), 'hippocrypt/staging/1', 32);
    const staging = await Staging.open(join(dir, 'staging'), stagingKey, { random });
    const engine: LedgerEngine = await LedgerEngine.open({
      store: new WriteBehind(disk.patient(ledgerEnv)),
      genesis,
      cosign: { member: self, signer },
      ...(options.signatures === undefined ? {} : { signatures: options.signatures }),
      culpritOf: (evidence) => culpritOf(evidence, genesisEntryOf(engine)),
      onListenerError: (error) => log.event('listener.failed', { error: describe(error) }),
    });
    const key = validatorKey(validatorSeed);
    const wal = new FileWal(join(dir, 'wal'));
    // Its votes may be lost: it observes until they cannot matter, and an operator should look at the disk.
    if (!wal.contents.whole) log.event('consensus.wal_damaged', { observes: true });
    const consensus = new PbftNode({
      key,
      genesis: {
        chainId: genesisEntryOf(engine),
        time: decoded.time,
        validators: decoded.members.map((one) => one.validatorKey),
      },
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
    const node = new MemberNode({
      id: self,
      operator: await operatorOf(keystore),
      ledger,
      engine,
      consensus,
      accounts: new Accounts(nodeEnv, random),
      custody: new Custody(await secretOf(keystore, SECRETS.custody)),
      hpke: await hpkeKeyPair(await secretOf(keystore, SECRETS.hpke)),
      payloads,
      headers,
      staging,
      companions: await Companions.open(dir, self, local),
      disk,
      environments: [ledgerEnv, nodeEnv],
      store: nodeEnv,
      local,
      options,
    });
    await consensus.start();
    return node;
  }

  /** Loads the share and the index keys that the keystore holds, and begins to follow the ledger. */
  async startRoles(): Promise<void> {
    const { keystore, random, link, dir, clock, log } = this.options;
    if ((await restoredMark(dir)) !== undefined) {
      log.event('node.restored', { height: this.ledger.tip().height });
      await catchUp(this.ledger, link);
      this.#stops.push(clearMarkWhenVoting(dir, this.consensus, log));
    }
    await this.replicas.ownIndex();
    await this.shares.start();
    this.indexes = new IndexService({
      member: this.id,
      ledger: this.ledger,
      link,
      staging: this.staging,
      replicas: this.replicas,
      segments: await this.segments(this.id),
      companions: this.companions,
      indexerKeys: await hpkeKeyPair(await secretOf(keystore, SECRETS.indexer)),
      fieldKeys: await heldFieldKeys(this.fieldOwner()),
      eraseKeys: (keys) => eraseFieldKeys(keystore, keys),
      pool: this.options.pool,
      random,
      commit: async (body) => {
        await this.commitAs(this.operator, 'IndexCommit', body);
      },
      onError: (event, error) => this.#logError(event, error),
    });
    this.epochs = new Epochs({
      owner: this.fieldOwner(),
      indexes: this.indexes,
      state: () => this.engine.state,
      log: (name, fields) => log.event(name, fields),
      onError: (event, error) => this.#logError(event, error),
    });
    this.#stops.push(
      await this.epochs.start(),
      this.indexes.start(),
      this.replicas.start(),
      this.erasure.start(),
      this.replication.start(),
      this.scrub.start(),
    );
    this.#stops.push(
      await startHousekeeping({
        records: this.records,
        indexes: this.indexes,
        replicas: this.replicas,
        ledger: this.ledger,
        clock,
        log,
        onError: (event, error) => this.#logError(event, error),
      }),
    );
    const { backup: plan } = this.options;
    if (plan === undefined) return;
    this.backups = new BackupSchedule(
      plan,
      (repository) => this.backup(repository),
      clock,
      (name, fields) => log.event(name, fields),
    );
    this.#stops.push(this.backups.start());
  }

  /** Backs this node up while it runs. */
  backup(repository: Repository): Promise<BackupSummary> {
    const [ledger, node] = this.#environments;
    const { dir, keystore, clock } = this.options;
    const { headers, payloads, staging } = this;
    return backupLive({ dir, ledger, node, keystore, headers, payloads, staging }, repository, clock());
  }

  /** This member as the owner of search fields. */
  fieldOwner(): FieldOwner {
    const { keystore, pool, random } = this.options;
    return {
      id: this.id,
      ledger: this.ledger,
      keystore,
      headers: this.headers,
      pool,
      parameters: () => this.parameters(),
      random,
      commit: (bodies) => this.commitAs(this.operator, 'FieldKeyPut', bodies),
    };
  }

  indexService(): IndexService {
    if (this.indexes === undefined)
      throw new CodedError('index.not_ready', 'the indexer has not been started');
    return this.indexes;
  }

  /** Builds the gateway and listens on loopback unless told otherwise. Port 0 takes a free one. */
  async listen(port: number, host = '127.0.0.1'): Promise<string> {
    const { keystore, ratePerMinute } = this.options;
    this.app = await buildApp({
      services: servicesOf(this),
      tokenSecret: await secretOf(keystore, SECRETS.tokens),
      ...(ratePerMinute === undefined ? {} : { ratePerMinute }),
    });
    return this.app.listen({ port, host });
  }

  /** Request bytes of a transaction signed for a custodial subject; throws `custody.client_signs` for others. */
  async signAs(subject: SubjectId, type: string, body: unknown): Promise<Uint8Array> {
    const state = this.ledger.state(STATE.subject(subject));
    if (state === undefined) throw new CodedError('subject.unknown', 'no subject on the ledger has this id');
    const { signer } = await this.custody.keys(subject);
    const keyIx = state.keys.findIndex(
      (key) =>
        !key.retired && key.alg === signer.publicKey.alg && toHex(key.key) === toHex(signer.publicKey.key),
    );
    if (keyIx < 0 || state.member !== this.id) {
      throw new CodedError(
        'custody.client_signs',
        'this account keeps its own keys: send "tx" and "sig" made by its device',
      );
    }
    const draft = {
      chainId: this.ledger.chainId,
      type: type as EntryType,
      subject: fromHex(subject),
      keyIx,
      nonce: this.options.random(16),
      expiresAt: this.options.clock() + TRANSACTION_TTL_MS,
      body,
    } as TransactionDraft;
    return encodeRequest(signTransaction(signer, draft));
  }

  async commitAs(subject: SubjectId, type: string, body: unknown): Promise<readonly CommittedEntry[]> {
    return this.ledger.submit(await this.signAs(subject, type, body));
  }

  /** Public keys of the authorities in force; throws `authority.no_share` before the first ceremony. */
  authorityKeys(): AuthorityKeys {
    return this.#authorityKeys().keys;
  }

  encodedAuthorityKeys(): Uint8Array | null {
    return this.ledger.shareEpoch() === null ? null : this.#authorityKeys().bytes;
  }

  /** What seals and opens: the authorities' keys of the share epoch in force unless another is named, and the registry. */
  parameters(shareEpoch?: number): Parameters {
    const registry = this.ledger.registry();
    if (this.#registry?.of !== registry) this.#registry = { of: registry, bytes: encodeRegistry(registry) };
    return { keys: this.#authorityKeys(shareEpoch).bytes, registry: this.#registry.bytes };
  }

  segments(custodian: MemberId): Promise<SegmentFolder> {
    const known = this.#segments.get(custodian);
    if (known !== undefined) return known;
    const { payloads: choice, dir } = this.options;
    const opened: Promise<SegmentFolder> =
      choice?.kind === 'kubo'
        ? Promise.resolve(
            new SegmentObjects(custodian, { store: this.#store, payloads: this.payloads, gate: this.#gate }),
          )
        : SegmentFiles.open(join(dir, 'index', custodian));
    this.#segments.set(custodian, opened);
    return opened;
  }

  /** Stops serving first, then taking part, then closes the stores. */
  async close(): Promise<void> {
    await this.app?.close();
    this.shares.stop();
    for (const stop of this.#stops) await stop();
    this.disk.stop();
    await this.consensus.stop();
    await this.shares.settled();
    await this.engine.close();
    await this.payloads.close();
    await this.headers.close();
    await this.staging.close();
    for (const environment of this.#environments) await environment.close();
  }

  #authorityKeys(epoch = this.ledger.shareEpoch()): { keys: AuthorityKeys; bytes: Uint8Array } {
    const share = epoch === null ? undefined : this.ledger.state(STATE.share(epoch));
    if (epoch === null || share === undefined) {
      throw new CodedError('authority.no_share', 'the authorities have not made their key yet');
    }
    if (this.#keys?.epoch === epoch) return this.#keys;
    const keys = this.#keysOf(share);
    this.#keys = { epoch, keys, bytes: encodeAuthorityKeys(this.options.group, keys) };
    return this.#keys;
  }

  #shareMembers(): readonly MemberId[] {
    const epoch = this.ledger.shareEpoch();
    const share = epoch === null ? undefined : this.ledger.state(STATE.share(epoch));
    return (share?.members ?? []).map(memberId);
  }

  #logError(event: string, error: unknown): void {
    this.options.log.event(event, { error: describe(error) });
  }
}

/** The signed bytes of the transaction whose list holds an entry. */
function transactionOf(engine: LedgerEngine, id: EntryId): Uint8Array | undefined {
  const leaf = engine.entry(id)?.leaf;
  return leaf === undefined ? undefined : engine.entryAt(leaf.index - leaf.item)?.leaf.tx;
}

/** Id of the genesis entry: the name by which consensus messages know the chain. */
function genesisEntryOf(engine: LedgerEngine): Uint8Array {
  return fromHex(engine.entryAt(0)?.id ?? '', 32);
}

/** What contradicting consensus messages prove on the chain with this genesis entry. */
function culpritOf(evidence: Uint8Array, genesisEntry: Uint8Array): Culprit | undefined {
  try {
    return checkEvidence(evidence, genesisEntry);
  } catch {
    return undefined;
  }
}

/** An error without its stack's paths and without anything a peer wrote beyond its code. */
function describe(error: unknown): string {
  if (error instanceof CodedError) return error.code;
  return error instanceof Error ? `${error.name}: ${error.message}` : 'unknown';
}

function eventFields(event: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { type: _, evidence: __, ...fields } = event;
  return fields;
}
