/**
 * Replication among members without a swarm: which members keep an object, and fetching what is missing from
 * their trustless gateways. A peer is trusted for nothing: a block is stored only if it hashes to a CID that the
 * graph under the wanted root names, so a peer can neither alter an object nor fill the disk with others.
 */
import { compareBytes, utf8 } from '../../codec/bytes.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';
import { readCar } from '../payload/car.ts';
import { BLOCK_BYTES_MAX, blockKey, blockName, type CID, parseCid, RAW_CODEC } from '../payload/cid.ts';
import { DAG_BLOCKS_MAX, linksOf, walkDag } from '../payload/dag.ts';
import type { PayloadStore } from '../payload/payload-store.ts';

/** Tag of the rendezvous score. */
export const REPLICA_TAG = 'hippocrypt/replica/1';
/** Missing blocks up to which single requests are cheaper than another CAR. */
const SINGLE_REQUESTS_MAX = 8;

/** One member's gateway. */
export interface BlockPeer {
  readonly name: string;
  /** GET of a path under `/ipfs/`, query included, with the status and the body as it streams. Must time out. */
  get(path: string): Promise<{ readonly status: number; readonly body: AsyncIterable<Uint8Array> }>;
}

/**
 * The `factor` members that keep `cid`, best first, by rendezvous hashing: SHA-256 over the tag, the digest and the
 * member's id, highest first. Every node computes the same; when a member leaves, only its objects move.
 */
export function replicasFor(cid: string, members: readonly string[], factor: number): string[] {
  return keepersOf(blockKey(parseCid(cid)), members, factor);
}

/** The same for what is named by a digest alone, as headers are. */
export function keepersOf(digest: Uint8Array, members: readonly string[], factor: number): string[] {
  return [...new Set(members)]
    .map((member) => ({ member, score: taggedHash(REPLICA_TAG, digest, utf8(member)) }))
    .sort((a, b) => compareBytes(b.score, a.score))
    .slice(0, factor)
    .map(({ member }) => member);
}

/**
 * Makes the object `cid` complete in `store`, asking `peers` in order; damaged blocks count as missing and are
 * mended. Throws `storage.not_found` when no peer has
 * what is missing, `storage.too_large` when more than `bytesMax` bytes would be needed. What was fetched stays, so
 * another attempt goes on from there. Answers how many blocks and bytes came.
 */
export async function fetchFromPeers(
  store: PayloadStore,
  peers: readonly BlockPeer[],
  cid: string,
  bytesMax: number,
): Promise<{ blocks: number; bytes: number }> {
  const fetching = new Fetching(store, parseCid(cid), bytesMax);
  const reasons: string[] = [];
  for (const peer of peers) {
    try {
      if (await fetching.from(peer)) return fetching.total;
      reasons.push(`${peer.name}: lacks blocks`);
    } catch (error) {
      if (isOurs(error)) throw error;
      reasons.push(`${peer.name}: ${error instanceof CodedError ? error.code : 'no answer'}`);
    }
  }
  const missing = await fetching.missing(1);
  if (missing.length === 0) return fetching.total;
  throw storageError('storage.not_found', `no peer gave the block ${missing[0]}`, {
    details: { cid: missing[0].toString(), peers: reasons.join('; ') },
  });
}

/** A fault of this node or of the request ends the attempt; a fault of a peer only ends that peer's turn. */
function isOurs(error: unknown): boolean {
  const codes = ['storage.full', 'storage.failed', 'storage.closed', 'storage.too_large'];
  return error instanceof CodedError && codes.includes(error.code);
}

class Fetching {
  readonly total = { blocks: 0, bytes: 0 };
  readonly #store: PayloadStore;
  readonly #root: CID;
  readonly #bytesMax: number;

  constructor(store: PayloadStore, root: CID, bytesMax: number) {
    this.#store = store;
    this.#root = root;
    this.#bytesMax = bytesMax;
  }

  /** Whether the object is complete after asking `peer`. */
  async from(peer: BlockPeer): Promise<boolean> {
    let missing = await this.missing(SINGLE_REQUESTS_MAX + 1);
    if (this.#needsCar(missing)) {
      await this.#takeCar(peer);
      missing = await this.missing(SINGLE_REQUESTS_MAX + 1);
    }
    // Inner blocks that arrive reveal further missing ones, so this ends only when a round brings nothing.
    while (missing.length > 0 && missing.length <= SINGLE_REQUESTS_MAX) {
      let came = 0;
      for (const cid of missing) if (await this.#takeBlock(peer, cid)) came += 1;
      if (came === 0) return false;
      missing = await this.missing(SINGLE_REQUESTS_MAX + 1);
    }
    return missing.length === 0;
  }

  /** The first `limit` blocks of the object that are named but not here, or here and damaged. */
  async missing(limit: number): Promise<CID[]> {
    const missing: CID[] = [];
    const read = (cid: CID) => this.#readWhole(cid);
    for await (const cid of walkDag(this.#root, read)) {
      if ((await read(cid)) === undefined) missing.push(cid);
      if (missing.length === limit) break;
    }
    return missing;
  }

  async #readWhole(cid: CID): Promise<Uint8Array | undefined> {
    try {
      return await this.#store.getBlock(cid.toString());
    } catch (error) {
      if (hasCode(error, 'storage.corrupt')) return undefined;
      throw error;
    }
  }

  #needsCar(missing: readonly CID[]): boolean {
    const rootOnly = missing.length === 1 && missing[0].equals(this.#root) && this.#root.code !== RAW_CODEC;
    return rootOnly || missing.length > SINGLE_REQUESTS_MAX;
  }

  async #takeCar(peer: BlockPeer): Promise<void> {
    const { status, body } = await peer.get(`/ipfs/${this.#root}?format=car&dag-scope=all`);
    if (status !== 200) return;
    const named = new Set([blockName(this.#root)]);
    for await (const part of readCar(body)) {
      if ('roots' in part) continue;
      if (!named.has(blockName(part.cid))) {
        throw storageError('storage.car_malformed', `the block ${part.cid} is no part of what was asked for`);
      }
      await this.#keep(part.cid, part.bytes);
      for (const child of linksOf(part.cid, part.bytes)) named.add(blockName(child));
      if (named.size > DAG_BLOCKS_MAX) {
        throw storageError('storage.bad_dag', `the DAG names more than ${DAG_BLOCKS_MAX} blocks`);
      }
    }
  }

  async #takeBlock(peer: BlockPeer, cid: CID): Promise<boolean> {
    const { status, body } = await peer.get(`/ipfs/${cid}?format=raw`);
    if (status !== 200) return false;
    const bytes = await readBounded(body);
    await this.#keep(cid, bytes);
    return true;
  }

  /** The store checks the bytes against the CID. */
  async #keep(cid: CID, bytes: Uint8Array): Promise<void> {
    if (this.total.bytes + bytes.length > this.#bytesMax) {
      throw storageError('storage.too_large', `the object needs more than ${this.#bytesMax} bytes`, {
        details: { max: this.#bytesMax },
      });
    }
    await this.#store.putBlock(cid.toString(), bytes);
    this.total.blocks += 1;
    this.total.bytes += bytes.length;
  }
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const out = new Uint8Array(BLOCK_BYTES_MAX);
  let length = 0;
  for await (const chunk of body) {
    if (length + chunk.length > out.length) {
      throw storageError('storage.block_too_large', `expected a block of at most ${BLOCK_BYTES_MAX} bytes`);
    }
    out.set(chunk, length);
    length += chunk.length;
  }
  return out.slice(0, length);
}
