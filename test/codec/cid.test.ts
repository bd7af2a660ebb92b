/** CIDs of streams: the same as of the bytes at once, whatever the pieces. */
import { describe, expect, it } from 'vitest';
import { cidOf, type Measure, measured } from '../../src/codec/cid.ts';

const MIB = 1024 * 1024;

function bytes(length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >> 11)) & 0xff;
  return out;
}

async function* pieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

describe('the CID of a stream', () => {
  it.each([0, 1, 65_613, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 7])(
    'of %i bytes is that of the bytes, and the bytes pass unchanged',
    async (length) => {
      const content = bytes(length);
      for (const size of [61_003, MIB, 2 * MIB + 1]) {
        let seen: Measure | undefined;
        const passed = [];
        for await (const chunk of measured(pieces(content, size), (measure) => {
          seen = measure;
        }))
          passed.push(chunk);
        expect(Buffer.concat(passed).equals(content)).toBe(true);
        expect(seen).toEqual({ cid: await cidOf(content), size: length });
      }
    },
  );

  it('is not told to whoever stops early, or when the source fails', async () => {
    let told = 0;
    for await (const _ of measured(pieces(bytes(3 * MIB), MIB), () => told++)) break;
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield bytes(10);
      throw new Error('the disk went away');
    }
    const run = async (): Promise<void> => {
      for await (const _ of measured(failing(), () => told++));
    };
    await expect(run()).rejects.toThrow('the disk went away');
    expect(told).toBe(0);
  });
});
