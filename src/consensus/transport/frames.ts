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

/** Throws `consensus.frame_too_large`. */
export function encodeFrame(frame: Frame): Buffer {
  const length = HEAD_BYTES + frame.body.length;
  if (frame.body.length > FRAME_BODY_MAX) {
    throw new ConsensusError(
      'consensus.frame_too_large',
      `expected a body of at most ${FRAME_BODY_MAX} bytes`,
    );
  }
  const out = Buffer.allocUnsafe(4 + length);
  out.writeUInt32BE(length, 0);
  out.writeUInt8(frame.channel, 4);
  out.writeUInt8(FRAME_KIND[frame.kind], 5);
  out.writeUInt32BE(frame.id, 6);
  out.set(frame.body, 4 + HEAD_BYTES);
  return out;
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
      const length = this.#head(4).readUInt32BE(0);
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

  /** The first chunk, made at least `count` long. A long frame is joined once, when it is complete. */
  #head(count: number): Buffer {
    if (this.#chunks[0].length < count) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take(count: number): Buffer {
    const first = this.#head(count);
    this.#buffered -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
    return first.subarray(0, count);
  }
}
