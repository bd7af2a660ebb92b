/** Length-prefixed frames on a byte stream: u32 big-endian length, then that many bytes. */
import { concat, readU32be, u32be } from './bytes.ts';
import { CodedError } from './errors.ts';

/** Largest frame a peer may send. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** `body` behind its length. */
export function encodeFrame(body: Uint8Array): Uint8Array {
  if (body.length > FRAME_BYTES_MAX) {
    throw new CodedError('frame.too_large', `a frame holds at most ${FRAME_BYTES_MAX} bytes`);
  }
  return concat(u32be(body.length), body);
}

/** Cuts a byte stream into frames. The length is checked before anything is buffered for it. */
export class FrameDecoder {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #buffered = 0;

  constructor(bytesMax: number = FRAME_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Every frame that `chunk` completes. Throws `frame.too_large`; the stream is then to be closed. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const frames: Uint8Array[] = [];
    while (this.#buffered >= 4) {
      const head = this.#peek(4);
      const length = readU32be(head, 0);
      if (length > this.#bytesMax) {
        throw new CodedError('frame.too_large', `expected a frame of at most ${this.#bytesMax} bytes`);
      }
      if (this.#buffered < 4 + length) break;
      frames.push(this.#take(4 + length).subarray(4));
    }
    return frames;
  }

  #peek(length: number): Uint8Array {
    if (this.#chunks[0].length < length) this.#chunks = [concat(...this.#chunks)];
    return this.#chunks[0].subarray(0, length);
  }

  #take(length: number): Uint8Array {
    if (this.#chunks[0].length < length) this.#chunks = [concat(...this.#chunks)];
    const first = this.#chunks[0];
    const taken = first.subarray(0, length);
    if (first.length === length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(length);
    this.#buffered -= length;
    return taken;
  }
}
