/**
 * Frames of the member link: u32 length, then channel, kind, request id and body. The length is checked before
 * anything is buffered for it.
 */
import { ConsensusError } from '../errors.ts';

/** Bytes after the length that are not body. */
const HEAD_BYTES = 6;
/** Largest body of a frame. */
export const FRAME_BODY_MAX = 16 * 1024 * 1024;

/** `message` expects nothing; `request` is answered by one `response` or `failure` of the same id. */
export const FRAME_KIND = { message: 0, request: 1, response: 2, failure: 3, ping: 4 } as const;
export type FrameKind = keyof typeof FRAME_KIND;
const KINDS: readonly FrameKind[] = ['message', 'request', 'response', 'failure', 'ping'];

export interface Frame {
  /** Position in the link's list of channels. */
  readonly channel: number;
  readonly kind: FrameKind;
  readonly id: number;
  readonly body: Uint8Array;
}

/** Bytes of a frame before its body. */
const PREFIX_BYTES = 4 + HEAD_BYTES;
/** Frames are gathered in buffers of this size. */
const GATHER_BYTES = 64 * 1024;
/** A body from this length on is handed over as it is. */
const OWN_BODY_BYTES = 16 * 1024;

/** Frames on their way into a stream: small ones are copied once, into one buffer, long ones not at all. */
export class FrameWriter {
  #buffer = Buffer.alloc(0);
  /** What of the buffer is gathered and not taken yet. */
  #from = 0;
  #to = 0;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Appends a frame, whose body is not written into any more. Throws `consensus.frame_too_large`. */
  push(frame: Frame): void {
    const { body } = frame;
    if (body.length > FRAME_BODY_MAX) {
      throw new ConsensusError(
        'consensus.frame_too_large',
        `expected a body of at most ${FRAME_BODY_MAX} bytes`,
      );
    }
    const isOwn = body.length >= OWN_BODY_BYTES;
    const at = this.#room(isOwn ? PREFIX_BYTES : PREFIX_BYTES + body.length);
    this.#buffer.writeUInt32BE(HEAD_BYTES + body.length, at);
    this.#buffer.writeUInt8(frame.channel, at + 4);
    this.#buffer.writeUInt8(FRAME_KIND[frame.kind], at + 5);
    this.#buffer.writeUInt32BE(frame.id, at + 6);
    if (isOwn) {
      this.#gathered();
      this.#parts.push(body);
    } else {
      this.#buffer.set(body, at + PREFIX_BYTES);
    }
    this.#length += PREFIX_BYTES + body.length;
  }

  /** All that waits, in order, as few pieces of bytes that nobody writes into any more. */
  take(): Uint8Array[] {
    this.#gathered();
    const parts = this.#parts;
    this.#parts = [];
    this.#length = 0;
    return parts;
  }

  #room(count: number): number {
    if (this.#to + count > this.#buffer.length) {
      this.#gathered();
      this.#buffer = Buffer.allocUnsafeSlow(GATHER_BYTES);
      this.#from = 0;
      this.#to = 0;
    }
    const at = this.#to;
    this.#to += count;
    return at;
  }

  #gathered(): void {
    if (this.#to > this.#from) this.#parts.push(this.#buffer.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #buffered = 0;

  /** Frames completed by `chunk`. After a throw the stream is to be closed. */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const frames: Frame[] = [];
    while (this.#buffered >= 4) {
      const length = this.#nextLength();
      if (length < HEAD_BYTES || length > HEAD_BYTES + FRAME_BODY_MAX) {
        throw new ConsensusError(
          'consensus.frame_too_large',
          `expected a frame of ${HEAD_BYTES} bytes to 16 MiB, got ${length}`,
        );
      }
      if (this.#buffered < 4 + length) break;
      frames.push(this.#parse(this.#take(4 + length)));
    }
    return frames;
  }

  #parse(bytes: Buffer): Frame {
    const kind = KINDS[bytes.readUInt8(5)];
    if (kind === undefined)
      throw new ConsensusError('consensus.malformed', 'expected a frame kind of 0 to 4');
    const body = new Uint8Array(
      bytes.buffer,
      bytes.byteOffset + 4 + HEAD_BYTES,
      bytes.length - 4 - HEAD_BYTES,
    );
    return { channel: bytes.readUInt8(4), kind, id: bytes.readUInt32BE(6), body };
  }

  #nextLength(): number {
    // A chunk that ends inside a length is short: joined with the next one it costs next to nothing.
    while (this.#chunks[0].length < 4) this.#chunks.splice(0, 2, Buffer.concat(this.#chunks.slice(0, 2)));
    return this.#chunks[0].readUInt32BE(0);
  }

  /** The next `count` bytes, which are there: a view where they lie in one chunk, else joined, and nothing more than they. */
  #take(count: number): Buffer {
    this.#buffered -= count;
    const first = this.#chunks[0];
    if (first.length > count) {
      this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    if (first.length === count) {
      this.#chunks.shift();
      return first;
    }
    const out = Buffer.allocUnsafe(count);
    let filled = 0;
    let used = 0;
    while (filled < count) {
      const chunk = this.#chunks[used];
      const wanted = Math.min(chunk.length, count - filled);
      chunk.copy(out, filled, 0, wanted);
      filled += wanted;
      if (wanted === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(wanted);
    }
    this.#chunks.splice(0, used);
    return out;
  }
}
