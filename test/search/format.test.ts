/** docs/format/search.md says what the bytes are: its examples, and a segment sealed by an earlier version. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/codec/bytes.ts';
import { encodeCbor } from '../../src/codec/cbor.ts';
import {
  buildSegment,
  decodeFieldRegistry,
  decodeFieldSpec,
  decodeKeyword,
  decodeManifest,
  deriveFieldKeyPair,
  encodeFieldRegistry,
  encodeFieldSpec,
  encodeKeyword,
  encodeManifest,
  evaluateDirect,
  hashBlinded,
  type Keyword,
  keywordSecret,
  listInFile,
  manifestHash,
  secretFromT,
  verifySegmentFile,
} from '../../src/search/index.ts';
import { listKeys } from '../../src/search/keys.ts';
import { decodeList, encodeList } from '../../src/search/list.ts';
import { expectCode, REGISTRY, seededRandom } from './support.ts';

interface Examples {
  readonly keywords: readonly [Keyword, string][];
  readonly field: string;
  readonly secret: { T: string; u: number; tag: string; mask: string; key: string };
  readonly lists: readonly [{ width: number; ids: number[]; weights: number[] | null }, string][];
  readonly voprf: Record<string, string> & { epoch: number };
  readonly manifest: string;
  readonly manifestHash: string;
}

const page = readFileSync(new URL('../../docs/format/search.md', import.meta.url), 'utf8');
const examples = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '{}') as Examples;
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

describe('examples of docs/format/search.md', () => {
  test('keywords', () => {
    expect(examples.keywords).toHaveLength(9);
    for (const [keyword, hex] of examples.keywords) {
      expect(toHex(encodeKeyword(keyword))).toBe(hex);
      expect(decodeKeyword(fromHex(hex))).toEqual(keyword);
    }
  });

  test('a field declaration', () => {
    const spec = decodeFieldSpec(fromHex(examples.field));
    expect(spec).toEqual(REGISTRY.get('glucose'));
    expect(toHex(encodeFieldSpec(spec))).toBe(examples.field);
  });

  test('keyword secret and list keys', () => {
    const secret = keywordSecret(bytes(64, 1), bytes(32, 2));
    const keys = listKeys(secret.t, bytes(16, 3));
    expect({ T: toHex(secret.t), u: secret.u }).toEqual({ T: examples.secret.T, u: examples.secret.u });
    expect([keys.tag, keys.mask, keys.key].map(toHex)).toEqual([
      examples.secret.tag,
      examples.secret.mask,
      examples.secret.key,
    ]);
  });

  test('lists', () => {
    for (const [{ width, ids, weights }, hex] of examples.lists) {
      const list = {
        ids: Uint32Array.from(ids),
        weights: weights === null ? null : Uint8Array.from(weights),
      };
      expect(toHex(encodeList(list, width))).toBe(hex);
      const read = decodeList(fromHex(hex), width, 'exact');
      expect([...read.members.ids]).toEqual(ids);
      expect(read.weights).toEqual(list.weights);
    }
  });

  test('VOPRF key, output and the hash in a Search entry', () => {
    const { custodian, field, epoch } = examples.voprf;
    const pair = deriveFieldKeyPair(bytes(32, 7), custodian, field, epoch);
    expect(toHex(pair.secretKey)).toBe(examples.voprf.secretKey);
    expect(toHex(pair.publicKey)).toBe(examples.voprf.publicKey);
    const output = evaluateDirect(pair.secretKey, fromHex(examples.keywords[0][1]));
    expect(toHex(output)).toBe(examples.voprf.outputOfFirstKeyword);
    const hash = hashBlinded([pair.publicKey, pair.publicKey]);
    expect(toHex(hash)).toBe(examples.voprf.blindedHashOfPublicKeyTwice);
  });

  test('a manifest and its hash', () => {
    const raw = fromHex(examples.manifest);
    const manifest = decodeManifest(raw, { hash: fromHex(examples.manifestHash), records: 1000 });
    expect(toHex(encodeManifest(manifest))).toBe(examples.manifest);
    expect(toHex(manifestHash(raw))).toBe(examples.manifestHash);
    expect(manifest.segments[0]).toMatchObject({ lo: 0, hi: 1000, cells: 341, pageBytes: 8192 });
  });
});

describe('a registry', () => {
  test('is read as it was written, sorted by name', () => {
    const again = decodeFieldRegistry(encodeFieldRegistry(REGISTRY));
    expect([...again.keys()]).toEqual([...REGISTRY.keys()].sort());
    for (const [name, spec] of again) expect(spec).toEqual(REGISTRY.get(name));
  });

  test('refuses unknown keys, other versions, bad values and unsorted names', () => {
    const good = {
      v: 1,
      name: 'x',
      index: { type: 'type' },
      sensitive: false,
      budget: { perDay: 1, perEpoch: 1 },
    };
    const decode = (form: unknown) => () => decodeFieldSpec(encodeCbor(form));
    expect(decode(good)().name).toBe('x');
    for (const change of [
      { v: 2 },
      { name: '1x' },
      { name: `x${'y'.repeat(64)}` },
      { extra: 1 },
      { sensitive: 1 },
      { index: { type: 'type', more: 1 } },
      { index: { type: 'code', hierarchy: 'prefix', prefix: null } },
      { index: { type: 'text', weights: true, prefix: { min: 3, max: 2 } } },
      { index: { type: 'number', grid: { min: '0', step: '0', bits: 4, unit: '' } } },
      { index: { type: 'number', grid: { min: '0', step: '1', bits: 21, unit: '' } } },
      { index: { type: 'date', fromYear: 2001, toYear: 2000 } },
      { budget: { perDay: 2, perEpoch: 1 } },
    ]) {
      expect(() => decode({ ...good, ...change })(), JSON.stringify(change)).toThrow();
    }
    const second = { ...good, name: 'a' };
    expectCode(() => decodeFieldRegistry(encodeCbor([good, second])), 'search.field_malformed');
    expectCode(() => decodeFieldRegistry(encodeCbor([good, good])), 'search.field_malformed');
  });
});

describe('a segment sealed by version 1', () => {
  const golden = (name: string) =>
    new Uint8Array(readFileSync(new URL(`../golden/search/${name}`, import.meta.url)));
  const t = (value: number) => secretFromT(bytes(32, value));
  const input = {
    lo: 0,
    hi: 3000,
    level: 0,
    time: 1_700_000_000_000,
    epochs: [{ field: 'condition', epoch: 1 }],
    lists: [
      { secret: t(1), list: { ids: Uint32Array.of(0, 7, 2999), weights: null } },
      { secret: t(2), list: { ids: Uint32Array.of(5), weights: Uint8Array.of(9) } },
      { secret: t(3), list: { ids: Uint32Array.from({ length: 1500 }, (_, i) => 2 * i), weights: null } },
      {
        secret: t(4),
        list: { ids: Uint32Array.from({ length: 1500 }, (_, i) => i), weights: bytes(1500, 3) },
      },
    ],
  };

  test('opens, and its lists are what went in', () => {
    const meta = decodeManifest(golden('manifest-v1.bin')).segments[0];
    const file = golden('segment-v1.bin');
    verifySegmentFile(meta, file);
    expect(meta.tiers).toEqual([1]);
    for (const { secret, list } of input.lists) {
      const read = listInFile(meta, file, secret);
      expect(read?.members.ids).toEqual(list.ids);
      expect(read?.weights).toEqual(list.weights);
    }
    expect(listInFile(meta, file, t(5))).toBeUndefined();
  });

  test('is built again byte for byte from the same randomness', () => {
    const { meta, file } = buildSegment(input, seededRandom('golden segment'));
    expect(toHex(encodeManifest({ custodian: 'mercy', seq: 1, segments: [meta] }))).toBe(
      toHex(golden('manifest-v1.bin')),
    );
    expect(toHex(file)).toBe(toHex(golden('segment-v1.bin')));
  });
});
