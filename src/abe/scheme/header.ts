/**
 * The header's bytes: one format byte, then dag-cbor [core, commitment, wrapped]; core is itself dag-cbor, kept
 * as a byte string because it is hashed as it stands. docs/format/abe.md describes every byte.
 * Decoding here needs no key and no registry; points stay bytes until an opener uses them.
 */
import { concat } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { SUITE } from '../domains.ts';
import { ABE_ERROR } from '../errors.ts';
import { G1_BYTES, G2_BYTES } from '../group/types.ts';
import { POLICY_ROWS_MAX, POLICY_TEXT_BYTES_MAX, RECORD_ID_BYTES } from '../policy/index.ts';
import { KEM_BYTES, WRAPPED_BYTES } from './kem.ts';

/** Format byte in front of every header. */
export const HEADER_FORMAT = 1;
/** Largest header: the policy, every row with its own c2, and the fixed part. */
export const HEADER_BYTES_MAX = POLICY_TEXT_BYTES_MAX + POLICY_ROWS_MAX * (G1_BYTES + G2_BYTES) + 1024;

export interface Header {
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly gate: 'record' | 'none';
  /** Whether an emergency leaf stands beside the policy; only with a gate. */
  readonly emergency: boolean;
  /** The validity epoch conjoined in place of a gate; undefined for none. */
  readonly epoch: number | undefined;
  readonly policyBytes: Uint8Array;
  /** 96 bytes. */
  readonly c1: Uint8Array;
  /** 96 bytes for each repeat index. */
  readonly c2: Uint8Array;
  /** 48 bytes for each row. */
  readonly c3: Uint8Array;
  /** 32 bytes: m masked by H1(K). */
  readonly w: Uint8Array;
  /** The exact bytes that H2 hashes. */
  readonly core: Uint8Array;
  readonly commitment: Uint8Array;
  readonly wrapped: Uint8Array;
}

/** The fields of the core in their order. */
export type HeaderCore = Omit<Header, 'core' | 'commitment' | 'wrapped'>;

/** dag-cbor [suite, recordId, version, gate, emergency, epoch or null, policy, c1, c2, c3, w]. */
export function encodeCore(core: HeaderCore): Uint8Array {
  const { recordId, version, gate, emergency, epoch, policyBytes, c1, c2, c3, w } = core;
  return encodeCbor([
    SUITE,
    recordId,
    version,
    gate === 'record',
    emergency,
    epoch ?? null,
    policyBytes,
    c1,
    c2,
    c3,
    w,
  ]);
}

/** The whole header around a core. */
export function encodeHeader(core: Uint8Array, commitment: Uint8Array, wrapped: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(HEADER_FORMAT), encodeCbor([core, commitment, wrapped]));
}

function malformed(expected: string): never {
  throw new CodedError(ABE_ERROR.headerMalformed, `expected a record header with ${expected}`);
}

function fieldsOf(bytes: Uint8Array, count: number): readonly unknown[] {
  return decodeFields(bytes, count, HEADER_BYTES_MAX) ?? malformed(`canonical dag-cbor of ${count} fields`);
}

function bytesField(value: unknown, name: string, length: number): Uint8Array {
  return isBytes(value, length) ? value : malformed(`${length} bytes of ${name}`);
}

function pointsField(value: unknown, name: string, each: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length === 0 || value.length % each !== 0) {
    malformed(`${name} of ${each} bytes each`);
  }
  if (value.length > each * POLICY_ROWS_MAX) malformed(`at most ${POLICY_ROWS_MAX} ${name}`);
  return value;
}

/** The fields of a header; throws `abe.header_malformed`. Needs no key; checks no point. */
export function decodeHeader(bytes: Uint8Array): Header {
  if (bytes.length > HEADER_BYTES_MAX) malformed(`at most ${HEADER_BYTES_MAX} bytes`);
  if (bytes[0] !== HEADER_FORMAT) malformed(`format ${HEADER_FORMAT}`);
  const [coreValue, commitment, wrapped] = fieldsOf(bytes.subarray(1), 3);
  if (!(coreValue instanceof Uint8Array)) return malformed('a core');
  const [suite, recordId, version, gate, emergency, epochValue, policyBytes, c1, c2, c3, w] = fieldsOf(
    coreValue,
    11,
  );
  if (suite !== SUITE) malformed(`suite ${SUITE}`);
  if (!isWhole(version)) return malformed('a version that is a whole number');
  if (typeof gate !== 'boolean' || typeof emergency !== 'boolean') return malformed('two flags');
  const epoch = epochValue === null ? undefined : epochValue;
  if (epoch !== undefined && !isWhole(epoch)) return malformed('an epoch that is a whole number, or null');
  if (gate ? epoch !== undefined : emergency)
    malformed('an emergency leaf only beside a gate, an epoch only without');
  if (!(policyBytes instanceof Uint8Array) || policyBytes.length > POLICY_TEXT_BYTES_MAX) {
    return malformed(`a policy of at most ${POLICY_TEXT_BYTES_MAX} bytes`);
  }
  return {
    recordId: bytesField(recordId, 'record id', RECORD_ID_BYTES),
    version,
    gate: gate ? 'record' : 'none',
    emergency,
    epoch,
    policyBytes,
    c1: bytesField(c1, 'c1', G2_BYTES),
    c2: pointsField(c2, 'c2', G2_BYTES),
    c3: pointsField(c3, 'rows', G1_BYTES),
    w: bytesField(w, 'w', KEM_BYTES),
    core: coreValue,
    commitment: bytesField(commitment, 'commitment', KEM_BYTES),
    wrapped: bytesField(wrapped, 'wrapped data key', WRAPPED_BYTES),
  };
}

/** What a header says about itself; see `inspectHeader`. */
export interface HeaderInspection {
  readonly format: number;
  readonly suite: number;
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly gate: 'record' | 'none';
  readonly emergency: boolean;
  readonly epoch: number | undefined;
  readonly policyBytes: Uint8Array;
  /** Rows of the matrix, gate and emergency leaf included. */
  readonly rows: number;
  /** Most repeats of one attribute. */
  readonly tau: number;
  readonly bytes: number;
  readonly hash: Uint8Array;
}

/** The public part of a header, without a key. A claim of its sealer until it is compared with the ledger. */
export function inspectHeader(bytes: Uint8Array): HeaderInspection {
  const { recordId, version, gate, emergency, epoch, policyBytes, c2, c3 } = decodeHeader(bytes);
  return {
    format: HEADER_FORMAT,
    suite: SUITE,
    recordId,
    version,
    gate,
    emergency,
    epoch,
    policyBytes,
    rows: c3.length / G1_BYTES,
    tau: c2.length / G2_BYTES,
    bytes: bytes.length,
    hash: headerHash(bytes),
  };
}

/** 32 bytes that stand for a header on the ledger: a tagged SHA-256 of all its bytes. */
export function headerHash(bytes: Uint8Array): Uint8Array {
  return taggedHash(DOMAIN.headerHash, bytes);
}
