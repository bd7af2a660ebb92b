/**
 * The write-ahead log on disk: preallocated segments of zeros, records framed by length and CRC-32C, group commit
 * by fdatasync (ledger-security rule 22). The CRC is seeded with segment number and offset, so that old bytes of a
 * recycled or copied segment are never taken for records. Layout in docs/format/consensus.md.
 *
 * Only an incomplete last record is dropped. A bad record with valid ones behind it, or a missing segment, makes the
 * log not whole: the node then observes (amnesia). A flushed last record lost to bit rot looks like a torn tail; the
 * answers of other validators catch that.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { join } from 'node:path';
import type { BootRecord, WalRecord } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import { asBuffer, Reader, Writer } from '../wire/bytes.ts';
import { crc32c } from './crc32c.ts';
import { decodeRecord, recordCapacity, writeRecord } from './record.ts';
import type { Wal, WalContents } from './wal.ts';

/** Size of a segment unless a record needs more. */
export const SEGMENT_BYTES = 4 * 1024 * 1024;
/** Length and checksum before each record. */
const FRAME_BYTES = 8;
/** Records begin at multiples of this, so that a search for survivors behind damage is exact. */
const ALIGN = 8;
const BOOT_FILE = 'boot';
/** What a segment is filled with before use. Never written into, so it takes no memory. */
const ZEROS = new Uint8Array(SEGMENT_BYTES);

interface Segment {
  readonly number: number;
  readonly size: number;
  highest: number;
}

function checksum(segment: number, offset: number, body: Uint8Array): number {
  const seed = crc32c(new Writer(12).u32(segment).u32(offset).u32(body.length).finish());
  return crc32c(body, seed);
}

function framedLength(bodyLength: number): number {
  return Math.ceil((FRAME_BYTES + bodyLength) / ALIGN) * ALIGN;
}

/** A record behind room for its frame, up to where the next one begins. */
function frameOf(record: WalRecord): { readonly bytes: Buffer; readonly body: Uint8Array } {
  const writer = new Writer(FRAME_BYTES + ALIGN + recordCapacity(record)).fixed(new Uint8Array(FRAME_BYTES));
  writeRecord(writer, record);
  const length = writer.length - FRAME_BYTES;
  writer.fixed(new Uint8Array(framedLength(length) - FRAME_BYTES - length));
  const bytes = asBuffer(writer.finish());
  return { bytes, body: bytes.subarray(FRAME_BYTES, FRAME_BYTES + length) };
}

/** Writes `bytes` at `position`, in as many calls as the system wants; throws when the disk refuses. */
function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

function segmentName(number: number): string {
  return `${number.toString(16).padStart(8, '0')}.wal`;
}

/** The record at `offset`, `end` for zeros to the end of the segment, `bad` otherwise. */
function readAt(bytes: Uint8Array, segment: number, offset: number): { body: Uint8Array } | 'end' | 'bad' {
  if (offset + FRAME_BYTES > bytes.length) return 'end';
  const view = asBuffer(bytes);
  const length = view.readUInt32BE(offset);
  if (length === 0) return isZero(bytes, offset) ? 'end' : 'bad';
  if (offset + FRAME_BYTES + length > bytes.length) return 'bad';
  const body = bytes.subarray(offset + FRAME_BYTES, offset + FRAME_BYTES + length);
  return view.readUInt32BE(offset + 4) === checksum(segment, offset, body) ? { body } : 'bad';
}

