/** Without node:crypto, as in a browser, every byte is the same and a query reads what an indexer in Node sealed. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { toHex } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';
import * as node from '../../src/search/index.ts';
import { CLIENT_KEY, Custodian, REGISTRY, seededRandom } from './support.ts';

type Search = typeof node;
let browser: Search;
const host = process as { getBuiltinModule?: unknown };
const builtin = host.getBuiltinModule;

beforeAll(async () => {
  host.getBuiltinModule = undefined;
  vi.resetModules();
  const { nodeCrypto } = await import('../../src/codec/node-crypto.ts');
  expect(nodeCrypto).toBeUndefined();
  browser = await import('../../src/search/index.ts');
});

afterAll(() => {
  host.getBuiltinModule = builtin;
});

describe('in a browser', () => {
  test('segments, secrets and blinded elements are those of Node', () => {
    const all = [node, browser].map((search) => {
      const secret = search.keywordSecret(new Uint8Array(64).fill(1), new Uint8Array(32).fill(2));
      const lists = [
        { secret, list: { ids: Uint32Array.from({ length: 1300 }, (_, i) => 9 * i), weights: null } },
        {
          secret: search.secretFromT(sha256(secret.t)),
          list: { ids: Uint32Array.of(3), weights: Uint8Array.of(7) },
        },
      ];
      const input = { lo: 0, hi: 12_000, level: 0, time: 0, epochs: [{ field: 'w', epoch: 0 }], lists };
      const { meta, file } = search.buildSegment(input, seededRandom('both'));
      const batch = search.blindKeywords([new Uint8Array(3)], seededRandom('both'));
      const manifest = search.encodeManifest({ custodian: 'mercy', seq: 1, segments: [meta] });
      return [file, manifest, search.manifestHash(manifest), search.hashBlinded(batch.elements)].map(toHex);
    });
    expect(all[0]).toEqual(all[1]);
  });

  test('a query answers from files that Node sealed, page by page', async () => {
    const custodian = new Custodian('mercy');
    for (let i = 0; i < 40; i++) {
      custodian.put([{ field: 'note', kind: 'text', text: i % 4 === 0 ? 'chest pain' : 'no pain' }]);
    }
    await custodian.flush();
    const index = custodian.index();
    const plan = browser.planQuery(browser.parseQuery('note:"pain chest" and not note:no'), REGISTRY);
    const result = await browser.runQuery({
      plan,
      unit: 'record',
      clientKey: CLIENT_KEY,
      custodians: [{ ...index, readerOf: (meta) => new browser.SegmentReader(meta, [custodian.store]) }],
      top: 3,
    });
    expect([...result.records[0].numbers]).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
    expect(result.ranked.map(({ indexNo }) => indexNo)).toEqual([36, 32, 28]);
  });
});
