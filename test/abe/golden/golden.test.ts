import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ABE_DOMAIN, HASH_TO_G1_DST } from '../../../src/abe/domains.ts';
import { openGroup } from '../../../src/abe/index.ts';
import { scene } from './scene.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const golden = JSON.parse(read('test/golden/abe/suite1.json')) as Record<string, string>;

describe('formats of suite 1', () => {
  test.each(['mcl', 'noble'] as const)('%s writes the golden bytes', async (backend) => {
    expect(scene(await openGroup(backend))).toEqual(golden);
  });

  const document = read('docs/format/abe.md');

  test('the examples of docs/format/abe.md are the golden bytes, cut where it says', () => {
    const examples = [...document.matchAll(/```hex ([a-z ]+)\n([0-9a-f .\n|]+)```/g)];
    expect(examples.map(([, name]) => name)).toEqual(['header', 'extension', 'payload']);
    for (const [, name, body] of examples) {
      expect(body.replaceAll(/[\s|]/g, ''), name).toBe(golden[name]);
    }
  });

  test('every domain tag is in docs/format/abe.md', () => {
    for (const tag of [HASH_TO_G1_DST, ...Object.values(ABE_DOMAIN)])
      expect(document).toContain(`\`${tag}\``);
  });
});
