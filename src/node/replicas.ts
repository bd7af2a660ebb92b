/**
 * Every custodian's index as this node keeps it. What comes from another member is checked against the ledger before it is
 * kept or served: a manifest by the hash in the state, a segment by the root in the manifest.
 */
import type { MemberLink } from '../authority/link.ts';
import { fromUtf8, toHex, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { STATE } from '../ledger/index.ts';
import { decodeManifest, type Manifest, segmentName, verifySegmentFile } from '../search/index.ts';
import type { KvOp, KvStore } from '../storage/index.ts';
import type { NodeLedger } from './ledger.ts';
import type { SegmentFiles } from './segment-files.ts';

const MANIFESTS = 'manifests';
const FETCH_TIMEOUT_MS = 20_000;
/** Pause after a custodian could not be reached, doubled up to the second value. */
const RETRY_MS = 100;
/** Failures are told once the pause has grown beyond this. */
const RETRY_MS_TOLD = 1_000;
const RETRY_MS_MAX = 30_000;

export interface ReplicasOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly link: MemberLink;
  readonly store: KvStore;
  /** Segment files of a custodian, opened once. */
  readonly segments: (custodian: MemberId) => Promise<SegmentFiles>;
  readonly onError: (event: string, error: unknown) => void;
}

export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #syncing = new Map<MemberId, Promise<void>>();
  readonly #again = new Set<MemberId>();
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();
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
   * nobody when everything is here. Throws what the last member asked threw.
   */
  async ownIndex(): Promise<void> {
    const { ledger, member, store, segments } = this.#options;
    const index = ledger.state(STATE.index(member));
    const held = index === undefined ? undefined : store.get(MANIFESTS, index.manifestHash);
    if (index === undefined) return;
    if (held !== undefined) {
      const present = new Set(await (await segments(member)).names());
      if (decodeManifest(held).segments.every((meta) => present.has(segmentName(meta)))) return;
    }
    let lastError: unknown;
    for (const from of ledger.members()) {
      if (from === member) continue;
      try {
        return await this.#fetchIndex(member, from);
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
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
      const name = segmentName(meta);
      if (present.has(name)) continue;
      const file = await link.request(
        from,
        'headers',
        'segment',
        utf8(`${custodian}/${name}`),
        FETCH_TIMEOUT_MS,
      );
      verifySegmentFile(meta, file);
      await files.putSegment(name, file);
    }
    await this.keepManifest(index.manifestHash, bytes);
    await this.useManifest(custodian, index.manifestHash);
    const listed = new Set(manifest.segments.map(segmentName));
    const before = held === undefined ? [] : decodeManifest(held).segments.map(segmentName);
    // One manifest's grace: a reader may still hold the one before.
    for (const name of present)
      if (!listed.has(name) && !before.includes(name)) await files.deleteSegment(name);
  }
}

function currentKey(custodian: MemberId): Uint8Array {
  return utf8(`current/${custodian}`);
}
