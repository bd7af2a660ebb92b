/** The state machine reads nothing but its arguments: no clock, randomness, I/O or waiting stands in its files. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const FORBIDDEN: readonly RegExp[] = [
  /\bDate\b/,
  /\bMath\.random\b/,
  /\bperformance\b/,
  /\bcrypto\b/i,
  /\bPromise\b/,
  /\basync\b/,
  /\bawait\b/,
  /\bsetTimeout\b/,
  /\bfetch\b/,
  /\bprocess\b/,
  /\bglobalThis\b/,
  /\bimport\(/,
  /from 'node:/,
  /\btoLocale/,
  /\bIntl\b/,
];

/** Code without comments. */
const codeOf = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

describe('purity of the state machine', () => {
  for (const folder of ['machine', 'entries']) {
    const url = new URL(`../../../src/ledger/${folder}/`, import.meta.url);
    it.each(readdirSync(fileURLToPath(url)))(`${folder}/%s`, (file) => {
      const code = codeOf(readFileSync(new URL(file, url), 'utf8')).replaceAll('signature.ts', '');
      for (const pattern of FORBIDDEN) expect(code).not.toMatch(pattern);
    });
  }

  it('imports of the abe part are of the policy language alone', () => {
    const url = new URL('../../../src/ledger/', import.meta.url);
    for (const folder of ['machine', 'entries', 'engine']) {
      const files = readdirSync(new URL(`${folder}/`, url));
      for (const file of files) {
        const code = readFileSync(new URL(`${folder}/${file}`, url), 'utf8');
        for (const [, path] of code.matchAll(/from '(\.\.\/\.\.\/[^']+)'/g)) {
          expect(path, `${folder}/${file}`).toMatch(
            /^\.\.\/\.\.\/(codec\/[a-z-]+\.ts|abe\/policy\/index\.ts)$/,
          );
        }
      }
    }
  });
});
