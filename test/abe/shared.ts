/** Vectors that live beside the repository, not in it. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

const folder = resolve(
  process.env.HIPPOCRYPT_SHARED ?? resolve(import.meta.dirname, '../../../shared'),
  'vectors',
);

/** Why tests over vectors do not run, or undefined when they do. */
export const noVectors: string | undefined = existsSync(folder)
  ? undefined
  : 'skipped: no vectors (set HIPPOCRYPT_SHARED)';
if (noVectors !== undefined) console.warn(noVectors);

/** The bytes of a vector file; .gz files come unpacked. */
export function vectorBytes(path: string): Uint8Array {
  const bytes = readFileSync(resolve(folder, path));
  return new Uint8Array(path.endsWith('.gz') ? gunzipSync(bytes) : bytes);
}

export function vectorJson(path: string): unknown {
  return JSON.parse(new TextDecoder().decode(vectorBytes(path)));
}
