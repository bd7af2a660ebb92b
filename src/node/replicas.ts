/**
 * What this node keeps of other members: headers and payloads that its users asked for, and every custodian's index.
 * Everything is checked against the ledger before it is kept or served: a header by its hash, a payload by its
 * CID, a manifest by the hash in the state, a segment by the root in the manifest.
 */

import { headerHash } from '../abe/index.ts';
import type { MemberLink } from '../authority/link.ts';
import { fromUtf8, toHex, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { STATE } from '../ledger/index.ts';
import { decodeManifest, type Manifest, segmentName, verifySegmentFile } from '../search/index.ts';
import type { HeaderStore, KvOp, KvStore, PayloadStore } from '../storage/index.ts';
import type { NodeLedger } from './ledger.ts';
import type { SegmentFiles } from './segment-files.ts';

const MANIFESTS = 'manifests';
/** Bytes of a payload in one answer. */
const PIECE_BYTES = 4 * 1024 * 1024;
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
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
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
    const { link, headers } = options;
    link.serve('headers', 'header', async (_from, hash) => {
      const bytes = await headers.get(hash);
      if (bytes === undefined)
        throw new CodedError('storage.not_found', 'this node holds no header of that hash');
      return bytes;
    });
    link.serve('headers', 'payload', async (_from, body) => {
      const { cid, start } = decodePayloadRequest(body);
      const { size } = await options.payloads.stat(cid);
      const end = Math.min(size, start + PIECE_BYTES);
      const bytes =
        start >= size
          ? new Uint8Array()
          : await collect(options.payloads.get(cid, { start, end }), end - start);
      return encodeCbor({ size, bytes });
    });
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

  /** The header of `hash`: own copy, else the custodian's, checked and kept. */
  async header(hash: Uint8Array, custodian: MemberId): Promise<Uint8Array> {
    const { headers, link, member } = this.#options;
    const own = await headers.get(hash);
    if (own !== undefined) return own;
    if (custodian === member) {
      throw new CodedError(
        'storage.not_found',
        'the header was erased, or this store lost it: restore or ask a peer',
      );
    }
    const bytes = await link.request(custodian, 'headers', 'header', hash, FETCH_TIMEOUT_MS);
    if (toHex(headerHash(bytes)) !== toHex(hash)) {
      throw new CodedError('storage.hash_mismatch', `${custodian} sent a header with another hash`);
    }
    await headers.put(hash, bytes);
    return bytes;
  }

  /** The payload of `cid`, fetched from the custodian if this node lacks it. */
  async payload(
    cid: string,
    custodian: MemberId,
  ): Promise<{ size: number; stream: AsyncIterable<Uint8Array> }> {
    const { payloads, link, member } = this.#options;
    if (!(await payloads.has(cid)) && custodian !== member) {
      const stored = await payloads.put(pieces(link, custodian, cid));
      if (stored.cid !== cid) {
        throw new CodedError('storage.hash_mismatch', `${custodian} sent a payload with another CID`);
      }
    }
    const { size } = await payloads.stat(cid);
    return { size, stream: payloads.get(cid) };
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
      await this.#fetchIndex(custodian);
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

  async #fetchIndex(custodian: MemberId): Promise<void> {
    const { ledger, link, store, segments } = this.#options;
    const index = ledger.state(STATE.index(custodian));
    if (index === undefined) return;
    const current = store.get(MANIFESTS, currentKey(custodian));
    const held = current === undefined ? undefined : store.get(MANIFESTS, current);
    if (held !== undefined && decodeManifest(held).seq >= index.seq) return;
    const bytes = await link.request(custodian, 'headers', 'manifest', utf8(custodian), FETCH_TIMEOUT_MS);
    // The custodian may have committed the next one already; then that one is met by its own entry.
    const records = ledger.state(STATE.counter(custodian)) ?? 0;
    const manifest: Manifest = decodeManifest(bytes, { hash: index.manifestHash, records });
    const files = await segments(custodian);
    const present = new Set(await files.names());
    for (const meta of manifest.segments) {
      const name = segmentName(meta);
      if (present.has(name)) continue;
      const file = await link.request(
        custodian,
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

/** A payload from another member, piece by piece. Throws `link.malformed` on an answer that does not fit. */
async function* pieces(link: MemberLink, from: MemberId, cid: string): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (;;) {
    const answer = await link.request(
      from,
      'headers',
      'payload',
      encodeCbor({ cid, start }),
      FETCH_TIMEOUT_MS,
    );
    const { size, bytes } = (decodeCbor(answer, 2 * PIECE_BYTES) ?? {}) as {
      size?: unknown;
      bytes?: unknown;
    };
    const isNext =
      typeof size === 'number' &&
      bytes instanceof Uint8Array &&
      (bytes.length > 0 ? start + bytes.length <= size : start === size);
    if (!isNext)
      throw new CodedError('link.malformed', `${from} sent a piece of a payload that does not fit`);
    if (bytes.length > 0) yield bytes;
    start += bytes.length;
    if (start === size) return;
  }
}

function decodePayloadRequest(body: Uint8Array): { cid: string; start: number } {
  const { cid, start } = (decodeCbor(body, 512) ?? {}) as { cid?: unknown; start?: unknown };
  if (typeof cid === 'string' && typeof start === 'number' && Number.isSafeInteger(start) && start >= 0) {
    return { cid, start };
  }
  throw new CodedError('link.malformed', 'expected a CID and where to start');
}

async function collect(source: AsyncIterable<Uint8Array>, size: number): Promise<Uint8Array> {
  const out = new Uint8Array(size);
  let offset = 0;
  for await (const chunk of source) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
