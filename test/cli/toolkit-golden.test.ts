/** The toolkit's files, byte for byte from fixed randomness, and read back from the stored bytes alone. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openGroup } from '../../src/abe/index.ts';
import { decrypt, encrypt, keygen, setup } from '../../src/cli/toolkit.ts';
import { concat, fromHex, fromUtf8, toHex, utf8 } from '../../src/codec/bytes.ts';
import { seeded } from '../abe/fixtures.ts';

const FILE = new URL('../golden/abe/toolkit-v1.json', import.meta.url);
const POLICY = 'mercy/role:doctor and (mercy/ward:icu or study:x)';

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return concat(...chunks);
}

async function written(): Promise<Record<string, string>> {
  const group = await openGroup();
  const { master, publicKey } = setup(group, seeded('toolkit setup'));
  const key = keygen(group, master, ['mercy/role:doctor', 'study:x'], seeded('toolkit key'));
  const sealed = await all(encrypt(group, publicKey, POLICY, once(utf8('a letter')), seeded('toolkit seal')));
  return { master: toHex(master), 'public key': toHex(publicKey), key: toHex(key), sealed: toHex(sealed) };
}

// A golden file is written when there is none, and looked at before it is committed; never again.
if (process.env.GOLDEN_WRITE === '1' && !existsSync(FILE)) {
  writeFileSync(FILE, `${JSON.stringify(await written(), null, 1)}\n`);
}
const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>;

describe('files of the offline toolkit, version 1', () => {
  it('are written as they were', async () => {
    expect(await written()).toEqual(golden);
  });

  it('are read as they were written', async () => {
    const group = await openGroup();
    const opened = await all(
      decrypt(group, fromHex(golden.key), once(fromHex(golden.sealed)), seeded('reading')),
    );
    expect(fromUtf8(opened)).toBe('a letter');
    const other = keygen(group, fromHex(golden.master), ['study:x'], seeded('another key'));
    await expect(all(decrypt(group, other, once(fromHex(golden.sealed)), seeded('r')))).rejects.toThrow(
      /mercy\/role:doctor fails: you have no mercy\/role/,
    );
  });
});
