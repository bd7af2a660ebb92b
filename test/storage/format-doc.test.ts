/** docs/format/storage.md is read by these tests: what it shows is what the code writes. */
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8 } from '../../src/codec/bytes.ts';
import { openEmbeddedStore, replicasFor, STORAGE_ERRORS } from '../../src/storage/index.ts';
import { bundleBlock } from '../../src/storage/kubo/pins.ts';
import { parseCid } from '../../src/storage/payload/cid.ts';
import { openErasable } from '../../src/storage/secrets/erasable.ts';
import { closing, collectBytes, temporaryDirectory } from './support.ts';

const doc = readFileSync(new URL('../../docs/format/storage.md', import.meta.url), 'utf8');
const indented = [...doc.matchAll(/^ {4}([0-9a-z]{40,})$/gm)].map(([, text]) => text);
const [cid, key, car, sealed, bundle] = indented;

describe('docs/format/storage.md', () => {
  test('the object of the example has the CID, the key and the CAR that it shows', async () => {
    const store = closing(openEmbeddedStore(temporaryDirectory()));
    const stored = await store.put(utf8('hello world'));
    expect(stored.cid).toBe(cid);
    expect(toHex(await collectBytes(store.exportCar([stored.cid])))).toBe(car);
    expect(car.endsWith(toHex(utf8('hello world')))).toBe(true);
    expect(car).toContain(key);
  });

  test('the sealed row of the example is what the store writes, and opens by the rule that it states', async () => {
    const rowKey = new Uint8Array(32).fill(2);
    const random = (n: number) => new Uint8Array(n).fill(1);
    const store = closing(await openErasable(temporaryDirectory(), { random }));
    await store.put([{ key: rowKey, bytes: utf8('header'), pepper: new Uint8Array() }]);
    expect(toHex(store.env.get('sealed', rowKey) ?? new Uint8Array())).toBe(sealed);

    const sealingKey = hkdfSync('sha256', random(32), rowKey, 'hippocrypt/erasable/1', 32);
    const decipher = createDecipheriv('aes-256-gcm', new Uint8Array(sealingKey), new Uint8Array(12));
    const bytes = fromHex(sealed);
    decipher.setAAD(rowKey).setAuthTag(bytes.subarray(-16));
    const opened = Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]);
    expect(opened.toString()).toBe('header');
  });

  test('the replicas of the example are those that every node computes', () => {
    const replicas = replicasFor(cid, ['north', 'south', 'east', 'west'], 2);
    expect(doc).toContain(`    ${replicas.join(', ')}\n`);
  });

  test('the bundle of the example is what a bulk import would pin', () => {
    expect(bundleBlock([parseCid(cid)]).cid.toString()).toBe(bundle);
  });

  test('every code that storage throws has a meaning in the table', () => {
    const folder = new URL('../../src/storage/', import.meta.url);
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && name !== 'errors.ts',
    );
    const thrown = sources.flatMap((name) =>
      [...readFileSync(new URL(name, folder), 'utf8').matchAll(/'(storage\.[a-z_]+)'/g)].map(
        ([, code]) => code,
      ),
    );
    expect(new Set(thrown).size).toBeGreaterThan(20);
    for (const code of thrown) expect(STORAGE_ERRORS).toHaveProperty([code]);
    for (const code of Object.keys(STORAGE_ERRORS)) expect(thrown).toContain(code);
  });
});

test('docs/storage.md lists exactly the claims that both payload stores are held to', () => {
  const table = readFileSync(new URL('../../docs/storage.md', import.meta.url), 'utf8');
  const listed = [...table.matchAll(/^\| (.+?) \| holds \| holds \|$/gm)].map(([, claim]) => claim);
  const contract = readFileSync(new URL('payload-contract.ts', import.meta.url), 'utf8');
  const claims = [...contract.matchAll(/^ {4}test\('([^']+)'/gm)].map(([, claim]) => claim);
  expect(claims.length).toBeGreaterThan(10);
  expect(listed).toEqual(claims);
});