function isZero(bytes: Uint8Array, from: number): boolean {
  for (let i = from; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Where the zeros begin with which `bytes` end. */
function writtenEnd(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

/** Records of one segment, where the next one goes, and whether what follows is only a torn last record. */
function scan(
  bytes: Uint8Array,
  segment: number,
): { bodies: Uint8Array[]; end: number; clean: boolean; torn: boolean } {
  const bodies: Uint8Array[] = [];
  let offset = 0;
  for (;;) {
    const found = readAt(bytes, segment, offset);
    if (found === 'end') return { bodies, end: offset, clean: true, torn: false };
    if (found === 'bad') {
      // No record begins in the zeros that end a segment, nor with a length of zero.
      const end = writtenEnd(bytes);
      for (let later = offset + ALIGN; later < end; later += ALIGN) {
        if (asBuffer(bytes).readUInt32BE(later) === 0) continue;
        const other = readAt(bytes, segment, later);
        if (typeof other === 'object') return { bodies, end: offset, clean: false, torn: false };
      }
      return { bodies, end: offset, clean: false, torn: true };
    }
    bodies.push(found.body);
    offset += framedLength(found.body.length);
  }
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FileWal implements Wal {
  readonly contents: WalContents;
  readonly #directory: string;
  readonly #segmentBytes: number;
  #segments: Segment[] = [];
  #fd = -1;
  #retired: number[] = [];
  #offset = 0;
  #pending: Uint8Array[] = [];
  #pendingAt = 0;
  #waiters: Waiter[] = [];
  #flushing = false;
  #dirty = false;
  #failed: unknown;

  /** Opens or creates the log in `directory`. Throws `consensus.wal_failed` when the disk refuses. */
  constructor(directory: string, options: { readonly segmentBytes?: number } = {}) {
    this.#directory = directory;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    mkdirSync(directory, { recursive: true });
    this.contents = this.#recover();
  }

  #path(number: number): string {
    return join(this.#directory, segmentName(number));
  }

  #recover(): WalContents {
    const numbers = readdirSync(this.#directory)
      .filter((name) => /^[0-9a-f]{8}\.wal$/.test(name))
      .map((name) => Number.parseInt(name.slice(0, 8), 16))
      .sort((a, b) => a - b);
    const boot = this.#readBoot();
    let whole = boot !== undefined || numbers.length === 0;
    if (boot !== undefined && numbers.length === 0) whole = false;
    const records: WalRecord[] = [];
    numbers.forEach((number, i) => {
      const last = i === numbers.length - 1;
      const bytes = new Uint8Array(readFileSync(this.#path(number)));
      const found = scan(bytes, number);
      if (i > 0 && numbers[i - 1] !== number - 1) whole = false;
      if (!found.clean && last && found.torn) this.#dropTail(number, found.end, bytes.length);
      else if (!found.clean) whole = false;
      let highest = 0;
      for (const body of found.bodies) {
        const record = decodeRecord(body);
        highest = Math.max(highest, record.height);
        records.push(record);
      }
      this.#segments.push({ number, size: bytes.length, highest });
    });
    return { boot, whole, records };
  }

  /** Zeros over an incomplete last record, so that the next start finds a clean end. */
  #dropTail(number: number, from: number, to: number): void {
    const fd = openSync(this.#path(number), 'r+');
    writeSync(fd, new Uint8Array(to - from), 0, to - from, from);
    fsyncSync(fd);
    closeSync(fd);
  }

  #readBoot(): BootRecord | undefined {
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(readFileSync(join(this.#directory, BOOT_FILE)));
    } catch {
      return undefined;
    }
    if (bytes.length !== 16) return undefined;
    const reader = new Reader(bytes);
    const boot = reader.u32();
    const voteFrom = reader.u64();
    return reader.u32() === crc32c(bytes.subarray(0, 12)) ? { boot, voteFrom } : undefined;
  }

  writeBoot(boot: BootRecord): void {
    const body = new Writer(16).u32(boot.boot).u64(boot.voteFrom).finish();
    const path = join(this.#directory, BOOT_FILE);
    const fd = openSync(`${path}.new`, 'w');
    writeSync(fd, new Writer(16).fixed(body).u32(crc32c(body)).finish());
    fsyncSync(fd);
    closeSync(fd);
    renameSync(`${path}.new`, path);
    this.#syncDirectory();
  }

  #syncDirectory(): void {
    const fd = openSync(this.#directory, 'r');
    fsyncSync(fd);
    closeSync(fd);
  }

  /** Preallocating with zeros halves the cost of a flush: no size changes with it. Throws when the disk has no room for all of it. */
  #create(number: number, size: number): void {
    if (this.#fd >= 0) this.#retired.push(this.#fd);
    if (!this.#flushing) this.#closeRetired();
    this.#fd = openSync(this.#path(number), 'w+');
    for (let at = 0; at < size; at += ZEROS.length) writeAll(this.#fd, ZEROS.subarray(0, size - at), at);
    fsyncSync(this.#fd);
    this.#syncDirectory();
    this.#segments.push({ number, size, highest: 0 });
    this.#offset = 0;
    this.#pendingAt = 0;
  }

  /** A segment that is full stays open while a flush of it may still be under way. */
  #closeRetired(): void {
    for (const fd of this.#retired) closeSync(fd);
    this.#retired = [];
  }

  append(record: WalRecord): void {
    this.#check();
    const framed = frameOf(record);
    const { body } = framed;
    const size = framed.bytes.length;
    // Writing begins in a new segment, so records that recovery has read are never written over; and only now, so
    // that an empty log is not taken for a whole one before the boot file says what this start knows.
    if (this.#fd < 0)
      this.#create((this.#segments.at(-1)?.number ?? 0) + 1, Math.max(this.#segmentBytes, size));
    let segment = this.#current();
    if (this.#offset + size > segment.size) {
      this.#writePending();
      fdatasyncSync(this.#fd);
      this.#create(segment.number + 1, Math.max(this.#segmentBytes, size));
      segment = this.#current();
    }
    const { bytes } = framed;
    bytes.writeUInt32BE(body.length, 0);
    bytes.writeUInt32BE(checksum(segment.number, this.#offset, body), 4);
    this.#pending.push(bytes);
    this.#offset += size;
    segment.highest = Math.max(segment.highest, record.height);
  }

  #current(): Segment {
    const segment = this.#segments.at(-1);
    if (segment === undefined) throw new ConsensusError('consensus.wal_failed', 'the log has no segment');
    return segment;
  }

  #check(): void {
    if (this.#failed !== undefined) {
      throw new ConsensusError('consensus.wal_failed', 'the log failed before; the process must end', {
        cause: this.#failed,
      });
    }
  }

  #writePending(): void {
    const records = this.#pending;
    if (records.length === 0) return;
    this.#pending = [];
    const length = records.reduce((sum, record) => sum + record.length, 0);
    const written = writevSync(this.#fd, records, this.#pendingAt);
    if (written < length) {
      writeAll(this.#fd, Buffer.concat(records).subarray(written), this.#pendingAt + written);
    }
    this.#pendingAt += length;
    this.#dirty = true;
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (!this.#flushing) this.#flushOnce();
    });
  }

  /** One write and one fdatasync for everybody who waits; those who come meanwhile share the next. */
  #flushOnce(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#flushing = true;
    const finish = (error: unknown): void => {
      this.#flushing = false;
      this.#closeRetired();
      if (error) this.#failed = error;
      for (const waiter of waiters) {
        if (error)
          waiter.reject(
            new ConsensusError('consensus.wal_failed', 'the disk refused a flush', { cause: error }),
          );
        else waiter.resolve();
      }
      if (this.#waiters.length > 0) this.#flushOnce();
    };
    try {
      this.#check();
      this.#writePending();
    } catch (error) {
      queueMicrotask(() => finish(error));
      return;
    }
    if (!this.#dirty) {
      queueMicrotask(() => finish(undefined));
      return;
    }
    this.#dirty = false;
    fdatasync(this.#fd, finish);
  }

  truncateBelow(height: number): void {
    while (this.#segments.length > 1 && this.#segments[0].highest <= height) {
      const [oldest] = this.#segments.splice(0, 1);
      unlinkSync(this.#path(oldest.number));
    }
  }

  async close(): Promise<void> {
    await this.flush();
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
