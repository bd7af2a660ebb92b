/**
 * The offline toolkit's files (docs/format/toolkit.md): one person, one machine, no ledger. The master file can open
 * everything; a consortium uses the key ceremony instead. Headers are sealed without a gate and under a validity epoch.
 */
import {
  type AuthorityKeys,
  addKeyParts,
  attributeLeaves,
  dealAuthorities,
  decodeAuthorityKeys,
  decodeAuthorityShare,
  decodeKeyRing,
  decodePolicy,
  emptyKeyRing,
  encodeAuthorityKeys,
  encodeAuthorityShare,
  encodeKeyRing,
  encodePolicy,
  epochLeaf,
  explainPolicy,
  type Group,
  inspectHeader,
  issueKeyPart,
  makeRegistry,
  openAuthority,
  openDataKey,
  openPayload,
  PAYLOAD_ID_BYTES,
  type Policy,
  parseAttribute,
  parsePolicy,
  policyLabels,
  printPolicy,
  type Registry,
  sealHeader,
  sealPayload,
} from '../abe/index.ts';
import { concat, equalBytes, readU32be, toHex, u32be, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { defaultRegistry } from '../fhir/index.ts';

type Random = (length: number) => Uint8Array;

/** Begins every sealed file. */
export const MAGIC = utf8('HIPPABE1');
/** Validity epoch of toolkit files: they have no ledger that could turn it. */
const EPOCH = 0;
const HEADER_BYTES_MAX = 1024 * 1024;

export interface MasterFile {
  readonly keys: Uint8Array;
  readonly share: Uint8Array;
}

/** New master secret and public key. */
export function setup(
  group: Group,
  random: Random,
): { master: Uint8Array; publicKey: Uint8Array; fingerprint: string } {
  const { keys, shares } = dealAuthorities({ group, n: 1, t: 1, random });
  const publicKey = encodeAuthorityKeys(group, keys);
  const master = encodeCbor({
    v: 1,
    kind: 'master',
    keys: publicKey,
    share: encodeAuthorityShare(shares[0]),
  });
  return { master, publicKey, fingerprint: toHex(keys.mpk.hash) };
}

/** A key over `attributes`, as a key file. */
export function keygen(
  group: Group,
  master: Uint8Array,
  attributes: readonly string[],
  random: Random,
): Uint8Array {
  const { keys: encoded, share } = readFile<MasterFile>(master, 'master', ['keys', 'share']);
  const keys = decodeAuthorityKeys(group, encoded);
  const held = attributes.map(parseAttribute);
  const registry = registryFor(held.map(({ label, issuer }) => ({ label, shared: issuer === '' })));
  const keyId = random(32);
  const part = issueKeyPart(openAuthority(group, decodeAuthorityShare(share)), {
    keyId,
    generation: 0,
    leaves: [...attributeLeaves(held, registry), epochLeaf(EPOCH)],
  });
  const ring = addKeyParts(emptyKeyRing(keys, keyId, 0), [part]);
  return encodeCbor({
    v: 1,
    kind: 'key',
    keys: encoded,
    ring: encodeKeyRing(ring),
    attributes: [...attributes],
  });
}

/** The sealed form of `source`: magic, header, payload in 64 KiB chunks. Bounded memory. */
export async function* encrypt(
  group: Group,
  publicKey: Uint8Array,
  policyText: string,
  source: AsyncIterable<Uint8Array>,
  random: Random,
): AsyncGenerator<Uint8Array> {
  const { mpk } = decodeAuthorityKeys(group, publicKey);
  const policy = parsePolicy(policyText);
  const recordId = random(32);
  const dataKey = random(32);
  const header = sealHeader({
    group,
    mpk,
    recordId,
    version: 0,
    policy,
    registry: registryFor(
      policyLabels(policy).map(({ label, issuer }) => ({ label, shared: issuer === '' })),
    ),
    gate: 'none',
    emergency: false,
    epoch: EPOCH,
    dataKey,
    random,
  });
  const payloadId = random(PAYLOAD_ID_BYTES);
  yield concat(MAGIC, u32be(header.length), header, payloadId);
  yield* sealPayload(dataKey, { recordId, payloadId, random }, source);
  dataKey.fill(0);
}

/** The plaintext of a sealed stream. Chunks are authentic as they come; a cut shows at the end. */
export async function* decrypt(
  group: Group,
  keyFile: Uint8Array,
  source: AsyncIterable<Uint8Array>,
  random: Random,
): AsyncGenerator<Uint8Array> {
  const { keys: encoded, ring } = readFile<{ keys: Uint8Array; ring: Uint8Array }>(keyFile, 'key', [
    'keys',
    'ring',
  ]);
  const keys: AuthorityKeys = decodeAuthorityKeys(group, encoded);
  const { header, payloadId, rest } = await readHead(source);
  const seen = inspectHeader(header);
  const policy = decodePolicy(seen.policyBytes);
  const { holds, text } = explain(policy, attributesOf(keyFile));
  if (!holds) {
    throw new CodedError(
      'abe.policy_unsatisfied',
      `the key does not satisfy "${printPolicy(policy)}":\n${text}`,
    );
  }
  const dataKey = openDataKey({
    group,
    keys,
    ring: decodeKeyRing(ring),
    registry: registryFor(
      policyLabels(policy).map(({ label, issuer }) => ({ label, shared: issuer === '' })),
    ),
    header,
    expected: { recordId: seen.recordId, version: 0, policyBytes: encodePolicy(policy), gate: 'none' },
    random,
    // Anybody can seal such a file: every row is held against what an honest sealer makes.
    verify: 'full',
  });
  yield* openPayload(dataKey, { recordId: seen.recordId, payloadId }, rest);
}

/** `start` and whatever `rest` still gives. */
export async function* rejoin(
  start: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (start.length > 0) yield start;
  for (;;) {
    const { done, value } = await rest.next();
    if (done === true) return;
    yield value;
  }
}

/** The attributes that a key file lists, as text: what its holder was told that it holds. */
export function attributesOf(keyFile: Uint8Array): readonly string[] {
  const { attributes } = (decoded(keyFile) ?? {}) as Record<string, unknown>;
  if (!Array.isArray(attributes) || !attributes.every((one): one is string => typeof one === 'string')) {
    throw new CodedError('cli.toolkit_file', 'expected a key file made by "hippocrypt abe"');
  }
  return attributes;
}

/** Whether attributes satisfy a policy, and which clause decides, in words. */
export function explain(policy: Policy, attributes: readonly string[]): { holds: boolean; text: string } {
  const held = attributes.map(parseAttribute);
  const labels = [...policyLabels(policy), ...held].map(({ label, issuer }) => ({
    label,
    shared: issuer === '',
  }));
  return explainPolicy(policy, held, registryFor(labels));
}

/**
 * Labels that the default registry lacks are taken for open text labels, shared or not as they are written: the toolkit
 * has no ledger that could declare them.
 */
function registryFor(labels: readonly { readonly label: string; readonly shared: boolean }[]): Registry {
  const specs = new Map(defaultRegistry().map((spec) => [spec.label, spec]));
  for (const { label, shared } of labels) {
    if (!specs.has(label) && label !== 'patient' && label !== 'consent') {
      specs.set(label, { label, type: 'text', ...(shared ? { shared } : {}) });
    }
  }
  return makeRegistry([...specs.values()]);
}

/** The value in a key file, or undefined where there is none. */
export function decoded(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch {
    return undefined;
  }
}

function readFile<T>(bytes: Uint8Array, kind: string, fields: readonly string[]): T {
  const value = decoded(bytes) as Record<string, unknown> | null | undefined;
  const good =
    value?.v === 1 && value.kind === kind && fields.every((field) => value[field] instanceof Uint8Array);
  if (!good) throw new CodedError('cli.toolkit_file', `expected a ${kind} file made by "hippocrypt abe"`);
  return value as T;
}

/** Magic, header and payload id from the front of a stream, and the stream behind them. */
export async function readHead(source: AsyncIterable<Uint8Array>): Promise<{
  header: Uint8Array;
  payloadId: Uint8Array;
  size: number;
  rest: AsyncGenerator<Uint8Array>;
}> {
  const iterator = source[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();
  const need = async (length: number): Promise<void> => {
    while (held.length < length) {
      const { done, value } = await iterator.next();
      if (done === true)
        throw new CodedError('cli.toolkit_file', 'expected a file sealed by "hippocrypt abe encrypt"');
      held = concat(held, value);
    }
  };
  await need(MAGIC.length + 4);
  if (!equalBytes(held.subarray(0, MAGIC.length), MAGIC)) {
    throw new CodedError('cli.toolkit_file', 'expected a file sealed by "hippocrypt abe encrypt"');
  }
  const size = readU32be(held, MAGIC.length);
  if (size > HEADER_BYTES_MAX) throw new CodedError('cli.toolkit_file', 'the header claims to be too long');
  const start = MAGIC.length + 4;
  await need(start + size + PAYLOAD_ID_BYTES);
  const header = held.slice(start, start + size);
  const payloadId = held.slice(start + size, start + size + PAYLOAD_ID_BYTES);
  const tail = held.slice(start + size + PAYLOAD_ID_BYTES);
  return { header, payloadId, size, rest: rejoin(tail, iterator) };
}
