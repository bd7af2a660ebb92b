/** The same bytes without node:crypto: what a browser computes, with @noble in its place. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test, vi } from 'vitest';

vi.mock('../../../src/codec/node-crypto.ts', () => ({ nodeCrypto: undefined }));

describe('without node:crypto', () => {
  let golden: unknown;
  beforeAll(() => {
    golden = JSON.parse(readFileSync(new URL('../../golden/abe/suite1.json', import.meta.url), 'utf8'));
  });

  test('mcl writes the golden bytes', async () => {
    const { nodeCrypto } = await import('../../../src/codec/node-crypto.ts');
    expect(nodeCrypto).toBeUndefined();
    const { openGroup } = await import('../../../src/abe/index.ts');
    const { scene } = await import('./scene.ts');
    expect(scene(await openGroup('mcl'))).toEqual(golden);
  });
});
