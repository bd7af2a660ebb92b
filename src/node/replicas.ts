/**
 * Every custodian's index as this node keeps it. What comes from another member is checked against the ledger before it is
 * kept or served: a manifest by the hash in the state, a segment by the root in the manifest.
 */
import type { MemberLink } from '../authority/link.ts';
import { equalBytes, fromUtf8, toHex, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { STATE } from '../ledger/index.ts';
import {
  decodeManifest,
  type Manifest,
  type SegmentMeta,
  segmentName,
  verifySegmentFile,
} from '../search/index.ts';
import type { KvOp, KvStore } from '../storage/index.ts';
import type { Companions } from './companions.ts';
import type { NodeLedger } from './ledger.ts';
import { catchUp } from './rejoin.ts';
import { type SegmentFolder, SegmentSweep } from './segment-files.ts';

const MANIFESTS = 'manifests';
const FETCH_TIMEOUT_MS = 20_000;
/** Pause after a custodian could not be reached, doubled up to the second value. */
const RETRY_MS = 100;
/** Failures are told once the pause has grown beyond this: a manifest may have moved on several times in a row. */
const RETRY_MS_TOLD = 8_000;
const RETRY_MS_MAX = 30_000;
/** How long a start waits for a block that would name the manifest it holds. */
const OWN_BLOCK_MS = 5_000;

export interface ReplicasOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly link: MemberLink;
  readonly store: KvStore;
  /** Segments of a custodian, opened once. */
  readonly segments: (custodian: MemberId) => Promise<SegmentFolder>;
  readonly companions: Companions;
  readonly onError: (event: string, error: unknown) => void;
}

