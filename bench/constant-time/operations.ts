/**
 * Every operation on a secret that the product makes, and what is claimed of its time:
 *
 * - `constant`: the time must not depend on the secret; an alarm fails the command.
 * - `varies`: it may, and `why` says what bounds the harm.
 * - `control`: known to vary. If no difference is seen the measurement is blind, which fails the command too.
 *
 * Operations on public values alone (policies, Lagrange weights, checks of parts) are not here; docs/constant-time.md
 * names them.
 */
import { randomBytes } from 'node:crypto';
import sodium from 'libsodium-wrappers-sumo';
import { evaluate, reduceSecret, scalarFromBytes } from '../../src/abe/group/scalar.ts';
import {
  attributeLeaf,
  type DecryptionKey,
  type Group,
  issueKeyPart,
  makeRegistry,
  openAuthority,
  openGroup,
  parsePolicy,
} from '../../src/abe/index.ts';
import {
  compileHeader,
  decryptionSums,
  decryptRaw,
  deriveExponents,
  deriveRandomness,
  encryptRaw,
  keyGenRaw,
  reduceWide,
  scalarToBytes,
} from '../../src/abe/internal.ts';
import { gcmOpen, gcmSeal } from '../../src/codec/aead.ts';
import { constantTimeEqual, equalBytes, utf8 } from '../../src/codec/bytes.ts';
import { hmacSha256, sha256 } from '../../src/codec/hash.ts';
import { hpkeKeyPair, hpkeSeal } from '../../src/codec/hpke.ts';
import { ed25519Signer } from '../../src/codec/signature.ts';
import { blindKeywords } from '../../src/search/voprf.ts';
import { type LeakTestResult, leakTest } from './leak-test.ts';

export type Claim = 'constant' | 'varies' | 'control';

export interface SecretOperation {
  readonly op: string;
  readonly claim: Claim;
  readonly why: string;
  readonly measure: (budgetMs: number) => Promise<LeakTestResult>;
}

interface Described<T> {
  readonly op: string;
  readonly claim: Claim;
  readonly why: string;
  /** The secret, in the form that `run` takes, from 64 uniform bytes. */
  readonly make: (seed: Uint8Array) => T | Promise<T>;
  /** The fixed secret, where another than a random one shows more. */
  readonly fixed?: () => T;
  readonly run: (secret: T) => unknown;
}

const draw = (n: number): Uint8Array => new Uint8Array(randomBytes(n));
/** Uniform bytes that depend on `seed` alone. */
function seededFrom(seed: Uint8Array): (n: number) => Uint8Array {
  let count = 0;
  return (n) => {
    const out = new Uint8Array(n);
    for (let at = 0; at < n; at += 32) out.set(sha256(seed, Uint8Array.of(count++)).subarray(0, n - at), at);
    return out;
  };
}

/** One operation, ready to be measured. */
export function operation<T>({ op, claim, why, make, fixed, run }: Described<T>): SecretOperation {
  const seed = draw(64);
  return {
    op,
    claim,
    why,
    measure: (budgetMs) =>
      leakTest({
        fixed: () => (fixed === undefined ? make(seed) : fixed()),
        random: () => make(draw(64)),
        run,
        budgetMs,
      }),
  };
}

const scalar = (seed: Uint8Array): Uint8Array => scalarToBytes(reduceWide(seed));
/** The scalar that shows most: almost all of its windows are alike, and a multiplication that skips has nothing to do. */
const one = (): Uint8Array => scalarToBytes(1n);

const AUTHORITY = 'an authority, for whoever asks it';
const HEADER = "one header's randomness, on the machine that has the plaintext";
const HOLDER = "the holder's own key, on its own machine; one error and no timing goes to the sealer";
const CEREMONY = "once a ceremony, on the member's own machine, before anybody can ask for anything";

/** All operations over a fresh set of bases. */
export async function secretOperations(): Promise<readonly SecretOperation[]> {
  const group = await openGroup('mcl');
  await sodium.ready;
  return [
    ...issuing(group),
    ...symmetric(),
    ...(await asymmetric()),
    ...sealing(group),
    ...opening(group),
    ...ceremony(group),
    ...(await controls(group)),
  ];
}

