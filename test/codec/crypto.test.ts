import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { fromHex, utf8 } from '../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../src/codec/cbor.ts';
import { encodeFrame, FrameDecoder } from '../../src/codec/frames.ts';
import { hpkeKeyPair, hpkeSeal } from '../../src/codec/hpke.ts';
import { checkPublicKey, ed25519Signer, verifySignature } from '../../src/codec/signature.ts';

describe('canonical dag-cbor', () => {
  it.each([
    ['keys out of order', 'a2616201616102'],
    ['a duplicate key', 'a2616101616102'],
    ['an integer longer than needed', '1801'],
    ['an indefinite length', '9f01ff'],
    ['trailing bytes', '0102'],
    ['a half float', 'f93c00'],
    ['undefined', 'f7'],
    ['nothing', ''],
  ])('refuses %s', (_, hex) => {
    expect(() => decodeCbor(fromHex(hex))).toThrow(expect.objectContaining({ code: 'cbor.malformed' }));
  });

  it('refuses more than the bound and a nesting that would exhaust the stack', () => {
    expect(() => decodeCbor(encodeCbor('abcd'), 4)).toThrow(
      expect.objectContaining({ code: 'cbor.too_large' }),
    );
    expect(decodeCbor(encodeCbor('abc'), 4)).toBe('abc');
    const deep = new Uint8Array(1_000_000).fill(0x81);
    expect(() => decodeCbor(deep)).toThrow(expect.objectContaining({ code: 'cbor.malformed' }));
  });

  it('decodes to what was encoded', () => {
    const value = { b: [1, -2, 'x'], a: new Uint8Array([1, 2]), c: null, d: true };
    expect(decodeCbor(encodeCbor(value))).toEqual(value);
  });
});

describe('frames', () => {
  it('come out whole however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 7 }),
        (bodies, cut) => {
          const stream = Buffer.concat(bodies.map(encodeFrame));
          const decoder = new FrameDecoder();
          const out: Uint8Array[] = [];
          for (let i = 0; i < stream.length; i += cut)
            out.push(...decoder.push(new Uint8Array(stream.subarray(i, i + cut))));
          expect(out.map((frame) => Buffer.from(frame))).toEqual(bodies.map((body) => Buffer.from(body)));
        },
      ),
    );
  });

  it('refuse a length over the bound before any body is buffered', () => {
    expect(() => new FrameDecoder(3).push(fromHex('00000004'))).toThrow(
      expect.objectContaining({ code: 'frame.too_large' }),
    );
    expect(new FrameDecoder(3).push(fromHex('00000003aabbcc'))).toHaveLength(1);
  });
});

describe('HPKE', () => {
  it('opens for the receiver under the same info only', async () => {
    const pair = await hpkeKeyPair(new Uint8Array(32).fill(1));
    const other = await hpkeKeyPair(new Uint8Array(32).fill(2));
    const sealed = await hpkeSeal(pair.publicKey, utf8('part'), utf8('secret'));
    expect(await pair.open(utf8('part'), sealed)).toEqual(utf8('secret'));
    const rejected = expect.objectContaining({ code: 'hpke.rejected' });
    await expect(pair.open(utf8('gate'), sealed)).rejects.toThrow(rejected);
    await expect(other.open(utf8('part'), sealed)).rejects.toThrow(rejected);
    await expect(pair.open(utf8('part'), sealed.subarray(0, 20))).rejects.toThrow(rejected);
    sealed[40] ^= 1;
    await expect(pair.open(utf8('part'), sealed)).rejects.toThrow(rejected);
  });
});

