/** SHA-256 under pbft-lite's own domain tags: SHA-256(u8 length of tag || tag || parts). */
import { createHash } from 'node:crypto';
import type { Hash } from './bytes.ts';

/** Every tag of pbft-lite; one purpose each. */
export const TAG = {
  header: 'pbft-lite/header/1',
  batch: 'pbft-lite/batch/1',
  certificate: 'pbft-lite/qc/1',
  validators: 'pbft-lite/validators/1',
  genesis: 'pbft-lite/genesis/1',
  viewChange: 'pbft-lite/view-change/1',
  hello: 'pbft-lite/hello/1',
  welcome: 'pbft-lite/welcome/1',
} as const;

/** The tagged hash of the concatenation of `parts`. */
export function tagged(tag: string, ...parts: readonly Uint8Array[]): Hash {
  const hash = createHash('sha256');
  hash.update(Uint8Array.of(tag.length));
  hash.update(tag, 'latin1');
  for (const part of parts) hash.update(part);
  return hash.digest('hex') as Hash;
}
