/**
 * Backups of a node: of a running one store by store, of a stopped one from its directory, and again and again by the
 * configuration. Encrypted and incremental, see docs/format/storage.md.
 *
 * Order: ledger, node, keystore, staged keywords, index, headers, payloads, so that what the ledger names is in the later
 * copies, and keywords that leave the staging meanwhile are in the index. The consensus
 * log stays out: a restored node has lost its memory and votes only when its old votes cannot matter. Payloads that a Kubo
 * daemon keeps are not in a backup; other members hold copies of them.
 */
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../codec/errors.ts';
import {
  type BackupSource,
  type BackupSummary,
  backup,
  type Environment,
  expireBackups,
  type HeaderStore,
  type Keystore,
  openRepository,
  type PayloadStore,
  type Repository,
  restore,
  stoppedDirectory,
} from '../storage/index.ts';
import type { Staging } from './staging.ts';

/** Where copies are put together before they go to the repository. */
const STAGING = 'backup.tmp';
const DAY_MS = 24 * 60 * 60_000;
/** Backups live no longer than this unless configured otherwise: an erasure is complete when they have gone. */
export const KEEP_DAYS = 30;

export interface LiveStores {
  readonly dir: string;
  readonly ledger: Environment;
  readonly node: Environment;
  readonly keystore: Keystore;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  readonly staging: Staging;
}

/** Backs a running node up. */
export function backupLive(stores: LiveStores, repository: Repository, now: number): Promise<BackupSummary> {
  const { dir, ledger, node, keystore, headers, payloads, staging } = stores;
  const sources: BackupSource[] = [
    { path: 'ledger', copyTo: (to) => ledger.copyTo(to) },
    { path: 'node', copyTo: (to) => node.copyTo(to) },
    { path: 'keystore', copyTo: (to) => keystore.copyTo(to) },
    { path: 'staging', copyTo: (to) => staging.copyTo(to) },
    segments('vault', dir),
    segments('index', dir),
    { path: 'headers', copyTo: (to) => headers.copyTo(to) },
  ];
  if (isCopyable(payloads))
    sources.push({ path: 'blocks', immutable: 'files', copyTo: (to) => payloads.copyTo(to) });
  return backup(sources, repository, join(dir, STAGING), now);
}

/** Backs up the directory of a node that is not running; throws `storage.locked` when it is. */
export function backupStopped(dir: string, repository: Repository, now: number): Promise<BackupSummary> {
  if (!existsSync(join(dir, 'ledger')))
    throw new CodedError('node.bad_data', `${dir} holds no node: expected the ledger of one that has run`);
  const stopped = ['ledger', 'node', 'keystore', 'staging', 'headers'].map((path) =>
    stoppedDirectory(path, join(dir, path)),
  );
  const sources = [...stopped, segments('vault', dir), segments('index', dir)];
  if (existsSync(join(dir, 'blocks'))) sources.push(stoppedDirectory('blocks', join(dir, 'blocks'), 'files'));
  return backup(sources, repository, join(dir, STAGING), now);
}

/** Opens the repository in `path` under a key file, and closes it after `use`. */
export async function withRepository<T>(
  path: string,
  keyFile: string,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const unlock = { keyFile: new Uint8Array(await readFile(keyFile)) };
  const repository = await openRepository(path, unlock, (length) =>
    crypto.getRandomValues(new Uint8Array(length)),
  );
  try {
    return await use(repository);
  } finally {
    repository.close();
  }
}

/** Restores a snapshot, by default the newest, into the empty directory `dir`. */
export function restoreNode(
  dir: string,
  repository: Repository,
  now: number,
  snapshot?: string,
): ReturnType<typeof restore> {
  return restore(repository, dir, now, snapshot);
}

export interface BackupPlan {
  /** Directory of the repository. */
  readonly to: string;
  readonly keyFile: string;
  readonly everyMinutes: number;
  readonly keepDays: number;
}

/** What the schedule did last; times in ms. */
export interface BackupStatus {
  readonly everyMinutes: number;
  readonly newestAt: number | null;
  /** Code of why the last attempt failed, null when it did not. */
  readonly failed: string | null;
}

/** Makes a backup whenever the newest is older than the plan wants, and lets old ones expire. */
export class BackupSchedule {
  readonly #plan: BackupPlan;
  readonly #make: (repository: Repository) => Promise<BackupSummary>;
  readonly #clock: () => number;
  readonly #onEvent: (name: string, fields: Readonly<Record<string, unknown>>) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();
  #newestAt: number | null = null;
  #failed: string | null = null;
  #closed = false;

  constructor(
    plan: BackupPlan,
    make: (repository: Repository) => Promise<BackupSummary>,
    clock: () => number,
    onEvent: (name: string, fields: Readonly<Record<string, unknown>>) => void,
  ) {
    this.#plan = plan;
    this.#make = make;
    this.#clock = clock;
    this.#onEvent = onEvent;
  }

  status(): BackupStatus {
    return { everyMinutes: this.#plan.everyMinutes, newestAt: this.#newestAt, failed: this.#failed };
  }

  /** Begins; a backup that is due is made at once. Answers how to stop; stopping waits for a backup under way. */
  start(): () => Promise<void> {
    this.#turn();
    return async () => {
      this.#closed = true;
      clearTimeout(this.#timer);
      await this.#running;
    };
  }

  #turn(): void {
    this.#running = this.#ifDue()
      .catch((error: unknown) => {
        this.#failed = error instanceof CodedError ? error.code : 'internal';
        this.#onEvent('backup.failed', { error: this.#failed });
      })
      .finally(() => {
        if (this.#closed) return;
        this.#timer = setTimeout(() => this.#turn(), this.#plan.everyMinutes * 60_000);
        this.#timer.unref();
      });
  }

  async #ifDue(): Promise<void> {
    const { to, keyFile, everyMinutes, keepDays } = this.#plan;
    await withRepository(to, keyFile, async (repository) => {
      const newest = (await repository.snapshots()).at(-1);
      this.#newestAt = newest === undefined ? null : Number(newest.split('-', 1)[0]);
      const now = this.#clock();
      // A tenth of grace: timers and clocks do not agree to the millisecond.
      if (this.#newestAt !== null && now - this.#newestAt < 0.9 * everyMinutes * 60_000) return;
      const { snapshot, files, bytes, newBytes } = await this.#make(repository);
      this.#newestAt = now;
      this.#failed = null;
      this.#onEvent('backup.made', { snapshot, files, bytes, newBytes });
      await expireBackups(repository, now - keepDays * DAY_MS);
    });
  }
}

function isCopyable(store: PayloadStore): store is PayloadStore & { copyTo(dir: string): Promise<void> } {
  return 'copyTo' in store && typeof store.copyTo === 'function';
}

/** Index segments and their companions: whole files that never change under their name, but may go meanwhile. */
function segments(path: string, dir: string): BackupSource {
  return { path, copyTo: (to) => copyFiles(join(dir, path), to) };
}

async function copyFiles(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return;
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await mkdir(target, { mode: 0o700 });
      await copyFiles(source, target);
      continue;
    }
    if (entry.name.endsWith('.new')) continue;
    try {
      await link(source, target).catch(() => copyFile(source, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
