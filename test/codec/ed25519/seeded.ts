/** Bytes and numbers for the tests of Ed25519, the lowest byte first. */
import { createHash } from 'node:crypto';

/** A stream of bytes from a seed. */
export function seededBytes(seed: string): (count: number) => Uint8Array {
  let counter = 0;
  return (count) => {
    const out = new Uint8Array(count);
    for (let at = 0; at < count; at += 64) {
      const block = createHash('sha512').update(`${seed} ${counter++}`).digest();
      out.set(block.subarray(0, Math.min(64, count - at)), at);
    }
    return out;
  };
}

export const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);

export const bytesOf = (value: bigint, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
