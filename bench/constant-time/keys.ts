/** Secrets of authorities, keystores, indexers and signers. */
import sodium from 'libsodium-wrappers-sumo';
import { reduceSecret, scalarFromBytes } from '../../src/abe/group/scalar.ts';
import { attributeLeaf, type Group, issueKeyPart, openAuthority } from '../../src/abe/index.ts';
import { gcmOpen, gcmSeal } from '../../src/codec/aead.ts';
import { constantTimeEqual, utf8 } from '../../src/codec/bytes.ts';
import { hmacSha256 } from '../../src/codec/hash.ts';
import { hpkeKeyPair, hpkeSeal } from '../../src/codec/hpke.ts';
import { ed25519Signer } from '../../src/codec/signature.ts';
import { blindKeywords } from '../../src/search/voprf.ts';
import { draw, one, operation, type SecretOperation, scalar, seededFrom } from './operation.ts';

const AUTHORITY = 'an authority, for whoever asks it';

export function issuing(group: Group): SecretOperation[] {
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

export function symmetric(): SecretOperation[] {
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

export async function asymmetric(): Promise<SecretOperation[]> {
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
