/**
 * The manifest of a snapshot: a certified header, and the state tree from the root named there down to the places whose
 * contents are the chunks. Who verifies header and certificate needs nothing else to judge every chunk (ledger-security
 * rule 28). Sizes are the giver's claim; they are bounded before the first chunk is asked for, and hold for each chunk.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import type { ValidatorSet } from '../checkpoint/index.ts';
import {
  checkNode,
  childAt,
  nodePath,
  STATE_NODE_BYTES_MAX,
  STATE_RADIX,
  type StateChild,
  stateNodeHash,
} from '../state-tree/node.ts';
import type { EpochLink } from '../verify/anchor.ts';
import { chunkOf } from './chunks.ts';

/** Nibbles that the keys of one chunk share: 16, 256 or 4,096 chunks. */
export const DEPTH_MAX = 3;
/** Most bytes of one chunk. */
export const CHUNK_BYTES_MAX: number = 8 * 1024 * 1024;
/** Most bytes of all chunks. */
export const SNAPSHOT_BYTES_MAX: number = 16 * 1024 * 1024 * 1024;
/** Most bytes of a manifest. */
export const MANIFEST_BYTES_MAX: number = 2 * 1024 * 1024;
/** Most changes of validators that one answer carries. */
export const LINKS_MAX = 1024;
/** Most bytes of a header with its certificate and links. */
export const CERTIFIED_BYTES_MAX: number = 1024 * 1024;

/** A header with all that a verifier who trusts an earlier validator set needs to believe it. */
export interface Certified {
  readonly header: Uint8Array;
  readonly qc: Uint8Array;
  readonly links: readonly EpochLink[];
}

export interface Manifest extends Certified {
  readonly depth: number;
  /** Nodes of the state tree above the chunks, each before its children, children by nibble. */
  readonly nodes: readonly Uint8Array[];
  /** Bytes of each chunk. */
  readonly sizes: readonly number[];
}

const refuse = (expected: string): never => {
  throw new CodedError('snapshot.bad_manifest', `expected a manifest with ${expected}`);
};

export function encodeCertified({ header, qc, links }: Certified): Uint8Array {
  return encodeCbor({ v: 1, header, qc, links });
}

/** Throws `snapshot.bad_manifest`, `cbor.malformed`, `cbor.too_large`. Nothing is verified yet. */
export function decodeCertified(bytes: Uint8Array): Certified {
  return certifiedOf(fieldsOf(decodeCbor(bytes, CERTIFIED_BYTES_MAX)));
}

export function encodeManifest({ header, qc, links, depth, nodes, sizes }: Manifest): Uint8Array {
  return encodeCbor({ v: 1, header, qc, links, depth, nodes, sizes });
}

/**
 * The manifest in `bytes`, every number in it within its bounds. Throws as `decodeCertified`, and `snapshot.too_large` for one
 * that promises more than a member stores.
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fields = fieldsOf(decodeCbor(bytes, MANIFEST_BYTES_MAX));
  const { depth, nodes, sizes } = fields;
  if (typeof depth !== 'number' || !Number.isSafeInteger(depth) || depth < 1 || depth > DEPTH_MAX)
    return refuse(`a depth of 1 to ${DEPTH_MAX}`);
  const isNodes = Array.isArray(nodes) && nodes.length >= 1 && nodes.length <= nodesMax(depth);
  if (!isNodes || !nodes.every((one) => one instanceof Uint8Array && one.length <= STATE_NODE_BYTES_MAX))
    return refuse(`1 to ${nodesMax(depth)} nodes`);
  if (!Array.isArray(sizes) || sizes.length !== STATE_RADIX ** depth || !sizes.every(isCount))
    return refuse(`${STATE_RADIX ** depth} sizes`);
  let total = 0;
  for (const size of sizes as number[]) {
    total += size;
    if (size > CHUNK_BYTES_MAX || total > SNAPSHOT_BYTES_MAX) {
      throw new CodedError(
        'snapshot.too_large',
        `expected chunks of at most ${CHUNK_BYTES_MAX} bytes and ${SNAPSHOT_BYTES_MAX} bytes in all`,
      );
    }
  }
  return {
    ...certifiedOf(fields),
    depth,
    nodes: nodes as readonly Uint8Array[],
    sizes: sizes as readonly number[],
  };
}

/** Nodes above the places of `depth`. */
const nodesMax = (depth: number): number => (STATE_RADIX ** depth - 1) / (STATE_RADIX - 1);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;

