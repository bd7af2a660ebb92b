import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const text = readFileSync(join(ROOT, 'docs/attacks.md'), 'utf8');
/** The rows of the tables that begin with an attack. */
const rows = text
  .split('\n\n')
  .filter((block) => block.startsWith('| attack |'))
  .flatMap((block) => block.split('\n').slice(2))
  .filter((line) => line.startsWith('| '));
const CLAIM = /\]\(\.\.\/(test\/[^)]+\.ts)\) "([^"]+)"/g;

/** A name as a source file may break and escape it. */
const plain = (source: string): string => source.replaceAll(/\\(['"`])/g, '$1').replaceAll(/\s+/g, ' ');

describe('docs/attacks.md', () => {
  test('has rows, and each names a test', () => {
    expect(rows.length).toBeGreaterThan(30);
    expect(rows.filter((row) => [...row.matchAll(CLAIM)].length === 0)).toEqual([]);
  });

  test('names only tests that are there', () => {
    const missing: string[] = [];
    for (const [, path, name] of text.matchAll(CLAIM)) {
      const file = join(ROOT, path);
      if (!existsSync(file) || !plain(readFileSync(file, 'utf8')).includes(name))
        missing.push(`${path}: ${name}`);
    }
    expect(missing).toEqual([]);
  });
});
