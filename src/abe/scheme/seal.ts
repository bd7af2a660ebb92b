/**
 * Sealing: a data key under a policy. The header's matrix is ((policy or emergency leaf) and gate leaf); the
 * compiler adds both leaves, no text can name them.
 */
import { concat, constantTimeEqual } from '../../codec/bytes.ts';
import { requireArgument } from '../errors.ts';
import type { Group } from '../group/types.ts';
import {
  type CompiledPolicy,
  checkOffline,
  compilePolicy,
  encodePolicy,
  type Policy,
  RECORD_ID_BYTES,
  type Registry,
} from '../policy/index.ts';
import { encryptRaw } from './equations.ts';
import { encodeCore, encodeHeader, type Header } from './header.ts';
import {
  contextHash,
  deriveKek,
  deriveRandomness,
  type HeaderContext,
  KEM_BYTES,
  maskWithH1,
  wrapDataKey,
} from './kem.ts';
import type { MasterPublicKey } from './mpk.ts';

export interface SealOptions {
  readonly group: Group;
  readonly mpk: MasterPublicKey;
  /** 32 bytes. */
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly policy: Policy;
  readonly registry: Registry;
  /** `record`: opens only with the gate that a committed access releases. `none`: opened offline; no `not`, no consent. */
  readonly gate: 'record' | 'none';
  /** Whether a committed break-glass on this record and version can open it; needs the gate. */
  readonly emergency: boolean;
  /** Without a gate: the validity epoch that a key must hold as well. */
  readonly epoch?: number;
  /** 32 bytes; may be shared by headers of one record (policy change), never by records. */
  readonly dataKey: Uint8Array;
  /** Uniform random bytes; 32 are drawn. A repeated draw under one context and policy links two headers. */
  readonly random: (n: number) => Uint8Array;
}

/** The matrix of a header: the policy with its gate and emergency leaf. */
export function compileHeader(
  policy: Policy,
  registry: Registry,
  header: Pick<Header, 'recordId' | 'version' | 'gate' | 'emergency' | 'epoch'>,
): CompiledPolicy {
  const { recordId, version, gate, emergency, epoch } = header;
  const record = { recordId, version };
  return compilePolicy(policy, registry, {
    ...(gate === 'record' ? { gate: record } : {}),
    ...(emergency ? { emergency: record } : {}),
    ...(epoch === undefined ? {} : { epoch }),
  });
}

/** The core bytes and K for a given m: all of a header that m determines. */
export function encapsulate(
  group: Group,
  context: HeaderContext,
  compiled: CompiledPolicy,
  m: Uint8Array,
): { core: Uint8Array; K: Uint8Array } {
  const randomness = deriveRandomness(m, contextHash(context), compiled.tau, compiled.columns);
  const { c1, c2, c3 } = encryptRaw(group, compiled, randomness);
  const K = group.encodeGT(group.powGT(context.mpk.E, randomness.s));
  const { recordId, version, gate, emergency, epoch, policyBytes } = context;
  const core = encodeCore({
    recordId,
    version,
    gate,
    emergency,
    epoch,
    policyBytes,
    c1: group.encodeG2(c1),
    c2: concat(...c2.map((point) => group.encodeG2(point))),
    c3: concat(...c3.map((point) => group.encodeG1(point))),
    w: maskWithH1(m, K),
  });
  return { core, K };
}

/**
 * The sealed header's bytes (docs/format/abe.md). Cost with warm tables: one exponentiation in GT, 1 + tau in
 * G2, two multiplications a row in G1. Throws policy codes and `abe.argument`.
 */
export function sealHeader(options: SealOptions): Uint8Array {
  const { group, mpk, recordId, version, policy, registry, gate, emergency, epoch, dataKey, random } =
    options;
  requireArgument(recordId.length === RECORD_ID_BYTES, 'a record id has 32 bytes');
  requireArgument(Number.isSafeInteger(version) && version >= 0, 'a version is a whole number');
  requireArgument(dataKey.length === KEM_BYTES, 'a data key has 32 bytes');
  requireArgument(gate === 'record' || !emergency, 'an emergency leaf stands only beside a gate');
  requireArgument(gate === 'none' || epoch === undefined, 'an epoch stands only in place of a gate');
  // Without a gate nobody is asked at opening, and an old generation keeps its leaves.
  if (gate === 'none') checkOffline(policy);
  const policyBytes = encodePolicy(policy);
  const context = { mpk, recordId, version, gate, emergency, epoch, policyBytes };
  const compiled = compileHeader(policy, registry, context);
  const m = random(KEM_BYTES);
  requireArgument(m.length === KEM_BYTES, 'random(n) returns n bytes');
  const { core, K } = encapsulate(group, context, compiled, m);
  const { commitment, wrapped } = wrapDataKey(deriveKek(K, m, core), core, dataKey);
  m.fill(0);
  return encodeHeader(core, commitment, wrapped);
}

/** Whether complete re-encryption with `m` gives exactly `header`'s core. */
export function reencryptsTo(
  group: Group,
  context: HeaderContext,
  compiled: CompiledPolicy,
  m: Uint8Array,
  core: Uint8Array,
): boolean {
  return constantTimeEqual(encapsulate(group, context, compiled, m).core, core);
}
