/** Deterministic bytes for tests and for the processes that tests start. */
import { createCipheriv, createHash } from 'node:crypto';

/**
 * The first `size` bytes of the ChaCha20 key stream under SHA-256(seed) with counter and nonce zero, in chunks of
 * `chunk` bytes: the stream of the published UnixFS vectors.
 */
export function* chachaStream(seed: string, size: number, chunk = 65536): Generator<Uint8Array> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('chacha20', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(chunk);
  for (let left = size; left > 0; left -= chunk) {
    const bytes = cipher.update(left < chunk ? zeros.subarray(0, left) : zeros);
    yield new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

export function seededBytes(seed: string, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  for (const chunk of chachaStream(seed, size)) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

/** A deterministic stand-in for a random source. */
export function seededRandom(seed: string): (n: number) => Uint8Array {
  let calls = 0;
  return (n) => seededBytes(`${seed}/${calls++}`, n);
}

/** What the crash test's child stores in round `i`: one to five blocks. */
export function crashObject(seed: string, i: number): Uint8Array {
  const [high, low] = seededBytes(`${seed}/${i}/size`, 2);
  return seededBytes(`${seed}/${i}`, 300_000 + (high * 256 + low) * 60);
}
