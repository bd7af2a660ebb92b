/** Domain separation is only as good as its list: each tag stands once in the sources and is named in the formats. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
/** The verifier shares no code with the consensus library, whose tags it therefore repeats. */
const SECOND_IMPLEMENTATION = 'src/ledger/verify/pbft-lite.ts';

function files(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

function tags(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of files('src', '.ts')) {
    if (file === SECOND_IMPLEMENTATION) continue;
    for (const [, tag] of readFileSync(join(ROOT, file), 'utf8').matchAll(
      /'((?:hippocrypt|pbft-lite|sli)\/[A-Za-z0-9/-]+)'/g,
    ))
      found.set(tag, [...(found.get(tag) ?? []), file]);
  }
  return found;
}

it('writes each domain tag once', () => {
  const all = tags();
  expect(all.size).toBeGreaterThan(50);
  expect([...all].filter(([, places]) => places.length > 1)).toEqual([]);
});

it('names each domain tag in the formats', () => {
  const text = files('docs', '.md')
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n');
  expect([...tags().keys()].filter((tag) => !text.includes(tag))).toEqual([]);
});