export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #syncing = new Map<MemberId, Promise<void>>();
  readonly #again = new Set<MemberId>();
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();
  readonly #sweeps = new Map<MemberId, SegmentSweep>();
  #closed = false;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    const { link } = options;
    link.serve('headers', 'manifest', async (_from, custodian) =>
      this.manifestBytes(memberId(fromUtf8(custodian))),
    );
    link.serve('headers', 'segment', async (_from, body) => {
      const [custodian, name] = fromUtf8(body).split('/');
      return (await options.segments(memberId(custodian))).getSegment(name ?? '');
    });
    link.serve('headers', 'companion', async (_from, body) => {
      const [custodian, name] = fromUtf8(body).split('/');
      return options.companions.give(memberId(custodian), name ?? '');
    });
  }

  /** Follows every custodian's IndexCommit from here on, and catches up with those before. */
  start(): () => void {
    const { ledger } = this.#options;
    const stop = ledger.subscribe((entry) => {
      if (entry.type === 'IndexCommit' && entry.subject !== null) {
        const custodian = ledger.state(STATE.subject(entry.subject))?.member;
        if (custodian !== undefined) this.follow(memberId(custodian));
      }
    });
    for (const id of ledger.members()) this.follow(id);
    return () => {
      this.#closed = true;
      for (const timer of this.#retries) clearTimeout(timer);
      stop();
    };
  }

  /** A custodian's manifest as this node holds it, complete with its segments. */
  manifestBytes(custodian: MemberId): Uint8Array {
    const { store, ledger, member } = this.#options;
    const own = custodian === member ? ledger.state(STATE.index(member))?.manifestHash : undefined;
    const hash = own ?? store.get(MANIFESTS, currentKey(custodian));
    const bytes = hash === undefined ? undefined : store.get(MANIFESTS, hash);
    if (bytes === undefined)
      throw new CodedError('index.unknown', `this node holds no index of ${custodian} yet`);
    return bytes;
  }

  /** Keeps a manifest by its hash, beside the one in force: it may still be refused. */
  async keepManifest(hash: Uint8Array, bytes: Uint8Array): Promise<void> {
    await this.#options.store.write([{ table: MANIFESTS, key: hash, value: bytes }]);
  }

  /** Makes a kept manifest the one that is served; the one before it goes. */
  async useManifest(custodian: MemberId, hash: Uint8Array): Promise<void> {
    const { store } = this.#options;
    const before = store.get(MANIFESTS, currentKey(custodian));
    const ops: KvOp[] = [{ table: MANIFESTS, key: currentKey(custodian), value: hash }];
    if (before !== undefined && toHex(before) !== toHex(hash)) {
      ops.push({ table: MANIFESTS, key: before, remove: true });
    }
    await store.write(ops);
  }

  /** Brings the copy of a custodian's index up to the ledger's manifest; retries until it is. */
  follow(custodian: MemberId): void {
    if (custodian === this.#options.member || this.#closed) return;
    if (this.#syncing.has(custodian)) {
      this.#again.add(custodian);
      return;
    }
    const run = this.#sync(custodian, RETRY_MS).finally(() => {
      this.#syncing.delete(custodian);
      if (this.#again.delete(custodian)) this.follow(custodian);
    });
    this.#syncing.set(custodian, run);
  }

  /** Segments of the manifest in force, which this node should hold. */
  listed(custodian: MemberId): readonly SegmentMeta[] {
    const { ledger } = this.#options;
    if (ledger.state(STATE.index(custodian)) === undefined) return [];
    return decodeManifest(this.manifestBytes(custodian)).segments;
  }

  /**
   * Removes segments and companions that the manifest in force has not listed for `graceMs`. Of this member's own index too: call
   * it for that one while nothing is built. Answers how many went.
   */
  async collect(custodian: MemberId, graceMs: number, nowMs: number): Promise<number> {
    if (this.#syncing.has(custodian)) return 0;
    const sweep = this.#sweeps.get(custodian) ?? new SegmentSweep();
    this.#sweeps.set(custodian, sweep);
    const run = this.#sweep(custodian, sweep, graceMs, nowMs);
    const done = run.then(
      () => undefined,
      () => undefined,
    );
    this.#syncing.set(custodian, done);
    try {
      return await run;
    } finally {
      this.#syncing.delete(custodian);
      if (this.#again.delete(custodian)) this.follow(custodian);
    }
  }

  async #sweep(custodian: MemberId, sweep: SegmentSweep, graceMs: number, nowMs: number): Promise<number> {
    const { companions, segments } = this.#options;
    const folders = [await segments(custodian), await companions.folder(custodian)];
    const listed = new Set(this.listed(custodian).map(segmentName));
    return sweep.run(folders, listed, graceMs, nowMs);
  }

  /** Fetches a segment that is damaged or missing again, from whoever has it; throws what the last one asked threw. */
  async mend(custodian: MemberId, meta: SegmentMeta): Promise<void> {
    await this.#fromAny(custodian, (from) => this.#fetchSegment(custodian, from, meta));
  }

  /** Fetches a companion that is missing here; throws what the last one asked threw. */
  async mendCompanion(custodian: MemberId, name: string): Promise<void> {
    await this.#fromAny(custodian, (from) => this.#fetchCompanion(custodian, from, name));
  }

  async #fromAny(custodian: MemberId, fetch: (from: MemberId) => Promise<void>): Promise<void> {
    const { ledger, member } = this.#options;
    let lastError: unknown;
    for (const from of new Set([custodian, ...ledger.members()])) {
      if (from === member) continue;
      try {
        return await fetch(from);
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
  }

  /** Resolves when the copy is as new as this node's ledger, or after `waitMs`: then the one before is still served. */
  async current(custodian: MemberId, waitMs: number): Promise<void> {
    const { ledger, member, store } = this.#options;
    const wanted = ledger.state(STATE.index(custodian))?.manifestHash;
    const held = store.get(MANIFESTS, currentKey(custodian));
    if (custodian === member || wanted === undefined) return;
    if (held !== undefined && equalBytes(held, wanted)) return;
    this.follow(custodian);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs);
    });
    await Promise.race([this.#syncing.get(custodian), late]);
    clearTimeout(timer);
  }

  /** Resolves when every copy is as new as this node's ledger. */
  async idle(): Promise<void> {
    for (const custodian of this.#options.ledger.members()) this.follow(custodian);
    while (this.#syncing.size > 0) await Promise.all(this.#syncing.values());
  }

  async #sync(custodian: MemberId, retryMs: number): Promise<void> {
    try {
      await this.#fetchIndex(custodian, custodian);
    } catch (error) {
      if (this.#closed) return;
      // The custodian's own manifest may be a block ahead of or behind this node's ledger: told only if it lasts.
      if (retryMs > RETRY_MS_TOLD) this.#options.onError('replica.failed', error);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          this.#retries.delete(timer);
          resolve();
        }, retryMs);
        this.#retries.add(timer);
        timer.unref();
      });
      await this.#sync(custodian, Math.min(2 * retryMs, RETRY_MS_MAX));
    }
  }

  /**
   * Makes this member's own index complete as the ledger names it: what a restored node lacks, others have copies of. Asks
   * nobody when everything is here. Throws what the last member asked threw; a companion that nobody has is no error, see
   * `IndexService.start`.
   */
  async ownIndex(): Promise<void> {
    const { ledger, link, member } = this.#options;
    if (ledger.state(STATE.index(member)) === undefined || (await this.#ownIsHere())) return;
    // After a crash the ledger may be some blocks behind the manifest that it named last: those come first.
    await catchUp(ledger, link);
    if (await this.#ownIsHere()) return;
    // The block may be in this node's own log of votes alone, which is applied while others are being asked.
    await ledger.reached(ledger.tip().height + 1, OWN_BLOCK_MS);
    if (await this.#ownIsHere()) return;
    let lastError: unknown;
    for (const from of ledger.members()) {
      if (from === member) continue;
      try {
        await this.#fetchIndex(member, from);
        return await this.#ownCompanions(this.listed(member).map(segmentName));
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
  }

  /** Whether every segment of the own manifest in force is here; companions that are not are asked for. */
  async #ownIsHere(): Promise<boolean> {
    const { ledger, member, store, segments } = this.#options;
    const hash = ledger.state(STATE.index(member))?.manifestHash;
    const held = hash === undefined ? undefined : store.get(MANIFESTS, hash);
    if (held === undefined) return false;
    const present = new Set(await (await segments(member)).names());
    const names = decodeManifest(held).segments.map(segmentName);
    if (!names.every((name) => present.has(name))) return false;
    await this.#ownCompanions(names);
    return true;
  }

  async #ownCompanions(names: readonly string[]): Promise<void> {
    const { companions, member, onError } = this.#options;
    for (const name of await companions.missing(member, names))
      await this.mendCompanion(member, name).catch((error: unknown) =>
        onError('index.companion_lost', error),
      );
  }

  async #fetchIndex(custodian: MemberId, from: MemberId): Promise<void> {
    const { ledger, link, store, segments } = this.#options;
    const index = ledger.state(STATE.index(custodian));
    if (index === undefined) return;
    const current = store.get(MANIFESTS, currentKey(custodian));
    const held = current === undefined ? undefined : store.get(MANIFESTS, current);
    if (from === custodian && held !== undefined && decodeManifest(held).seq >= index.seq) return;
    const bytes = await link.request(from, 'headers', 'manifest', utf8(custodian), FETCH_TIMEOUT_MS);
    // The custodian may have committed the next one already; then that one is met by its own entry.
    const records = ledger.state(STATE.counter(custodian)) ?? 0;
    const manifest: Manifest = decodeManifest(bytes, { hash: index.manifestHash, records });
    const files = await segments(custodian);
    const present = new Set(await files.names());
    for (const meta of manifest.segments) {
      if (!present.has(segmentName(meta))) await this.#fetchSegment(custodian, from, meta);
    }
    // Nobody but the custodian needs these, so one that cannot be had now is left to the scrub.
    const names = manifest.segments.map(segmentName);
    for (const name of await this.#options.companions.missing(custodian, names))
      await this.#fetchCompanion(custodian, from, name).catch(() => undefined);
    await this.keepManifest(index.manifestHash, bytes);
    await this.useManifest(custodian, index.manifestHash);
  }

  async #fetchSegment(custodian: MemberId, from: MemberId, meta: SegmentMeta): Promise<void> {
    const { link, segments } = this.#options;
    const name = segmentName(meta);
    const body = utf8(`${custodian}/${name}`);
    const file = await link.request(from, 'headers', 'segment', body, FETCH_TIMEOUT_MS);
    verifySegmentFile(meta, file);
    await (await segments(custodian)).putSegment(name, file);
  }

  async #fetchCompanion(custodian: MemberId, from: MemberId, name: string): Promise<void> {
    const { companions, link } = this.#options;
    const body = utf8(`${custodian}/${name}`);
    const bytes = await link.request(from, 'headers', 'companion', body, FETCH_TIMEOUT_MS);
    await companions.take(custodian, name, bytes);
  }
}

function currentKey(custodian: MemberId): Uint8Array {
  return utf8(`current/${custodian}`);
}
