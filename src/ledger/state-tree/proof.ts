/**
 * Proofs that a key has a value in a state, or has none. A proof is the nodes from the root down to the place where the
 * key stands or would stand; each must have the hash that the one above it names, so a wrong byte is seen
 * where it is. A proof speaks of one root: how old that root is, the checkpoint says.
 *
 * An absence proof may show the key hash of another key (never its value).
 */
import { equalBytes } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import type { KvReader } from '../ports.ts';
import {
  checkNode,
  childAt,
  EMPTY_NODE,
  nibbleAt,
  nodePath,
  STATE_DEPTH_MAX,
  STATE_NODE_BYTES_MAX,
  STATE_NODE_TABLE,
  type StateChild,
  stateKeyHash,
  stateNodeHash,
  stateValueHash,
} from './node.ts';

/** Nodes from the root downwards. */
export type StateProof = readonly Uint8Array[];

/** Version byte of the encoded form. */
const VERSION = 1;
/** Bound on an encoded proof: every node full, and a few bytes of frame each. */
export const STATE_PROOF_BYTES_MAX = STATE_DEPTH_MAX * (STATE_NODE_BYTES_MAX + 8);

/** The proof of what `reader` holds for `key`: about 2.6 kB at a million keys. Throws `state.damaged`. */
export function proveState(reader: KvReader, key: Uint8Array): StateProof {
  const keyHash = stateKeyHash(key);
  const proof: Uint8Array[] = [];
  for (let depth = 0; depth < STATE_DEPTH_MAX; depth++) {
    const bytes =
      reader.get(STATE_NODE_TABLE, nodePath(keyHash, depth)) ?? (depth === 0 ? EMPTY_NODE : undefined);
    if (bytes === undefined)
      throw new CodedError('state.damaged', `a state node of depth ${depth} is missing`);
    proof.push(new Uint8Array(bytes));
    const child = childAt(checkNode(bytes), nibbleAt(keyHash, depth));
    if (child === undefined || child.kind === 'leaf') return proof;
  }
  throw new CodedError('state.damaged', 'the state tree is deeper than its keys are long');
}

/** Whether the state under `root` gives `key` this value; undefined: gives it none. Never throws. */
export function verifyStateProof(
  root: Uint8Array,
  key: Uint8Array,
  value: Uint8Array | undefined,
  proof: StateProof,
): boolean {
  if (proof.length === 0 || proof.length > STATE_DEPTH_MAX) return false;
  const keyHash = stateKeyHash(key);
  let expected = root;
  for (const [depth, bytes] of proof.entries()) {
    if (bytes.length > STATE_NODE_BYTES_MAX || !equalBytes(stateNodeHash(bytes), expected)) return false;
    let child: StateChild | undefined;
    try {
      child = childAt(checkNode(bytes), nibbleAt(keyHash, depth));
    } catch {
      return false;
    }
    if (child?.kind === 'node') {
      expected = child.hash;
      continue;
    }
    if (depth !== proof.length - 1) return false;
    const isThere = child !== undefined && equalBytes(child.keyHash, keyHash);
    if (value === undefined) return !isThere;
    return isThere && child !== undefined && equalBytes(child.valueHash, stateValueHash(value));
  }
  return false;
}

/** dag-cbor {v: 1, nodes: [bytes]}. */
export function encodeStateProof(proof: StateProof): Uint8Array {
  return encodeCbor({ v: VERSION, nodes: proof });
}

/** Throws `state.bad_proof`. */
export function decodeStateProof(bytes: Uint8Array): StateProof {
  const value = decodeCbor(bytes, STATE_PROOF_BYTES_MAX) as { v?: unknown; nodes?: unknown } | null;
  const nodes = value?.nodes;
  if (
    value?.v !== VERSION ||
    Object.keys(value).length !== 2 ||
    !Array.isArray(nodes) ||
    nodes.length > STATE_DEPTH_MAX ||
    !nodes.every((node) => node instanceof Uint8Array)
  ) {
    throw new CodedError('state.bad_proof', 'expected a state proof: {v: 1, nodes: [bytes]}');
  }
  return nodes;
}