describe('signatures', () => {
  const signer = ed25519Signer(new Uint8Array(32).fill(3));

  it('verify for key, message and bytes as signed', () => {
    const signature = signer.sign(utf8('m'));
    expect(verifySignature(signer.publicKey, utf8('m'), signature)).toBe(true);
    expect(verifySignature(signer.publicKey, utf8('n'), signature)).toBe(false);
    expect(verifySignature(signer.publicKey, utf8('m'), signature.slice(1))).toBe(false);
  });

  it.each([
    ['the identity', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['a point of order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['a non-canonical encoding', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ])('a key that is %s cannot be registered', (_, hex) => {
    expect(() => checkPublicKey({ alg: 'ed25519', key: fromHex(hex) })).toThrow(
      expect.objectContaining({ code: 'signature.bad_key' }),
    );
  });

  it('an honest key can', () => {
    expect(() => checkPublicKey(signer.publicKey)).not.toThrow();
  });
});

describe('the browser branch', () => {
  it('gives the bytes that node:crypto gives', async () => {
    const native = {
      hash: await import('../../src/codec/hash.ts'),
      aead: await import('../../src/codec/aead.ts'),
      signature: await import('../../src/codec/signature.ts'),
    };
    vi.resetModules();
    vi.doMock('../../src/codec/node-crypto.ts', () => ({ nodeCrypto: undefined }));
    const browser = {
      hash: await import('../../src/codec/hash.ts'),
      aead: await import('../../src/codec/aead.ts'),
      signature: await import('../../src/codec/signature.ts'),
    };
    vi.doUnmock('../../src/codec/node-crypto.ts');
    const key = new Uint8Array(32).fill(9);
    const data = utf8('the same bytes');
    expect(browser.hash.sha256(data)).toEqual(native.hash.sha256(data));
    expect(browser.hash.sha512(data)).toEqual(native.hash.sha512(data));
    expect(browser.hash.hmacSha256(key, data)).toEqual(native.hash.hmacSha256(key, data));
    expect(browser.hash.hmacSha512(key, data)).toEqual(native.hash.hmacSha512(key, data));
    expect(browser.hash.hkdfSha256(key, data, 'i', 77)).toEqual(native.hash.hkdfSha256(key, data, 'i', 77));
    const nonce = new Uint8Array(12).fill(1);
    const sealed = native.aead.gcmSeal(key, nonce, data, data);
    expect(browser.aead.gcmSeal(key, nonce, data, data)).toEqual(sealed);
    expect(browser.aead.gcmOpen(key, nonce, data, sealed)).toEqual(data);
    const iv = new Uint8Array(16);
    expect(browser.aead.ctrXor(key, iv, data)).toEqual(native.aead.ctrXor(key, iv, data));
    const signature = native.signature.ed25519Signer(key).sign(data);
    expect(browser.signature.ed25519Signer(key).sign(data)).toEqual(signature);
    expect(
      browser.signature.verifySignature(native.signature.ed25519Signer(key).publicKey, data, signature),
    ).toBe(true);
  });

  it('takes the same P-256 signatures', async () => {
    const native = await import('../../src/codec/signature.ts');
    vi.resetModules();
    vi.doMock('../../src/codec/node-crypto.ts', () => ({ nodeCrypto: undefined }));
    const browser = await import('../../src/codec/signature.ts');
    vi.doUnmock('../../src/codec/node-crypto.ts');
    const seed = new Uint8Array(32).fill(7);
    const key = p256.getPublicKey(seed, true);
    const order = p256.Point.Fn.ORDER;
    const number = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0'));
    const asNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
    const accepted: boolean[] = [];
    const both = (point: Uint8Array, message: Uint8Array, signature: Uint8Array): void => {
      const taken = native.verifySignature({ alg: 'p256', key: point }, message, signature);
      expect(browser.verifySignature({ alg: 'p256', key: point }, message, signature)).toBe(taken);
      accepted.push(taken);
    };
    for (let i = 0; i < 12; i++) {
      const message = utf8(`message ${i}`);
      const good = p256.sign(message, seed, { lowS: true });
      const [r, s] = [good.slice(0, 32), good.slice(32)];
      both(key, message, good);
      both(key, utf8('another'), good);
      // s with its sign turned is as good a signature to ECDSA, and refused here.
      both(key, message, Uint8Array.from([...r, ...number(order - asNumber(s))]));
      both(key, message, Uint8Array.from([...new Uint8Array(32), ...s]));
      both(key, message, Uint8Array.from([...r, ...new Uint8Array(32)]));
      both(key, message, Uint8Array.from([...number(order), ...s]));
      both(
        key,
        message,
        good.map((byte, at) => (at === 5 * i ? byte ^ 1 : byte)),
      );
      both(Uint8Array.from([5 - key[0], ...key.slice(1)]), message, good);
      both(Uint8Array.from([4, ...key.slice(1)]), message, good);
      both(Uint8Array.from([2, ...new Uint8Array(32).fill(255)]), message, good);
      both(key.slice(1), message, good);
    }
    expect(accepted.filter(Boolean)).toHaveLength(12);
  });
});
