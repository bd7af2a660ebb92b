import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../api/app.ts';
import type { CommittedEntry } from '../api/ports.ts';
import { Authority } from '../authority/release.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair } from '../codec/hpke.ts';
import type { EntryId, MemberId, SubjectId } from '../codec/ids.ts';
import type { PbftNode } from '../consensus/index.ts';
import { hasRight, type LedgerEngine } from '../ledger/index.ts';
import {
  type BackupSummary,
  type Environment,
  type HeaderStore,
  type PayloadStore,
  type Repository,
  restoredMark,
} from '../storage/index.ts';
import { WriteGate } from '../storage/kubo/write-gate.ts';
import type { Accounts } from './accounts.ts';
import { Agent } from './agent.ts';
import { BackupSchedule, backupLive } from './backup.ts';
import type { Companions } from './companions.ts';
import { Copies } from './copies.ts';
import type { Custody } from './custody.ts';
import { DirectFetch } from './direct-fetch.ts';
import type { Disk } from './disk.ts';
import { Epochs } from './epochs.ts';
import { Erasure } from './erasure.ts';
import { eraseFieldKeys, type FieldOwner, heldFieldKeys } from './field-keys.ts';
import { COPIES_DEFAULT } from './holders.ts';
import { startHousekeeping } from './housekeeping.ts';
import { SECRETS, secretOf } from './identity.ts';
import { IndexService } from './index-service.ts';
import type { NodeLedger } from './ledger.ts';
import { describeError, type MemberOptions } from './member-options.ts';
import { type MemberParts, openParts } from './opening.ts';
import { Parts } from './parts.ts';
import { PublicParameters } from './public-parameters.ts';
import { Records } from './records.ts';
import { catchUp, clearMarkWhenVoting, serveTip } from './rejoin.ts';
import { Replicas } from './replicas.ts';
import { Replication } from './replication.ts';
import { Scrub } from './scrub.ts';
import { StoredJournal } from './search-journal.ts';
import { SearchService } from './search-service.ts';
import { SegmentFiles, type SegmentFolder } from './segment-files.ts';
import { SegmentObjects, segmentCids } from './segment-objects.ts';
import { servicesOf } from './services.ts';
import { epochKeys, Shares } from './shares.ts';
import { signFor } from './signing.ts';
import type { SnapshotServer } from './snapshot-server.ts';
import type { Staging } from './staging.ts';
import { Subjects } from './subjects.ts';
import { Uploads } from './uploads.ts';
import { Witnesses } from './witnesses.ts';
import type { Parameters } from './work/tasks.ts';

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
  readonly direct: DirectFetch;
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
  readonly parameters: PublicParameters;
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
  readonly #snapshots: SnapshotServer;
  readonly #environments: readonly Environment[];
  readonly #store: Environment;
  readonly #gate = new WriteGate();
  readonly #stops: (() => void | Promise<void>)[] = [];

  private constructor(parts: MemberParts) {
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
    this.#snapshots = parts.snapshots;
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
    const keysOf = epochKeys(options.group);
    this.parameters = new PublicParameters(ledger, options.group, keysOf);
    this.shares = new Shares({
      member: id,
      engine: parts.engine,
      store: options.keystore,
      authority: this.authority,
      group: options.group,
      hpke: parts.hpke,
      random,
      clock: options.clock,
      keysOf,
      commit: (type, body) => this.commitAs(this.operator, type, body),
      event: (name, fields) => options.log.event(name, fields),
      onError: (event, error) => this.#logError(event, error),
    });
    this.parts = new Parts({ link, authority: this.authority, members: () => this.parameters.holders() });
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
      authorityKeys: () => this.parameters.authorityKeys(),
      commit,
    });
    const parameters = (shareEpoch?: number): Parameters => this.parameters.encoded(shareEpoch);
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
    this.direct = new DirectFetch({
      member: id,
      link,
      enabled: options.directFetch === true,
      own: () => this.segments(id),
    });
    this.search = new SearchService({
      member: id,
      ledger,
      state: () => parts.engine.state,
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
      clock: options.clock,
      journal: new StoredJournal(store),
      clientSecret: hkdfSha256(local, new Uint8Array(), 'hippocrypt/searches/1', 32),
      transactionOf: (entry) => transactionOf(parts.engine, entry),
    });
  }

  readonly #segments = new Map<MemberId, Promise<SegmentFolder>>();

  /** Opens every store, recovers, and joins the consensus. The gateway listens only after `listen`. */
  static async open(options: MemberOptions): Promise<MemberNode> {
    const node = new MemberNode(await openParts(options));
    await node.consensus.start();
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
      parameters: () => this.parameters.encoded(),
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

  /** Request bytes of a transaction signed for a subject in custody; throws `custody.client_signs` for others. */
  signAs(subject: SubjectId, type: string, body: unknown): Promise<Uint8Array> {
    const { id: member, ledger, custody } = this;
    const { random, clock } = this.options;
    return signFor({ member, ledger, custody, random, clock }, subject, type, body);
  }

  async commitAs(subject: SubjectId, type: string, body: unknown): Promise<readonly CommittedEntry[]> {
    return this.ledger.submit(await this.signAs(subject, type, body));
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
    await this.#snapshots.close();
    await this.consensus.stop();
    await this.shares.settled();
    await this.engine.close();
    await this.payloads.close();
    await this.headers.close();
    await this.staging.close();
    for (const environment of this.#environments) await environment.close();
  }

  #logError(event: string, error: unknown): void {
    this.options.log.event(event, { error: describeError(error) });
  }
}

/** The signed bytes of the transaction whose list holds an entry. */
function transactionOf(engine: LedgerEngine, id: EntryId): Uint8Array | undefined {
  const leaf = engine.entry(id)?.leaf;
  return leaf === undefined ? undefined : engine.entryAt(leaf.index - leaf.item)?.leaf.tx;
}