function issuing(group: Group): SecretOperation[] {
  const cold = group.mulG1(group.g1, 12345n);
  const hot = group.hashToG1(utf8('hot'));
  group.prepare(hot);
  const leaves = ['a', 'b', 'c'].map((value) => attributeLeaf('h', 'x', value));
  const keyId = draw(32);
  return [
    operation({
      op: 'multiply in G1, base with a table',
      claim: 'constant',
      why: AUTHORITY,
      make: scalar,
      fixed: one,
      run: (k) => group.mulSecretG1(hot, k),
    }),
    operation({
      op: 'multiply in G1, base without a table',
      claim: 'constant',
      why: AUTHORITY,
      make: scalar,
      fixed: one,
      run: (k) => group.mulSecretG1(cold, k),
    }),
    operation({
      op: 'multiply in G2',
      claim: 'constant',
      why: AUTHORITY,
      make: scalar,
      fixed: one,
      run: (k) => group.mulSecretG2(group.g2, k),
    }),
    operation({
      op: 'reduce to r_i',
      claim: 'constant',
      why: AUTHORITY,
      make: (seed) => seed,
      fixed: () => new Uint8Array(64),
      run: reduceSecret,
    }),
    operation({
      op: 'issue a part of 3 attributes: seed and share',
      claim: 'constant',
      why: AUTHORITY,
      make: (seed) =>
        openAuthority(group, {
          authority: 1,
          shareEpoch: 0,
          mpkHash: keyId,
          alpha: scalar(seed),
          seed: seed.slice(32),
        }),
      run: (authority) => issueKeyPart(authority, { keyId, generation: 1, leaves }),
    }),
    operation({
      op: 'read a share: range check',
      claim: 'varies',
      why: 'once a start of the authority; compares with the public order, in bigint',
      make: scalar,
      run: scalarFromBytes,
    }),
  ];
}

function symmetric(): SecretOperation[] {
  const message = draw(4096);
  const nonce = new Uint8Array(12);
  const wanted = draw(32);
  return [
    operation({
      op: 'compare 32 secret bytes: equal against random',
      claim: 'constant',
      why: 'commitments of wrapped keys, K, c1 and c2 of a header',
      make: (seed) => seed.slice(0, 32),
      fixed: () => wanted.slice(),
      run: (bytes) => constantTimeEqual(bytes, wanted),
    }),
    operation({
      op: 'HMAC-SHA-256: key',
      claim: 'constant',
      why: 'OpenSSL; every derivation of a key',
      make: (seed) => seed.slice(0, 32),
      run: (key) => hmacSha256(key, message),
    }),
    operation({
      op: 'AES-256-GCM, open 4 KiB: key',
      claim: 'constant',
      why: 'OpenSSL; payloads, wrapped keys, keystores',
      make: (seed) => {
        const key = seed.slice(0, 32);
        return { key, sealed: gcmSeal(key, nonce, nonce, message) };
      },
      run: ({ key, sealed }) => gcmOpen(key, nonce, nonce, sealed),
    }),
  ];
}

async function asymmetric(): Promise<SecretOperation[]> {
  const message = draw(256);
  const keyword = draw(24);
  const element = sodium.crypto_core_ristretto255_from_hash(draw(64));
  const info = utf8('info');
  return [
    operation({
      op: 'Ed25519, sign: key',
      claim: 'constant',
      why: 'OpenSSL; requests, votes, cosignatures',
      make: (seed) => ed25519Signer(seed.slice(0, 32)),
      run: (signer) => signer.sign(message),
    }),
    operation({
      op: 'HPKE, open: key',
      claim: 'constant',
      why: 'WebCrypto over OpenSSL (X25519, HKDF, AES-GCM); parts, keywords, sub-shares',
      make: async (seed) => {
        const pair = await hpkeKeyPair(seed.slice(0, 32));
        return { pair, sealed: await hpkeSeal(pair.publicKey, info, message) };
      },
      run: ({ pair, sealed }) => pair.open(info, sealed),
    }),
    operation({
      op: 'OPRF, evaluate: key of a field',
      claim: 'constant',
      why: 'libsodium in WebAssembly; an indexer, for every new keyword of its index',
      // ristretto255 scalars: below 2^252, little-endian.
      make: (seed) => seed.slice(0, 32).map((byte, i) => (i === 31 ? byte & 0x0f : byte)),
      run: (key) => sodium.crypto_scalarmult_ristretto255(key, element),
    }),
    operation({
      op: 'OPRF, blind a keyword: client',
      claim: 'varies',
      why: 'noble, bigint; a fresh blind each time, on the client',
      make: (seed) => seed,
      run: (seed) => blindKeywords([keyword], seededFrom(seed)),
    }),
  ];
}

