/**
 * The entries of one block against its requests: every request has its leaves, every leaf its request, in order, with
 * the block's height and time and its own place in the log; and every request is signed. Signatures and the keys
 * that they register are followed by the requests, so that a damaged leaf takes nothing else with it.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { decodeLeaf, type Leaf } from '../entries/leaf.ts';
import type { BlockHeader } from './consensus.ts';
import type { Failure } from './report.ts';
import { leafHash } from './rfc6962.ts';

/** A leaf at its place; `damaged` when its bytes are not those that the log commits to. */
export interface Entry {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly damaged: boolean;
}

/** An executed item of a list, as far as its leaf could be read. */
export interface FollowedItem {
  readonly leaf: Leaf;
  readonly entryId: Uint8Array;
}

/** Follows the keys that the ledger registers, and checks requests with them. Implementations may throw. */
export interface SignatureCheck {
  genesis(leaf: Uint8Array): void;
  /** What is wrong with the signature, undefined when it holds. */
  check(tx: Uint8Array, sig: Uint8Array): string | undefined;
  /** Takes notice of an executed transaction whose signature holds; `items` by their number, damaged ones left out. */
  follow(tx: Uint8Array, items: ReadonlyMap<number, FollowedItem>): void;
}

interface Request {
  readonly tx: Uint8Array;
  readonly sig: Uint8Array;
  readonly id: Uint8Array;
  /** Place in the log of its first leaf that was found. */
  index: number | undefined;
  readonly items: Map<number, FollowedItem>;
}

/** What is wrong between `batch` and `entries`. `header` only when it is certified: another is held against no entry. */
export function* matchEntries(
  block: { readonly height: number; readonly header: BlockHeader | undefined },
  batch: readonly Uint8Array[],
  entries: readonly Entry[],
  signatures: SignatureCheck | undefined,
): Generator<Failure> {
  const requests = batch.map(readRequest);
  yield* align(block, requests, entries);
  if (signatures === undefined) return;
  for (const request of requests) {
    if (request !== undefined) yield* checkSignature(block.height, request, signatures);
  }
}

/** Gives each leaf to its request. */
function* align(
  { height, header }: { readonly height: number; readonly header: BlockHeader | undefined },
  requests: readonly (Request | undefined)[],
  entries: readonly Entry[],
): Generator<Failure> {
  let next = 0;
  let current: Request | undefined;
  // After a damaged leaf it is not known how many requests it stood for.
  let inStep = true;
  for (const { leaf: bytes, index, damaged } of entries) {
    const at = { height, index } as const;
    const leaf = damaged ? undefined : readLeaf(bytes);
    if (leaf === undefined) {
      if (!damaged) yield { ...at, what: 'leaf', expected: 'a leaf', got: 'other bytes' };
      inStep = false;
      current = undefined;
      continue;
    }
    if (header !== undefined) yield* placeFailures(header, index, leaf);
    const isMine = (request: Request | undefined): boolean =>
      request !== undefined && equalBytes(leaf.tx, leaf.item === 0 ? request.tx : request.id);
    if (leaf.item === 0 || (current === undefined && !inStep)) {
      // An item of a list whose first leaf is damaged finds the request by the transaction's id.
      const from = leaf.item === 0 ? next : next - 1;
      const found = requests.findIndex((request, i) => i >= from && isMine(request));
      if (leaf.item === 0 && inStep && found >= 0) yield* missing(height, next, found);
      if (found >= 0) next = found + 1;
      current = requests[found];
      inStep = current !== undefined;
    }
    if (current === undefined || !isMine(current)) {
      const expected = leaf.item === 0 ? 'a request of the batch' : 'the id of its list';
      yield { ...at, what: 'leaf', expected, got: `another transaction: ${toHex(leaf.tx.subarray(0, 32))}` };
      continue;
    }
    current.index ??= index;
    current.items.set(leaf.item, { leaf, entryId: leafHash(bytes) });
  }
  if (inStep) yield* missing(height, next, requests.length);
}

function* placeFailures(header: BlockHeader, index: number, leaf: Leaf): Generator<Failure> {
  const pairs = [
    ['height', header.height, leaf.height],
    ['time', header.time, leaf.time],
    ['index', index, leaf.index],
  ] as const;
  for (const [name, expected, got] of pairs) {
    if (expected === got) continue;
    yield {
      height: header.height,
      index,
      what: 'leaf',
      expected: `${name} ${expected}`,
      got: `${name} ${got}`,
    };
  }
}

function* missing(height: number, from: number, to: number): Generator<Failure> {
  for (let i = from; i < to; i++) {
    yield { height, what: 'batch', expected: `an entry for request ${i}`, got: 'none' };
  }
}

function* checkSignature(height: number, request: Request, signatures: SignatureCheck): Generator<Failure> {
  const { tx, sig, index, items } = request;
  const at = { height, ...(index === undefined ? {} : { index }), what: 'transaction' } as const;
  try {
    const got = signatures.check(tx, sig);
    if (got === undefined) signatures.follow(tx, items);
    else yield { ...at, expected: "the signature of the subject's registered key", got };
  } catch (error) {
    const got = error instanceof CodedError ? error.code : 'it cannot be read';
    yield { ...at, expected: 'a transaction', got };
  }
}

function readLeaf(bytes: Uint8Array): Leaf | undefined {
  try {
    return decodeLeaf(bytes);
  } catch {
    return undefined;
  }
}

/** { tx, sig } of docs/entries.md; what else is wrong with a request the signature check says. */
function readRequest(bytes: Uint8Array): Request | undefined {
  try {
    const value = decodeCbor(bytes) as { tx?: unknown; sig?: unknown } | null;
    if (!(value?.tx instanceof Uint8Array) || !(value.sig instanceof Uint8Array)) return undefined;
    if (Object.keys(value).length !== 2) return undefined;
    const { tx, sig } = value;
    return { tx, sig, id: taggedHash(DOMAIN.transactionId, tx), index: undefined, items: new Map() };
  } catch {
    return undefined;
  }
}
