/**
 * The entries of one block against its requests: every request has its leaves, every leaf its request, in order, with
 * the block's height and time and its own place in the log; and every request is signed.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { decodeLeaf, type Leaf } from '../entries/leaf.ts';
import type { BlockHeader } from './consensus.ts';
import type { Failure } from './ledger.ts';
import { leafHash } from './rfc6962.ts';

/** A leaf at its place; `damaged` when its bytes are not those that the log commits to. */
export interface Entry {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly damaged: boolean;
}

/** Follows the keys that the ledger registers, and checks requests with them. Implementations may throw. */
export interface SignatureCheck {
  genesis(leaf: Uint8Array): void;
  /** What is wrong with the signature, undefined when it holds. */
  check(tx: Uint8Array, sig: Uint8Array): string | undefined;
  /** Takes notice of an executed item: its transaction, its leaf and its entry id. After `check`. */
  follow(tx: Uint8Array, leaf: Leaf, entryId: Uint8Array): void;
}

interface Request {
  readonly tx: Uint8Array;
  readonly sig: Uint8Array;
}

/** What is wrong between `batch` and `entries`, in order. */
export function* matchEntries(
  header: BlockHeader,
  batch: readonly Uint8Array[],
  entries: readonly Entry[],
  signatures: SignatureCheck | undefined,
): Generator<Failure> {
  const { height } = header;
  const requests = batch.map(readRequest);
  let next = 0;
  // After a damaged leaf it is not known how many requests it stood for.
  let inStep = true;
  let current: Request | undefined;
  for (const entry of entries) {
    const at = { height, index: entry.index } as const;
    const leaf = entry.damaged ? undefined : readLeaf(entry.leaf);
    if (leaf === undefined) {
      if (!entry.damaged) yield { ...at, what: 'leaf', expected: 'a leaf', got: 'other bytes' };
      inStep = false;
      current = undefined;
      continue;
    }
    yield* placeFailures(header, entry.index, leaf);
    const id = leafHash(entry.leaf);
    if (leaf.item > 0) {
      if (current === undefined && !inStep) {
        // An item of this list was damaged before this one: the transaction's id finds the request again.
        const again = requests.findIndex((one, i) => i >= next - 1 && isItemOf(leaf, one));
        if (again >= 0) next = again + 1;
        current = requests[again];
        inStep = current !== undefined;
      }
      if (!isItemOf(leaf, current)) {
        yield { ...at, what: 'leaf', expected: 'the id of its list', got: toHex(leaf.tx.subarray(0, 32)) };
      } else if (current !== undefined && signatures !== undefined) {
        yield* examine(at, following(signatures, current.tx, leaf, id));
      }
      continue;
    }
    const found = requests.findIndex(
      (request, i) => i >= next && request !== undefined && equalBytes(request.tx, leaf.tx),
    );
    if (found < 0) {
      yield {
        ...at,
        what: 'leaf',
        expected: 'a request of the batch',
        got: 'a transaction that was not ordered',
      };
      inStep = false;
      current = undefined;
      continue;
    }
    if (inStep) yield* missing(height, next, found);
    current = requests[found];
    next = found + 1;
    inStep = true;
    if (signatures === undefined || current === undefined) continue;
    const { tx, sig } = current;
    yield* examine(at, () => signatures.check(tx, sig));
    yield* examine(at, following(signatures, tx, leaf, id));
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

const following =
  (signatures: SignatureCheck, tx: Uint8Array, leaf: Leaf, id: Uint8Array) => (): undefined => {
    signatures.follow(tx, leaf, id);
  };

/** A row for what `step` finds wrong, or throws on a transaction that cannot be read. */
function* examine(
  at: { readonly height: number; readonly index: number },
  step: () => string | undefined,
): Generator<Failure> {
  try {
    const got = step();
    if (got === undefined) return;
    yield { ...at, what: 'transaction', expected: "the signature of the subject's registered key", got };
  } catch (error) {
    const got = error instanceof CodedError ? error.code : 'it cannot be read';
    yield { ...at, what: 'transaction', expected: 'a transaction', got };
  }
}

const isItemOf = (leaf: Leaf, request: Request | undefined): boolean =>
  request !== undefined && equalBytes(leaf.tx, transactionId(request.tx));

function transactionId(tx: Uint8Array): Uint8Array {
  return taggedHash(DOMAIN.transactionId, tx);
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
    return Object.keys(value).length === 2 ? { tx: value.tx, sig: value.sig } : undefined;
  } catch {
    return undefined;
  }
}
