import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  chunkOpener,
  chunkRange,
  dataKeyCommitment,
  openPayload,
  openPayloadBytes,
  PREAMBLE_BYTES,
  SEALED_CHUNK_BYTES,
  sealedSize,
  sealPayload,
  sealPayloadBytes,
} from '../../../src/abe/index.ts';
import { concat, equalBytes } from '../../../src/codec/bytes.ts';
import { id, seeded } from '../fixtures.ts';

const dataKey = id('data key');
const name = { recordId: id('record'), payloadId: id('payload').subarray(0, 16) };
const seal = (plaintext: Uint8Array) =>
  sealPayloadBytes(dataKey, { ...name, random: seeded('nonce') }, plaintext);
const rejected = expect.objectContaining({ code: 'abe.payload_rejected' });

/** `bytes` in pieces of the lengths given, the rest in one. */
function* pieces(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let offset = 0;
  for (const length of lengths) {
    yield bytes.subarray(offset, offset + length);
    offset = Math.min(bytes.length, offset + length);
  }
  yield bytes.subarray(offset);
}
async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(...parts);
}

const LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];

describe('a sealed payload', () => {
  test.each(LENGTHS)(
    'of %i bytes opens to the same bytes, whole or streamed, and has the size foretold',
    async (n) => {
      const plaintext = seeded('text')(n);
      const sealed = seal(plaintext);
      expect(sealed.length).toBe(sealedSize(n));
      expect(equalBytes(openPayloadBytes(dataKey, name, sealed), plaintext)).toBe(true);
      const lengths = [1, 5, 60, 70_000, 1];
      const opened = await collect(openPayload(dataKey, name, pieces(sealed, lengths)));
      expect(equalBytes(opened, plaintext)).toBe(true);
      const options = { ...name, random: seeded('nonce') };
      const streamed = await collect(sealPayload(dataKey, options, pieces(plaintext, lengths)));
      expect(equalBytes(streamed, sealed)).toBe(true);
    },
  );

  test('opens chunk by chunk for ranges', () => {
    const plaintext = seeded('text')(2 * CHUNK_BYTES + 100);
    const sealed = seal(plaintext);
    const opener = chunkOpener(dataKey, name, sealed.subarray(0, PREAMBLE_BYTES));
    const { start, end, isLast } = chunkRange(sealed.length, 1);
    expect(isLast).toBe(false);
    expect(opener.open(sealed.subarray(start, end), 1, isLast)).toEqual(
      plaintext.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES),
    );
    expect(() => chunkRange(sealed.length, 3)).toThrow(rejected);
  });

  test('is refused when one bit differs anywhere', () => {
    const sealed = seal(seeded('text')(CHUNK_BYTES + 10));
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.nat(7), (at, bit) => {
        const damaged = sealed.slice();
        damaged[at] ^= 1 << bit;
        expect(() => openPayloadBytes(dataKey, name, damaged)).toThrow(rejected);
      }),
      { numRuns: 60, seed: 1 },
    );
    for (let at = 0; at < PREAMBLE_BYTES; at++) {
      const damaged = sealed.slice();
      damaged[at] ^= 1;
      expect(() => openPayloadBytes(dataKey, name, damaged)).toThrow(rejected);
    }
  });

  test('is refused when cut, reordered, repeated or spliced, streamed or whole', async () => {
    const sealed = seal(seeded('text')(3 * CHUNK_BYTES));
    const other = sealPayloadBytes(
      dataKey,
      { ...name, random: seeded('other') },
      seeded('text')(3 * CHUNK_BYTES),
    );
    const head = sealed.subarray(0, PREAMBLE_BYTES);
    const chunk = (bytes: Uint8Array, i: number) =>
      bytes.subarray(PREAMBLE_BYTES + i * SEALED_CHUNK_BYTES, PREAMBLE_BYTES + (i + 1) * SEALED_CHUNK_BYTES);
    const damaged: Record<string, Uint8Array> = {
      'cut at a chunk': concat(head, chunk(sealed, 0), chunk(sealed, 1)),
      'cut inside a chunk': sealed.subarray(0, sealed.length - 1),
      'only the preamble': head,
      'half a preamble': head.subarray(0, 20),
      empty: new Uint8Array(),
      reordered: concat(head, chunk(sealed, 1), chunk(sealed, 0), chunk(sealed, 2)),
      repeated: concat(head, chunk(sealed, 0), chunk(sealed, 0), chunk(sealed, 1), chunk(sealed, 2)),
      spliced: concat(head, chunk(sealed, 0), chunk(other, 1), chunk(sealed, 2)),
      longer: concat(sealed, chunk(sealed, 2)),
    };
    for (const bytes of Object.values(damaged)) {
      expect(() => openPayloadBytes(dataKey, name, bytes)).toThrow(rejected);
      await expect(collect(openPayload(dataKey, name, [bytes]))).rejects.toEqual(rejected);
    }
  });

  test('is bound to its record, its payload id and its key', () => {
    const sealed = seal(seeded('text')(10));
    expect(() => openPayloadBytes(id('another key'), name, sealed)).toThrow(rejected);
    expect(() => openPayloadBytes(dataKey, { ...name, recordId: id('other') }, sealed)).toThrow(rejected);
    expect(() => openPayloadBytes(dataKey, { ...name, payloadId: id('x').subarray(0, 16) }, sealed)).toThrow(
      rejected,
    );
    expect(dataKeyCommitment(dataKey, name.payloadId)).toEqual(
      sealed.subarray(PREAMBLE_BYTES - 32, PREAMBLE_BYTES),
    );
  });

  test('is streamed with a few chunks in memory', async () => {
    const block = seeded('block')(CHUNK_BYTES);
    let given = 0;
    let taken = 0;
    let ahead = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 200; i++) {
        given += block.length;
        ahead = Math.max(ahead, given - taken);
        yield block;
      }
    }
    const sealed = sealPayload(dataKey, { ...name, random: seeded('nonce') }, source());
    for await (const part of openPayload(dataKey, name, sealed)) taken += part.length;
    expect(taken).toBe(200 * CHUNK_BYTES);
    expect(ahead).toBeLessThanOrEqual(4 * CHUNK_BYTES);
  });
});
