/** docs/entries.md against the code: its example, its kinds, its state keys, its codes. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { ed25519Signer, verifySignature } from '../../../src/codec/signature.ts';
import {
  decodeLeaf,
  decodeRequest,
  ENTRY_TYPES,
  encodeLeaf,
  encodeRequest,
  entryId,
  REFUSALS,
  RIGHTS,
  STATE,
  signTransaction,
} from '../../../src/ledger/index.ts';

const TEXT = readFileSync(new URL('../../../docs/entries.md', import.meta.url), 'utf8');

/** The named hexadecimal values of the example; a value goes on over indented lines. */
function exampleValues(): Readonly<Record<string, string>> {
  const [, block] = /## Example[\s\S]*?```\n([\s\S]*?)```/.exec(TEXT) ?? [];
  const values: Record<string, string> = {};
  for (const [, name, value] of (block ?? '').matchAll(/^(\w+) +((?:[0-9a-f]+\s+)+)/gm)) {
    values[name] = value.replace(/\s/g, '');
  }
  return values;
}

describe('docs/entries.md', () => {
  it('its example is what the code makes', () => {
    const { seed, tx, id, sig, request, leaf, entry } = exampleValues();
    const signer = ed25519Signer(fromHex(seed));
    const signed = signTransaction(signer, {
      chainId: 'example',
      type: 'ConsentRevoke',
      subject: fromHex('00112233445566778899aabbccddeeff'),
      keyIx: 0,
      nonce: fromHex('0f'.repeat(16)),
      expiresAt: 1_767_225_660_000,
      body: { consent: fromHex('ab'.repeat(32)) },
    });
    expect(toHex(signed.tx)).toBe(tx);
    expect(toHex(signed.sig)).toBe(sig);
    expect(toHex(encodeRequest(signed))).toBe(request);
    const parsed = decodeRequest(fromHex(request));
    expect(toHex(parsed.id)).toBe(id);
    expect(verifySignature(signer.publicKey, parsed.message, signed.sig)).toBe(true);
    const made = {
      height: 7,
      index: 42,
      time: 1_767_225_600_000,
      tx: signed.tx,
      item: 0,
      result: { generation: 1 },
    };
    expect(toHex(encodeLeaf(made))).toBe(leaf);
    expect(decodeLeaf(fromHex(leaf))).toEqual(made);
    expect(toHex(entryId(fromHex(leaf)))).toBe(entry);
  });

  it('describes every kind and every right', () => {
    for (const type of ENTRY_TYPES) {
      expect(TEXT, type).toMatch(new RegExp(`^### (?:.* and )?${type} — |^### .* and ${type} — `, 'm'));
    }
    for (const right of RIGHTS) expect(TEXT, right).toMatch(new RegExp(`^\\| ${right} \\|`, 'm'));
  });

  it('lists every state key', () => {
    const listed = [...TEXT.matchAll(/^\| `([a-z-]+)(?:\/[^`]*)?` \|/gm)].map(([, name]) => name);
    const made = Object.values(STATE).map((key) => {
      const text = typeof key === 'string' ? key : (key as (...parts: unknown[]) => string)('', '', '');
      return text.split('/')[0];
    });
    expect([...new Set(made)].sort()).toEqual([...new Set(listed)].sort());
  });

  it('names no refusal that the code does not know', () => {
    const other = /^(?:policy|entry|tx\.too_large|signature|leaf)\b/;
    const codes = [...TEXT.matchAll(/`([a-z_]+\.[a-z_]+)`/g)].map(([, code]) => code);
    for (const code of codes.filter((one) => !other.test(one))) expect(REFUSALS).toHaveProperty([code]);
  });
});
