import { describe, expect, test } from 'vitest';
import { GCM_TAG_BYTES, gcmOpen, gcmSeal } from '../../../src/codec/aead.ts';
import { concat, fromHex, toHex } from '../../../src/codec/bytes.ts';
import { hkdfSha256 } from '../../../src/codec/hash.ts';
import { noVectors, vectorJson } from '../shared.ts';

interface GcmFile {
  readonly testGroups: readonly {
    readonly keySize: number;
    readonly ivSize: number;
    readonly tagSize: number;
    readonly tests: readonly {
      readonly tcId: number;
      readonly key: string;
      readonly iv: string;
      readonly aad: string;
      readonly msg: string;
      readonly ct: string;
      readonly tag: string;
      readonly result: 'valid' | 'invalid';
    }[];
  }[];
}
interface HkdfFile {
  readonly testGroups: readonly {
    readonly tests: readonly {
      readonly tcId: number;
      readonly ikm: string;
      readonly salt: string;
      readonly info: string;
      readonly size: number;
      readonly okm: string;
      readonly result: 'valid' | 'invalid';
    }[];
  }[];
}

describe.skipIf(noVectors !== undefined)(`Wycheproof${noVectors ? ` (${noVectors})` : ''}`, () => {
  test('AES-256-GCM with 96-bit nonces and 128-bit tags', () => {
    const { testGroups } = vectorJson('wycheproof/aes_gcm_test.json.gz') as GcmFile;
    const groups = testGroups.filter((g) => g.keySize === 256 && g.ivSize === 96 && g.tagSize === 128);
    let count = 0;
    for (const vector of groups.flatMap((g) => g.tests)) {
      const [key, iv, aad] = [fromHex(vector.key), fromHex(vector.iv), fromHex(vector.aad)];
      const sealed = concat(fromHex(vector.ct), fromHex(vector.tag));
      count++;
      if (vector.result === 'valid') {
        expect(toHex(gcmSeal(key, iv, aad, fromHex(vector.msg))), `case ${vector.tcId}`).toBe(toHex(sealed));
        expect(toHex(gcmOpen(key, iv, aad, sealed)), `case ${vector.tcId}`).toBe(vector.msg);
      } else {
        expect(() => gcmOpen(key, iv, aad, sealed), `case ${vector.tcId}`).toThrow(
          expect.objectContaining({ code: 'aead.rejected' }),
        );
      }
    }
    expect(count).toBeGreaterThan(50);
    expect(GCM_TAG_BYTES).toBe(16);
  });

  test('HKDF-SHA-256', () => {
    const { testGroups } = vectorJson('wycheproof/hkdf_sha256_test.json.gz') as HkdfFile;
    let count = 0;
    for (const vector of testGroups.flatMap((g) => g.tests)) {
      const derive = () =>
        toHex(hkdfSha256(fromHex(vector.ikm), fromHex(vector.salt), fromHex(vector.info), vector.size));
      count++;
      if (vector.result === 'valid') expect(derive(), `case ${vector.tcId}`).toBe(vector.okm);
      else expect(derive, `case ${vector.tcId}`).toThrow();
    }
    expect(count).toBeGreaterThan(50);
  });
});
