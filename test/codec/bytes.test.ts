import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareBytes,
  constantTimeEqual,
  fromBase64url,
  fromHex,
  fromUtf8,
  readU32be,
  toBase64url,
  toHex,
  u32be,
  u64be,
} from '../../src/codec/bytes.ts';

const bytes = fc.uint8Array({ maxLength: 200 });

describe('byte text forms', () => {
  it('base64url is RFC 4648 section 5 without padding: equal to the platform, and its inverse', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = toBase64url(value);
        expect(text).toBe(Buffer.from(value).toString('base64url'));
        expect(fromBase64url(text)).toEqual(value);
      }),
    );
  });

  it.each(['A', 'AA==', 'AB', 'A+AA', 'A/AA', 'AAB'])(
    'base64url refuses the non-canonical form %s',
    (text) => {
      expect(() => fromBase64url(text)).toThrow(expect.objectContaining({ code: 'bytes.not_base64url' }));
    },
  );

  it('hexadecimal is lower-case only and its own inverse', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(fromHex(toHex(value))).toEqual(value);
      }),
    );
    expect(() => fromHex('AB')).toThrow(expect.objectContaining({ code: 'bytes.not_hex' }));
    expect(() => fromHex('abc')).toThrow(expect.objectContaining({ code: 'bytes.not_hex' }));
    expect(() => fromHex('ab', 2)).toThrow(expect.objectContaining({ code: 'bytes.length' }));
  });

  it('malformed UTF-8 is an error, never a replacement character', () => {
    expect(() => fromUtf8(Uint8Array.of(0xc3, 0x28))).toThrow(
      expect.objectContaining({ code: 'bytes.not_utf8' }),
    );
  });

  it('integers are big-endian and refuse what does not fit', () => {
    expect(toHex(u32be(0x01020304))).toBe('01020304');
    expect(readU32be(u32be(0xffffffff), 0)).toBe(0xffffffff);
    expect(toHex(u64be(2 ** 40 + 5))).toBe('0000010000000005');
    expect(() => u32be(2 ** 32)).toThrow(RangeError);
    expect(() => u64be(2 ** 53)).toThrow(RangeError);
  });

  it('order is that of unsigned bytes, shorter first', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(Buffer.compare(a, b)));
        expect(constantTimeEqual(a, b)).toBe(Buffer.compare(a, b) === 0);
      }),
    );
  });
});
