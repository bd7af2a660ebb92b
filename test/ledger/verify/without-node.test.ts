/** The verifier as a browser runs it: without node:crypto, on the audited JavaScript primitives alone. */
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';

vi.mock('../../../src/codec/node-crypto.ts', () => ({ nodeCrypto: undefined }));

const { fromHex } = await import('../../../src/codec/bytes.ts');
const { digest } = await import('../../../src/ledger/verify/digest.ts');
const { RegisteredKeys, readExport, verifyLedger, verifyReceipt } = await import(
  '../../../src/ledger/verify/index.ts'
);
const { nodeCrypto } = await import('../../../src/codec/node-crypto.ts');
const { consensus, makeChain } = await import('./chain.ts');

const golden = (name: string): string =>
  readFileSync(new URL(`../../golden/ledger/${name}`, import.meta.url), 'utf8');

test('golden receipts and exports verify, and a changed byte does not', async () => {
  expect(nodeCrypto).toBeUndefined();
  expect(Buffer.from(digest(new Uint8Array())).toString('hex')).toMatch(/^e3b0c442/);
  const { anchor } = await makeChain({ heights: 1 });
  const receipt = fromHex(golden('receipt.hex').trim());
  expect(verifyReceipt(receipt, anchor).ok).toBe(true);
  for (let at = 0; at < receipt.length; at += 61) {
    const bent = new Uint8Array(receipt);
    bent[at] ^= 1;
    expect(verifyReceipt(bent, anchor).ok, `byte ${at}`).toBe(false);
  }
  const tools = () => ({ consensus, signatures: new RegisteredKeys() });
  const lines = golden('export.ndjson').split('\n');
  expect(await verifyLedger(readExport(lines), anchor, tools())).toMatchObject({ ok: true, blocks: 4 });
  const bent = lines.map((line, i) => (i === 2 ? line.replace('"leaves":["p', '"leaves":["q') : line));
  expect(bent).not.toEqual(lines);
  expect((await verifyLedger(readExport(bent), anchor, tools())).ok).toBe(false);
});
