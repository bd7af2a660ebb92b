import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { WalRecord } from '../../src/consensus/core/types.ts';
import { FileWal } from '../../src/consensus/index.ts';
import { crc32c } from '../../src/consensus/wal/crc32c.ts';
import { SEGMENT_BYTES } from '../../src/consensus/wal/file.ts';
import { decodeRecord, encodeRecord } from '../../src/consensus/wal/record.ts';
import { type Hash, SIGNATURE_BYTES } from '../../src/consensus/wire/bytes.ts';

const directory = (): string => mkdtempSync(join(tmpdir(), 'pbft-wal-'));

/** A small record that differs by height. */
function record(height: number, votes = 3): WalRecord {
  const signature = new Uint8Array(SIGNATURE_BYTES).fill(height & 255);
  return {
    kind: 'decided',
    height,
    qc: {
      epoch: 0,
      height,
      view: 0,
      headerHash: 'ab'.repeat(32) as Hash,
      votes: Array.from({ length: votes }, (_, sender) => ({ sender, signature })),
    },
  };
}

const heights = (records: readonly WalRecord[]): number[] => records.map(({ height }) => height);

function segments(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.wal'))
    .sort()
    .map((name) => join(dir, name));
}

async function written(dir: string, count: number, segmentBytes = 1 << 16): Promise<void> {
  const wal = new FileWal(dir, { segmentBytes });
  wal.writeBoot({ boot: 1, voteFrom: 0 });
  for (let height = 1; height <= count; height++) wal.append(record(height));
  await wal.close();
}

function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Bytes of one framed record as written above. */
const USED = 8 + encodeRecord(record(1)).length;
const FRAME = Math.ceil(USED / 8) * 8;

describe('write-ahead log', () => {
  test('CRC-32C gives the check value of RFC 3720', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  test('a start finds what was flushed, in order, and the boot number', async () => {
    const dir = directory();
    await written(dir, 10);
    const { contents } = new FileWal(dir);
    expect(contents.whole).toBe(true);
    expect(contents.boot).toEqual({ boot: 1, voteFrom: 0 });
    expect(heights(contents.records)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(contents.records[4]).toEqual(record(5));
  });

  test('overlapping flushes share the disk and all resolve', async () => {
    const wal = new FileWal(directory());
    const flushes = Array.from({ length: 50 }, (_, i) => {
      wal.append(record(i + 1));
      return wal.flush();
    });
    await Promise.all(flushes);
    await wal.close();
  });

  test('segments roll over, and those below a durable height are removed', async () => {
    const dir = directory();
    const wal = new FileWal(dir, { segmentBytes: 1024 });
    wal.writeBoot({ boot: 1, voteFrom: 0 });
    for (let height = 1; height <= 40; height++) {
      wal.append(record(height));
      await wal.flush();
    }
    expect(segments(dir).length).toBeGreaterThan(8);
    wal.truncateBelow(30);
    expect(segments(dir).length).toBeLessThan(6);
    await wal.close();
    const { contents } = new FileWal(dir, { segmentBytes: 1024 });
    expect(contents.whole).toBe(true);
    expect(heights(contents.records)).toEqual(
      expect.arrayContaining([31, 32, 33, 34, 35, 36, 37, 38, 39, 40]),
    );
  });

  test.each([1, 4, 9, USED - 1])(
    'an incomplete last record of %i bytes is dropped and the log stays whole',
    async (kept) => {
      const dir = directory();
      await written(dir, 5);
      const [path] = segments(dir);
      overwrite(path, 4 * FRAME + kept, new Uint8Array(FRAME - kept));
      const { contents } = new FileWal(dir);
      expect(contents.whole).toBe(true);
      expect(heights(contents.records)).toEqual([1, 2, 3, 4]);
      const again = new FileWal(dir).contents;
      expect(again.whole).toBe(true);
      expect(heights(again.records)).toEqual([1, 2, 3, 4]);
    },
  );

  test('a torn last record before the zeros of a whole segment costs a start no time', async () => {
    const dir = directory();
    await written(dir, 3, SEGMENT_BYTES);
    overwrite(segments(dir)[0], 2 * FRAME + 20, new Uint8Array([0xff]));
    const before = process.cpuUsage();
    const { contents } = new FileWal(dir);
    const { user, system } = process.cpuUsage(before);
    expect(contents.whole).toBe(true);
    expect(heights(contents.records)).toEqual([1, 2]);
    // Looking at each place to the end of the segment took minutes.
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });

  test('a bad record with valid ones behind it is amnesia, not a shorter log', async () => {
    const dir = directory();
    await written(dir, 5);
    const [path] = segments(dir);
    overwrite(path, 2 * FRAME + 20, Uint8Array.of(0xff));
    expect(new FileWal(dir).contents.whole).toBe(false);
  });

  test('a missing segment, a missing boot file and a missing log beside a boot file are amnesia', async () => {
    const dir = directory();
    await written(dir, 40, 1024);
    unlinkSync(segments(dir)[1]);
    expect(new FileWal(dir, { segmentBytes: 1024 }).contents.whole).toBe(false);
    const other = directory();
    await written(other, 2);
    unlinkSync(join(other, 'boot'));
    expect(new FileWal(other).contents.whole).toBe(false);
    const third = directory();
    await written(third, 2);
    for (const path of segments(third)) unlinkSync(path);
    expect(new FileWal(third).contents.whole).toBe(false);
  });

  test('records of another segment copied into place are not taken for records', async () => {
    const dir = directory();
    await written(dir, 40, 1024);
    const [first, second] = segments(dir);
    writeFileSync(second, readFileSync(first));
    const { contents } = new FileWal(dir, { segmentBytes: 1024 });
    const perSegment = Math.floor(1024 / FRAME);
    expect(heights(contents.records)).not.toContain(perSegment + 1);
    expect(heights(contents.records).filter((height) => height === 1).length).toBe(1);
  });

  test('a record above the size of a segment gets a segment of its own', async () => {
    const dir = directory();
    const wal = new FileWal(dir, { segmentBytes: 1024 });
    wal.writeBoot({ boot: 1, voteFrom: 0 });
    wal.append(record(1, 60));
    await wal.close();
    expect(new FileWal(dir, { segmentBytes: 1024 }).contents.records).toEqual([record(1, 60)]);
  });

  test('records round-trip and trailing bytes are refused', () => {
    expect(decodeRecord(encodeRecord(record(7)))).toEqual(record(7));
    expect(() => decodeRecord(Buffer.concat([encodeRecord(record(7)), Buffer.of(0)]))).toThrow(/trailing/);
  });
});
