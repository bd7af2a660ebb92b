import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../src/abe/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

test('src/abe is pure: no clock, no ambient randomness, nothing of Node, imports from codec and itself only', () => {
  expect(files.length).toBeGreaterThan(30);
  for (const file of files) {
    const source = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    expect(source, file).not.toMatch(
      /Date\.now|new Date|Math\.random|getRandomValues|setTimeout|process\.|Buffer\b/,
    );
    for (const [, from] of source.matchAll(/from '([^']+)'/g)) {
      const allowed =
        /^(\.{1,2}\/|@noble\/curves\/|mcl-wasm\/)/.test(from) &&
        !/^(\.\.\/)+(?!codec)(api|node|ledger|search|storage|client|authority|consensus)/.test(from);
      expect(allowed, `${file} imports ${from}`).toBe(true);
    }
  }
});