const REGISTRY = makeRegistry([{ label: 'x', type: 'text' }]);

function sealing(group: Group): SecretOperation[] {
  const E = group.powGT(group.gt, 7n);
  group.prepare(E);
  const context = draw(32);
  const compiled = compileHeader(parsePolicy('h/x:a and h/x:b'), REGISTRY, {
    recordId: draw(32),
    version: 1,
    gate: 'record',
    emergency: false,
    epoch: undefined,
  });
  return [
    operation({
      op: 'seal: s and s prime from m',
      claim: 'varies',
      why: HEADER,
      make: (seed) => seed.slice(0, 32),
      run: (m) => deriveExponents(m, context, 1),
    }),
    operation({
      op: 'seal: c1 = g2^s',
      claim: 'varies',
      why: HEADER,
      make: reduceWide,
      run: (s) => group.mulG2(group.g2, s),
    }),
    operation({
      op: 'seal: K = E^s',
      claim: 'varies',
      why: HEADER,
      make: reduceWide,
      run: (s) => group.powGT(E, s),
    }),
    operation({
      op: 'seal: all of an AND of 2 with its gate',
      claim: 'varies',
      why: HEADER,
      make: (seed) => deriveRandomness(seed.slice(0, 32), context, compiled.tau, compiled.columns),
      run: (randomness) => encryptRaw(group, compiled, randomness),
    }),
  ];
}

function opening(group: Group): SecretOperation[] {
  const compiled = compileHeader(parsePolicy('h/x:a and h/x:b'), REGISTRY, {
    recordId: draw(32),
    version: 1,
    gate: 'none',
    emergency: false,
    epoch: undefined,
  });
  const leaves = compiled.rows.map(({ leaf }) => leaf);
  const g1Alpha = group.mulG1(group.g1, reduceWide(draw(64)));
  const { c1, c2, c3 } = encryptRaw(
    group,
    compiled,
    deriveRandomness(draw(32), draw(32), 1, compiled.columns),
  );
  const used = compiled.rows.map((_, index) => ({ index, coefficient: 1n }));
  const decrypt = (key: Pick<DecryptionKey, 'k1' | 'k3' | 'leaves'>): unknown => {
    const sums = decryptionSums(group, compiled, used, key.leaves, (i) => c3[i]);
    if (sums === undefined) throw new Error('the key has both leaves');
    return group.encodeGT(decryptRaw(group, key, sums, c1, (j) => c2[j - 1]));
  };
  return [
    operation({
      op: 'open: pairings with a key',
      claim: 'varies',
      why: HOLDER,
      make: (seed) => keyGenRaw(group, g1Alpha, reduceWide(seed), leaves),
      run: decrypt,
    }),
  ];
}

function ceremony(group: Group): SecretOperation[] {
  return [
    operation({
      op: 'ceremony: a share of a polynomial',
      claim: 'varies',
      why: CEREMONY,
      make: (seed) => [1, 2, 3].map((i) => reduceWide(seededFrom(seed)(64 * i).subarray(64 * (i - 1)))),
      run: (polynomial) => evaluate(polynomial, 4n),
    }),
    operation({
      op: 'ceremony: commit to a coefficient in GT',
      claim: 'varies',
      why: CEREMONY,
      make: reduceWide,
      run: (a) => group.powGT(group.gt, a),
    }),
  ];
}

async function controls(group: Group): Promise<SecretOperation[]> {
  const noble = await openGroup('noble');
  const hot = group.hashToG1(utf8('control'));
  group.prepare(hot);
  const zeros = new Uint8Array(4096);
  return [
    operation({
      op: 'the reference backend: multiply in G1',
      claim: 'varies',
      why: 'noble, bigint: for tests and as a fallback; an authority does not run on it',
      make: scalar,
      run: (k) => noble.mulSecretG1(noble.g1, k),
    }),
    operation({
      op: 'control: multiply in G1 for public scalars',
      claim: 'control',
      why: 'reads the entries that the scalar names',
      make: reduceWide,
      run: (k) => group.mulG1(hot, k),
    }),
    operation({
      op: 'control: compare public bytes',
      claim: 'control',
      why: 'ends at the first that differs',
      make: (seed) => new Uint8Array(4096).fill(seed[0]),
      fixed: () => zeros.slice(),
      run: (bytes) => equalBytes(bytes, zeros),
    }),
  ];
}
