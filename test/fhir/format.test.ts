import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { custodianOf, FHIR_ERRORS, PURPOSE_CODES, SYSTEM } from '../../src/fhir/index.ts';
import { MEMBERS, read, text } from './shared.ts';

const DOCUMENT = readFileSync(new URL('../../docs/format/fhir.md', import.meta.url), 'utf8');

it('docs/format/fhir.md lists every error code with its meaning', () => {
  for (const [code, meaning] of Object.entries(FHIR_ERRORS))
    expect(DOCUMENT).toContain(`| \`${code}\` | ${meaning} |`);
});

it('docs/format/fhir.md shows the plaintext that this code cuts out', async () => {
  const [, source] = /Example: of\n\n {4}(.*)\n/.exec(DOCUMENT) ?? [];
  const [, length, slice] = /the plaintext is the (\d+) bytes `(.*)`\./.exec(DOCUMENT) ?? [];
  const { resources } = await read(source ?? '');
  expect(resources.map(({ bytes }) => [String(bytes.length), text(bytes)])).toEqual([[length, slice]]);
});

it('docs/format/fhir.md shows the custodian that this code chooses', () => {
  const [, identity, custodian] =
    /Example, over [a-z-, ]+: `(.*)` is kept by ([a-z-]+)\./.exec(DOCUMENT) ?? [];
  expect(custodianOf(identity ?? '', MEMBERS)).toBe(custodian);
});

it('docs/format/fhir.md lists the identifier systems and purposes', () => {
  for (const system of Object.values(SYSTEM)) expect(DOCUMENT).toContain(`| \`${system}\` |`);
  const words = DOCUMENT.replace(/\s+/g, ' ');
  for (const [purpose, [code]] of Object.entries(PURPOSE_CODES))
    expect(words).toContain(`${purpose} ${code}`);
});