function fieldsOf(value: unknown): Record<string, unknown> {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value) && !isBytes(value);
  if (!isMap || (value as { v?: unknown }).v !== 1) return refuse('version 1');
  return value as Record<string, unknown>;
}

function certifiedOf({ header, qc, links }: Record<string, unknown>): Certified {
  if (!isBytes(header) || !isBytes(qc)) return refuse('a header and its certificate');
  if (!Array.isArray(links) || links.length > LINKS_MAX)
    return refuse(`at most ${LINKS_MAX} changes of validators`);
  return { header, qc, links: links.map(linkOf) };
}

function linkOf(value: unknown): EpochLink {
  const { header, qc, next } = (value ?? {}) as { header?: unknown; qc?: unknown; next?: unknown };
  const { epoch, validators } = (next ?? {}) as { epoch?: unknown; validators?: unknown };
  const isSet =
    isCount(epoch) &&
    Array.isArray(validators) &&
    validators.every((one) => typeof one?.member === 'string' && isBytes(one?.key));
  if (!isBytes(header) || !isBytes(qc) || !isSet) return refuse('links of header, certificate and set');
  return { header, qc, next: { epoch, validators: validators as ValidatorSet['validators'] } };
}

/** A node above the chunks, where it belongs. */
export interface TopNode {
  readonly path: Uint8Array;
  readonly bytes: Uint8Array;
}

/** What a manifest says of the state once its nodes are checked. */
export interface Places {
  /** What stands at the place of each chunk; undefined for one without keys. */
  readonly children: readonly (StateChild | undefined)[];
  readonly top: readonly TopNode[];
}

/**
 * The places of the chunks under `stateRoot`. Throws `snapshot.bad_manifest` unless the nodes are exactly those of the tree
 * with this root, and sizes are zero where nothing stands.
 */
export function placesOf({ depth, nodes, sizes }: Manifest, stateRoot: Uint8Array): Places {
  const children: (StateChild | undefined)[] = new Array(sizes.length).fill(undefined);
  const top: TopNode[] = [];
  const prefix = new Uint8Array(32);
  const walk = (hash: Uint8Array, at: number): void => {
    const bytes = nodes[top.length];
    if (bytes === undefined || !equalBytes(stateNodeHash(bytes), hash))
      refuse('the nodes of the certified state');
    top.push({ path: nodePath(prefix, at), bytes: checkNode(bytes) });
    for (let nibble = 0; nibble < STATE_RADIX; nibble++) {
      const child = childAt(bytes, nibble);
      if (child === undefined) continue;
      setNibble(prefix, at, nibble);
      if (child.kind === 'leaf') children[chunkOf(child.keyHash, depth)] = child;
      else if (at + 1 === depth) children[chunkOf(prefix, depth)] = child;
      else walk(child.hash, at + 1);
    }
    setNibble(prefix, at, 0);
  };
  walk(stateRoot, 0);
  if (top.length !== nodes.length) refuse('no more nodes than the certified state has');
  if (children.some((child, i) => (child === undefined) !== (sizes[i] === 0)))
    refuse('a size for each chunk that is not empty');
  return { children, top };
}

function setNibble(prefix: Uint8Array, depth: number, nibble: number): void {
  const i = depth >> 1;
  prefix[i] = depth % 2 === 0 ? (prefix[i] & 0x0f) | (nibble << 4) : (prefix[i] & 0xf0) | nibble;
}
