/**
 * Opening: FO-K decapsulation. What is compared with the ledger (record, version, policy, gate) is public and
 * has its own error; from the first use of the key onwards there is one error, `abe.header_rejected`. A point that
 * is none ends sooner than a failed check; both times depend on the header and on which rows the key uses, never
 * on key material. Whoever made a header may learn from acceptance which branch a reader used (`verify: 'full'`).
 */
import { concat, constantTimeEqual, equalBytes } from '../../codec/bytes.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { ABE_ERROR } from '../errors.ts';
import { G1_BYTES, type G2, G2_BYTES, type Group } from '../group/types.ts';
import {
  type CompiledPolicy,
  decodePolicy,
  type Registry,
  reconstruct,
  type UsedRow,
} from '../policy/index.ts';
import { decryptionSums, decryptRaw } from './equations.ts';
import { decodeHeader, type Header } from './header.ts';
import {
  contextHash,
  deriveExponents,
  deriveKek,
  type HeaderContext,
  maskWithH1,
  unwrapDataKey,
} from './kem.ts';
import { type DecryptionKey, heldLeaves } from './key.ts';
import type { MasterPublicKey } from './mpk.ts';
import { compileHeader, reencryptsTo } from './seal.ts';

/** What the ledger says about the header that is to be opened. */
export interface ExpectedHeader {
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly policyBytes: Uint8Array;
  /** Default `record`: a header without the gate conjoined is refused. */
  readonly gate?: 'record' | 'none';
  /** The epoch of a header without a gate, where the ledger states one. */
  readonly epoch?: number;
}

export interface OpenOptions {
  readonly group: Group;
  readonly mpk: MasterPublicKey;
  readonly key: DecryptionKey;
  readonly header: Uint8Array;
  readonly registry: Registry;
  readonly expected: ExpectedHeader;
  /** `full` re-encrypts every row: for audits, for foreign headers, and for a sample of what one seals. */
  readonly verify?: 'full';
}

function rejected(): never {
  throw new CodedError(ABE_ERROR.headerRejected, 'the header does not open with this key');
}

function mismatch(what: string): never {
  throw new CodedError(ABE_ERROR.headerMismatch, `expected the header on the ledger: ${what} differs`);
}

/** Compares a header's claims with the ledger's; throws `abe.header_mismatch`. Public data only. */
function checkExpected(header: Header, expected: ExpectedHeader): void {
  if (!equalBytes(header.recordId, expected.recordId)) mismatch('the record id');
  if (header.version !== expected.version) mismatch('the version');
  if (!equalBytes(header.policyBytes, expected.policyBytes)) mismatch('the policy');
  if (header.gate !== (expected.gate ?? 'record')) mismatch('the gate');
  if (expected.epoch !== undefined && header.epoch !== expected.epoch) mismatch('the epoch');
}

/** The header's matrix, after its counts are checked against it (`abe.header_malformed`, policy codes). */
function compileChecked(header: Header, registry: Registry): CompiledPolicy {
  const compiled = compileHeader(decodePolicy(header.policyBytes), registry, header);
  if (header.c3.length !== compiled.rows.length * G1_BYTES || header.c2.length !== compiled.tau * G2_BYTES) {
    throw new CodedError(ABE_ERROR.headerMalformed, 'expected one row a leaf and one c2 a repeat index');
  }
  return compiled;
}

/**
 * Whether a key with these leaves satisfies the header, without any secret: the local check before asking for
 * gates or opening. Throws `abe.header_malformed` and policy codes.
 */
export function canOpen(header: Uint8Array, registry: Registry, held: ReadonlySet<string>): boolean {
  return reconstruct(compileChecked(decodeHeader(header), registry), held) !== undefined;
}

/**
 * The 32-byte data key. Throws `abe.header_malformed` and policy codes for bytes that are no header,
 * `abe.header_mismatch` when it is not the one on the ledger, `abe.header_rejected` for everything else.
 * Cost: 2 + tau Miller loops, one final exponentiation, 1 + tau fixed-base multiplications in G2, one in GT.
 */
export function openHeader(options: OpenOptions): Uint8Array {
  const { group, mpk, key, registry, expected } = options;
  const header = decodeHeader(options.header);
  checkExpected(header, expected);
  const compiled = compileChecked(header, registry);
  if (!equalBytes(key.mpkHash, mpk.hash)) mismatch('the master public key of the decryption key');
  const used = reconstruct(compiled, heldLeaves(key));
  if (used === undefined) return rejected();
  try {
    return decapsulate(group, { mpk, ...header }, compiled, used.rows, key, header, options.verify);
  } catch (error) {
    if (hasCode(error, ABE_ERROR.elementMalformed)) return rejected();
    throw error;
  }
}

/** The FO-K check on the given rows, with no look at whether they satisfy the policy. */
export function decapsulate(
  group: Group,
  context: HeaderContext,
  compiled: CompiledPolicy,
  used: readonly UsedRow[],
  key: DecryptionKey,
  header: Header,
  verify?: 'full',
): Uint8Array {
  // c1 and c2 are checked below by equality with powers of g2, so their subgroup needs no test of its own: a
  // header with other points gives some K' and is rejected like any other.
  const c1 = group.decodeG2(header.c1, 'curve');
  const c2: G2[] = [];
  for (let offset = 0; offset < header.c2.length; offset += G2_BYTES) {
    c2.push(group.decodeG2(header.c2.subarray(offset, offset + G2_BYTES), 'curve'));
  }
  const sums = decryptionSums(group, compiled, used, key.leaves, (index) =>
    group.decodeG1(header.c3.subarray(index * G1_BYTES, (index + 1) * G1_BYTES), 'curve'),
  );
  // Torsion in a row is invisible to the pairing in both backends (test/abe/group/encoding.test.ts), and every
  // bit of the rows is bound by H2, so the sum needs no subgroup test of its own.
  if (sums === undefined) return rejected();
  const K = group.encodeGT(decryptRaw(group, key, sums, c1, (j) => c2[j - 1]));
  const m = maskWithH1(header.w, K);
  const exponents = deriveExponents(m, contextHash(context), compiled.tau);
  const powers = exponents.map((exponent) => group.encodeG2(group.mulG2(group.g2, exponent)));
  const samePoints = constantTimeEqual(concat(...powers), concat(header.c1, header.c2));
  const sameK = constantTimeEqual(group.encodeGT(group.powGT(context.mpk.E, exponents[0])), K);
  if (!(samePoints && sameK)) return rejected();
  if (verify === 'full' && !reencryptsTo(group, context, compiled, m, header.core)) return rejected();
  const dataKey = unwrapDataKey(deriveKek(K, m, header.core), header.core, header.commitment, header.wrapped);
  m.fill(0);
  K.fill(0);
  return dataKey ?? rejected();
}
