/** The indexer: order of durability, crashes between any two steps, merges, purges, epochs, bounds. */
import { describe, expect, test } from 'vitest';
import { gcmSeal } from '../../src/codec/aead.ts';
import { concat, utf8 } from '../../src/codec/bytes.ts';
import { encodeCbor } from '../../src/codec/cbor.ts';
import { hkdfSha256, sha256 } from '../../src/codec/hash.ts';
import {
  decodeManifest,
  encodeKeyword,
  encodeManifest,
  type FieldValue,
  Indexer,
  type IndexProposal,
  KeywordSecrets,
  keywordKey,
  listInFile,
  type Manifest,
  manifestEnd,
  recordKeywords,
  type SegmentStore,
  segmentName,
  verifySegmentFile,
} from '../../src/search/index.ts';
import { openVocabulary, sealVocabulary } from '../../src/search/vault.ts';
import {
  ask,
  Custodian,
  Dice,
  expectCode,
  FIELDS,
  fieldKeys,
  MemoryStore,
  REGISTRY,
  rejectionCode,
  seededRandom,
} from './support.ts';

const TIME = 1_700_000_000_000;
const valuesOf = (i: number): FieldValue[] => [
  { field: 'kind', kind: 'type', resourceType: i % 2 === 0 ? 'Condition' : 'Observation' },
  { field: 'author', kind: 'reference', id: `a${i % 5}` },
];
const KINDS = FIELDS.filter(({ name }) => name === 'kind' || name === 'author');

/** Stores that fail from the n-th write or deletion on, as a crash would. */
class CrashingStore extends MemoryStore {
  readonly #budget: { left: number };

  constructor(budget: { left: number }, files: ReadonlyMap<string, Uint8Array> = new Map()) {
    super();
    this.#budget = budget;
    for (const [name, bytes] of files) this.files.set(name, bytes);
  }

  #spend(): void {
    if (this.#budget.left-- <= 0) throw new Error('crash');
  }

  override async putSegment(name: string, bytes: Uint8Array): Promise<void> {
    this.#spend();
    await super.putSegment(name, bytes);
  }

  override async deleteSegment(name: string): Promise<void> {
    this.#spend();
    await super.deleteSegment(name);
  }
}

/** The ledger's view: the last committed manifest. */
interface Ledger {
  manifest: Manifest | undefined;
}

function open(store: MemoryStore, vault: MemoryStore, ledger: Ledger, seed: string): Indexer {
  return new Indexer({
    custodian: 'mercy',
    keys: fieldKeys('mercy', 1, KINDS),
    store,
    vault,
    vaultKey: sha256(utf8('vault')),
    random: seededRandom(seed),
    ...(ledger.manifest === undefined ? {} : { manifest: ledger.manifest }),
  });
}

async function work(indexer: Indexer, ledger: Ledger, until: number): Promise<void> {
  const settle = async (proposal: IndexProposal | undefined) => {
    if (proposal === undefined) return false;
    ledger.manifest = decodeManifest(proposal.bytes, { hash: proposal.hash, records: until });
    await indexer.commit(proposal);
    return true;
  };
  while (indexer.next < until) {
    const next = indexer.next;
    indexer.add([{ indexNo: next, keywords: recordKeywords(REGISTRY, valuesOf(next)).keywords }]);
    if (indexer.buffered === 3 || indexer.next === until) {
      await settle(await indexer.flush(TIME));
      while (await settle(await indexer.maybeMerge([4, 10], TIME)));
    }
  }
}

const secrets = new KeywordSecrets('mercy', fieldKeys('mercy', 1, KINDS));

/** Every file that the manifest names is there and verifies; its lists are those of the records. */
function expectComplete(manifest: Manifest, store: MemoryStore, records: number): void {
  expect(manifestEnd(manifest)).toBe(records);
  for (let residue = 0; residue < 5; residue++) {
    const keyword = encodeKeyword({ field: 'author', type: 'reference', value: `a${residue}` });
    const secret = secrets.secretOf(keyword, 'author', 1);
    const found: number[] = [];
    for (const meta of manifest.segments) {
      const file = store.files.get(segmentName(meta)) ?? new Uint8Array(0);
      verifySegmentFile(meta, file);
      for (const local of listInFile(meta, file, secret)?.members.ids ?? []) found.push(meta.lo + local);
    }
    const wanted = Array.from({ length: records }, (_, i) => i).filter((i) => i % 5 === residue);
    const dead = (i: number) => i === 4 || i === 10;
    expect(found.filter((i) => !dead(i))).toEqual(wanted.filter((i) => !dead(i)));
  }
}

describe('a crash', () => {
  test('before any write or deletion of 30 flushes and 4 merges leaves a state to go on from', async () => {
    const records = 90;
    const counting = { left: Number.POSITIVE_INFINITY };
    const clean: Ledger = { manifest: undefined };
    const cleanStore = new CrashingStore(counting);
    let steps = 0;
    const counted = new Proxy(counting, {
      get: () => Number.POSITIVE_INFINITY,
      set: () => {
        steps++;
        return true;
      },
    });
    const store = new CrashingStore(counted);
    await work(open(store, new CrashingStore(counted), clean, 'clean'), clean, records);
    expect(clean.manifest?.segments.length).toBeLessThan(30);
    expect(cleanStore.files.size).toBe(0);
    expect(steps).toBeGreaterThan(60);
    for (let crashAt = 0; crashAt < steps; crashAt += 3) {
      const budget = { left: crashAt };
      const ledger: Ledger = { manifest: undefined };
      const files = new CrashingStore(budget);
      const vault = new CrashingStore(budget);
      await expect(work(open(files, vault, ledger, `run ${crashAt}`), ledger, records)).rejects.toThrow(
        'crash',
      );
      if (ledger.manifest !== undefined) expectComplete(ledger.manifest, files, manifestEnd(ledger.manifest));
      const free = { left: Number.POSITIVE_INFINITY };
      const [files2, vault2] = [new CrashingStore(free, files.files), new CrashingStore(free, vault.files)];
      await work(open(files2, vault2, ledger, `again ${crashAt}`), ledger, records);
      if (ledger.manifest === undefined) throw new Error('nothing was committed');
      expectComplete(ledger.manifest, files2, records);
    }
  });

  test("between the ledger's commit and the indexer's is met by the ledger's manifest", async () => {
    const [store, vault] = [new MemoryStore(), new MemoryStore()];
    const ledger: Ledger = { manifest: undefined };
    const first = open(store, vault, ledger, 'one');
    first.add([{ indexNo: 0, keywords: recordKeywords(REGISTRY, valuesOf(0)).keywords }]);
    const proposal = await first.flush(TIME);
    ledger.manifest = proposal?.manifest;
    const second = open(store, vault, ledger, 'two');
    expect(second.next).toBe(1);
    await work(second, ledger, 30);
    if (ledger.manifest !== undefined) expectComplete(ledger.manifest, store, 30);
  });
});

describe('a rebuild from records', () => {
  test('goes on with the next seq when segments or companions are lost', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 20; i++) custodian.put(valuesOf(i));
    await custodian.flush();
    custodian.vault.files.clear();
    custodian.store.files.clear();
    custodian.indexer = custodian.open({
      custodian: 'mercy',
      seq: custodian.indexer.manifest.seq,
      segments: [],
    });
    expect(custodian.indexer.next).toBe(0);
    for (let i = 0; i < 20; i++) {
      custodian.indexer.add([{ indexNo: i, keywords: recordKeywords(REGISTRY, valuesOf(i)).keywords }]);
    }
    await custodian.flush();
    expect(custodian.indexer.manifest.seq).toBe(2);
    expect([...(await ask('author:a3', 'record', [custodian])).records[0].numbers]).toEqual([3, 8, 13, 18]);
  });
});

describe('proposals', () => {
  test('one at a time; an abandoned one gives its records back and takes its files away', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 4; i++) custodian.put(valuesOf(i));
    const proposal = await custodian.indexer.flush(TIME);
    if (proposal === undefined) throw new Error('nothing to flush');
    expect(await rejectionCode(custodian.indexer.flush(TIME))).toBe('search.index_pending');
    expect(await rejectionCode(custodian.indexer.maybeMerge([], TIME))).toBe('search.index_pending');
    for (let i = 4; i < 9; i++) custodian.put(valuesOf(i));
    await custodian.indexer.abandon(proposal);
    expect(custodian.store.files.size).toBe(0);
    expect(custodian.indexer.buffered).toBe(9);
    await custodian.flush();
    expect(custodian.indexer.manifest.segments.map(({ lo, hi }) => [lo, hi])).toEqual([[0, 9]]);
    expect([...(await ask('kind:Observation', 'record', [custodian])).records[0].numbers]).toEqual([
      1, 3, 5, 7,
    ]);
    expect(await rejectionCode(custodian.indexer.commit(proposal))).toBe('search.index_pending');
    expect(await custodian.indexer.flush(TIME)).toBeUndefined();
  });

  test('a write that fails gives the records back; records that come while files are written are not lost', async () => {
    const budget = { left: 1 };
    const ledger: Ledger = { manifest: undefined };
    const store = new CrashingStore(budget);
    const indexer = open(store, new MemoryStore(), ledger, 'failing');
    const record = (indexNo: number) => ({
      indexNo,
      keywords: recordKeywords(REGISTRY, valuesOf(indexNo)).keywords,
    });
    indexer.add([record(0), record(1)]);
    budget.left = 0;
    const failing = indexer.flush(TIME);
    indexer.add([record(2)]);
    await expect(failing).rejects.toThrow('crash');
    expect([indexer.next, indexer.buffered]).toEqual([3, 3]);
    budget.left = Number.POSITIVE_INFINITY;
    const flushing = indexer.flush(TIME);
    indexer.add([record(3), record(4)]);
    const proposal = await flushing;
    if (proposal === undefined) throw new Error('nothing to flush');
    expect(manifestEnd(proposal.manifest)).toBe(3);
    expect([indexer.next, indexer.buffered]).toEqual([5, 2]);
    await indexer.commit(proposal);
    const second = await indexer.flush(TIME);
    if (second === undefined) throw new Error('nothing to flush');
    expectComplete(second.manifest, store, 5);
  });

  test('paced work gives the same bytes, lets records in between, and refuses a second run beside it', async () => {
    const [paced, plain] = [new Custodian('mercy', KINDS), new Custodian('mercy', KINDS)];
    let pauses = 0;
    paced.pause = async () => {
      pauses++;
      if (pauses === 1) paced.put(valuesOf(paced.records));
      expect(await rejectionCode(paced.indexer.flush(TIME))).toBe('search.index_pending');
      expect(await rejectionCode(paced.indexer.maybeMerge([], TIME))).toBe('search.index_pending');
    };
    paced.indexer = paced.open();
    for (const custodian of [paced, plain]) {
      for (let i = 0; i < 8; i++) {
        custodian.put(valuesOf(custodian.records));
        await custodian.flush();
        if (custodian === plain && i === 0) plain.put(valuesOf(1));
      }
      await custodian.mergeAll();
    }
    expect(pauses).toBeGreaterThan(8);
    expect(manifestEnd(paced.indexer.manifest)).toBe(9);
    expect(encodeManifest(paced.indexer.manifest)).toEqual(encodeManifest(plain.indexer.manifest));
    expect([...paced.store.files.keys()]).toEqual([...plain.store.files.keys()]);
  });

  test('replaced files stay for one more commit, then go', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 8; i++) {
      custodian.put(valuesOf(i));
      await custodian.flush();
    }
    const before = new Set(custodian.store.files.keys());
    expect(await custodian.mergeAll()).toBe(1);
    expect(custodian.indexer.manifest.segments.map(({ level }) => level)).toEqual([1]);
    for (const name of before) expect(custodian.store.files.has(name)).toBe(true);
    custodian.put(valuesOf(8));
    await custodian.flush();
    expect([...custodian.store.files.keys()].sort()).toEqual(
      custodian.indexer.manifest.segments.map(segmentName).sort(),
    );
    expect([...custodian.vault.files.keys()].sort()).toEqual([...custodian.store.files.keys()].sort());
  });
});

describe('merges', () => {
  test('join neighbours only, keep ranges whole and answers equal, through three levels', async () => {
    const custodian = new Custodian('mercy', KINDS);
    const dice = new Dice(5);
    for (let round = 0; round < 70; round++) {
      for (let i = dice.below(3); i >= 0; i--) custodian.put(valuesOf(custodian.records));
      await custodian.flush();
      await custodian.mergeAll();
    }
    const { segments } = custodian.indexer.manifest;
    expect(Math.max(...segments.map(({ level }) => level))).toBe(2);
    expect(segments.length).toBeLessThan(16);
    const odd = Array.from({ length: custodian.records }, (_, i) => i).filter((i) => i % 2 === 1);
    expect([...(await ask('kind:Observation', 'record', [custodian])).records[0].numbers]).toEqual(odd);
  });

  test('a purge removes dead numbers from the lists themselves', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 10; i++) custodian.put(valuesOf(i));
    await custodian.flush();
    custodian.dead.add(3).add(4);
    expect(await custodian.mergeAll()).toBe(0);
    expect(await custodian.mergeAll(true)).toBe(1);
    const [meta] = custodian.indexer.manifest.segments;
    const keyword = encodeKeyword({ field: 'kind', type: 'type', value: 'Condition' });
    const file = custodian.store.files.get(segmentName(meta)) ?? new Uint8Array(0);
    const list = listInFile(meta, file, custodian.secrets.secretOf(keyword, 'kind', 1));
    expect([...(list?.members.ids ?? [])]).toEqual([0, 2, 6, 8]);
    custodian.dead.add(5);
    expect(await custodian.mergeAll(true)).toBe(1);
  });

  test('a keyword whose records are all dead leaves no list behind', async () => {
    const custodian = new Custodian('mercy', KINDS);
    custodian.put(valuesOf(0));
    custodian.put([{ field: 'author', kind: 'reference', id: 'gone' }]);
    await custodian.flush();
    custodian.dead.add(1);
    await custodian.mergeAll(true);
    const [meta] = custodian.indexer.manifest.segments;
    const file = custodian.store.files.get(segmentName(meta)) ?? new Uint8Array(0);
    const gone = encodeKeyword({ field: 'author', type: 'reference', value: 'gone' });
    expect(listInFile(meta, file, custodian.secrets.secretOf(gone, 'author', 1))).toBeUndefined();
  });

  test('a file or companion that was changed stops the merge', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 8; i++) {
      custodian.put(valuesOf(i));
      await custodian.flush();
    }
    const [name] = custodian.store.files.keys();
    const file = custodian.store.files.get(name) ?? new Uint8Array(0);
    file[100] ^= 1;
    expect(await rejectionCode(custodian.indexer.maybeMerge([], TIME))).toBe('search.segment_root');
    file[100] ^= 1;
    const companion = custodian.vault.files.get(name) ?? new Uint8Array(0);
    companion[5] ^= 1;
    expect(await rejectionCode(custodian.indexer.maybeMerge([], TIME))).toBe('search.index_state');
    custodian.vault.files.delete(name);
    expect(await rejectionCode(custodian.indexer.maybeMerge([], TIME))).toBe('search.index_state');
    expect(custodian.indexer.manifest.segments).toHaveLength(8);
  });
});

describe('epochs', () => {
  test('a new epoch takes the next flush at once, old segments are rebuilt, then the seed can go', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 6; i++) custodian.put(valuesOf(i));
    await custodian.flush();
    custodian.addKeys(fieldKeys('mercy', 2, KINDS));
    for (let i = 6; i < 9; i++) custodian.put(valuesOf(i));
    await custodian.flush();
    const epochs = () =>
      custodian.indexer.manifest.segments.map((meta) => meta.epochs.map(({ epoch }) => epoch));
    expect(epochs()).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect([...(await ask('kind:Condition', 'record', [custodian])).records[0].numbers]).toEqual([
      0, 2, 4, 6, 8,
    ]);
    expectCode(() => custodian.indexer.dropKeys('kind', 1), 'search.index_pending');
    expect(await custodian.mergeAll()).toBe(1);
    expect(epochs()).toEqual([
      [2, 2],
      [2, 2],
    ]);
    custodian.indexer.dropKeys('kind', 1);
    expectCode(() => custodian.indexer.publicKey('kind', 1), 'search.field_unknown');
    expect([...(await ask('kind:Condition', 'record', [custodian])).records[0].numbers]).toEqual([
      0, 2, 4, 6, 8,
    ]);
    expect((await ask('not author:a1', 'record', [custodian])).records[0].numbers).toHaveLength(7);
  });

  test('all segments of an old epoch are rebuilt for one manifest, their keywords evaluated ahead; a crash in between leaves the old', async () => {
    const custodian = new Custodian('mercy', KINDS);
    for (let i = 0; i < 9; i++) {
      custodian.put(valuesOf(i));
      if (i % 3 === 2) await custodian.flush();
    }
    const before = custodian.indexer.manifest;
    expect(before.segments).toHaveLength(3);
    const fresh = fieldKeys('mercy', 2, KINDS);
    const all = new KeywordSecrets('mercy', [...custodian.keys, ...fresh]);
    const asked: string[] = [];
    const open = (store: SegmentStore) => {
      const indexer = new Indexer({
        custodian: 'mercy',
        keys: [...custodian.keys, ...fresh],
        store,
        vault: custodian.vault,
        vaultKey: sha256(utf8('vault mercy')),
        random: custodian.random,
        manifest: before,
        evaluateAhead: async (wanted) =>
          wanted.map(({ keyword, field, epoch }) => {
            asked.push(keywordKey(keyword));
            return all.secretOf(keyword, field, epoch).t;
          }),
      });
      expect(indexer.isStale).toBe(true);
      return indexer;
    };
    for (let writes = 0; writes < 3; writes++) {
      let left = writes;
      const failing: SegmentStore = {
        getSegment: (name) => custodian.store.getSegment(name),
        deleteSegment: (name) => custodian.store.deleteSegment(name),
        putSegment: (name, bytes) =>
          left-- === 0 ? Promise.reject(new Error('no space')) : custodian.store.putSegment(name, bytes),
      };
      const indexer = open(failing);
      await expect(indexer.maybeMerge([], 0)).rejects.toThrow('no space');
      expect(indexer.manifest).toEqual(before);
    }
    asked.length = 0;
    custodian.indexer = open(custodian.store);
    expect(await custodian.mergeAll()).toBe(1);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBeGreaterThan(5);
    const { segments, seq } = custodian.indexer.manifest;
    expect(seq).toBe(before.seq + 1);
    expect(segments.map((meta) => meta.epochs.map(({ epoch }) => epoch))).toEqual(segments.map(() => [2, 2]));
    expect(custodian.indexer.isStale).toBe(false);
    await custodian.indexer.forgetReplaced();
    for (const meta of before.segments)
      await expect(custodian.vault.getSegment(segmentName(meta))).rejects.toThrow();
    for (const one of fresh) custodian.secrets.addKeys(one);
    expect([...(await ask('kind:Condition', 'record', [custodian])).records[0].numbers]).toEqual([
      0, 2, 4, 6, 8,
    ]);
    for (const { field } of fresh) custodian.indexer.dropKeys(field, 1);
    expectCode(() => custodian.indexer.evaluate('kind', 1, []), 'search.epoch_over');
    expectCode(() => custodian.indexer.evaluate('kind', 3, []), 'search.field_unknown');
  });

  test('a field that is declared later is missing in the records before', async () => {
    const custodian = new Custodian('mercy', KINDS, fieldKeys('mercy', 1, KINDS.slice(0, 1)));
    const only = KINDS[0].name;
    custodian.put(valuesOf(0).filter((value) => value.field === only));
    await custodian.flush();
    custodian.addKeys(fieldKeys('mercy', 1, KINDS.slice(1)));
    custodian.put(valuesOf(1));
    await custodian.flush();
    expect([...(await ask(`${KINDS[1].name}:missing`, 'record', [custodian])).records[0].numbers]).toEqual([
      0,
    ]);
  });
});

describe('bounds', () => {
  test('numbers must follow each other', () => {
    const custodian = new Custodian('mercy', KINDS);
    expectCode(() => custodian.indexer.add([{ indexNo: 1, keywords: [] }]), 'search.index_order');
    custodian.indexer.add([{ indexNo: 0, keywords: [] }]);
    expectCode(() => custodian.indexer.add([{ indexNo: 0, keywords: [] }]), 'search.index_order');
  });

  test('4,096 keywords a record are taken, 4,097 are not; 513 bytes are not', () => {
    const custodian = new Custodian('mercy', KINDS);
    const keyword = (i: number) => encodeKeyword({ field: 'author', type: 'reference', value: `${i}` });
    const many = Array.from({ length: 4097 }, (_, i) => keyword(i));
    expectCode(() => custodian.indexer.add([{ indexNo: 0, keywords: many }]), 'search.too_large');
    expectCode(
      () => custodian.indexer.add([{ indexNo: 0, keywords: [new Uint8Array(513)] }]),
      'search.too_large',
    );
    custodian.indexer.add([{ indexNo: 0, keywords: many.slice(1) }]);
    const long = { field: 'author', type: 'reference', value: 'x'.repeat(600) } as const;
    expectCode(() => encodeKeyword(long), 'search.too_large');
  });

  test('keywords that are none, or of a field without keys, are refused and take no number', () => {
    const custodian = new Custodian('mercy', KINDS);
    const add = (keywords: Uint8Array[]) => () => custodian.indexer.add([{ indexNo: 0, keywords }]);
    expectCode(add([utf8('hello')]), 'search.keyword_malformed');
    expectCode(add([encodeKeyword({ field: 'note', type: 'text', value: 'x' })]), 'search.field_unknown');
    expect(custodian.indexer.next).toBe(0);
  });

  test('the cache of keyword secrets is bounded, and what fell out is derived again', () => {
    const small = new KeywordSecrets('mercy', fieldKeys('mercy', 1, KINDS), 4);
    const keyword = (i: number) => encodeKeyword({ field: 'author', type: 'reference', value: `${i}` });
    const first = small.secretOf(keyword(0), 'author', 1);
    for (let i = 1; i < 10; i++) small.secretOf(keyword(i), 'author', 1);
    expect(small.secretOf(keyword(0), 'author', 1)).toEqual(first);
    expect(small.secretOf(keyword(9), 'author', 1)).toBe(small.secretOf(keyword(9), 'author', 1));
  });

  test('secrets evaluated elsewhere are taken up, and only unknown keywords are asked for, each once', async () => {
    const custodian = new Custodian('mercy', KINDS);
    const keywords = [0, 1, 0].map((i) =>
      encodeKeyword({ field: 'author', type: 'reference', value: `${i}` }),
    );
    const unknown = custodian.indexer.unknown(keywords);
    expect(unknown.map(({ keyword, field, epoch }) => [keyword, field, epoch])).toEqual([
      [keywords[0], 'author', 1],
      [keywords[1], 'author', 1],
    ]);
    custodian.indexer.learn(
      unknown.map((one) => ({ ...one, t: custodian.secrets.secretOf(one.keyword, one.field, one.epoch).t })),
    );
    expect(custodian.indexer.unknown(keywords)).toEqual([]);
    custodian.put([{ field: 'author', kind: 'reference', id: '1' }]);
    await custodian.flush();
    expect([...(await ask('author:1', 'record', [custodian])).records[0].numbers]).toEqual([0]);
  });

  test('a manifest of another custodian is not taken up', () => {
    const manifest = { custodian: 'clinic', seq: 1, segments: [] };
    expect(encodeManifest(manifest).length).toBeGreaterThan(0);
    const ledger = { manifest };
    expectCode(() => open(new MemoryStore(), new MemoryStore(), ledger, 'x'), 'search.index_state');
  });
});

describe('a vault companion', () => {
  test('opens under its key and segment only', () => {
    const key = sha256(utf8('k'));
    const id = new Uint8Array(16).fill(1);
    const vocabulary = { words: [{ keyword: utf8('w'), t: new Uint8Array(32) }], dropped: [3] };
    const sealed = sealVocabulary(key, id, vocabulary);
    expect(openVocabulary(key, id, sealed).dropped).toEqual([3]);
    expectCode(() => openVocabulary(sha256(key), id, sealed), 'search.index_state');
    expectCode(() => openVocabulary(key, new Uint8Array(16), sealed), 'search.index_state');
    expectCode(() => openVocabulary(key, id, sealed.slice(1)), 'search.index_state');
  });

  test('is the canonical encoding of its words, whatever their number and length', () => {
    const key = sha256(utf8('k'));
    const id = new Uint8Array(16).fill(2);
    const sealing = hkdfSha256(key, id, 'sli/1/vault', 32);
    for (const count of [0, 1, 23, 24, 255, 256, 1000]) {
      const words = Array.from({ length: count }, (_, i) => ({
        keyword: sha256(utf8(`${i}`)).slice(0, i % 33),
        t: sha256(utf8(`t${i}`)),
      }));
      words.push({ keyword: new Uint8Array(300).fill(7), t: sha256(utf8('long')) });
      const vocabulary = { words, dropped: [0, 70_000] };
      const sealed = sealVocabulary(key, id, vocabulary);
      const plain = encodeCbor([1, words.map(({ keyword, t }) => [keyword, t]), [0, 70_000]]);
      expect(Buffer.compare(sealed, gcmSeal(sealing, new Uint8Array(12), id, plain))).toBe(0);
      expect(openVocabulary(key, id, sealed)).toEqual(vocabulary);
    }
  });

  test('with another shape, a longer head than needed or something behind it does not open', () => {
    const key = sha256(utf8('k'));
    const id = new Uint8Array(16).fill(3);
    const sealing = hkdfSha256(key, id, 'sli/1/vault', 32);
    const t = new Uint8Array(32);
    const good = encodeCbor([1, [[utf8('w'), t]], []]);
    const seal = (plain: Uint8Array) => gcmSeal(sealing, new Uint8Array(12), id, plain);
    expect(openVocabulary(key, id, seal(good)).words).toHaveLength(1);
    const bad = [
      encodeCbor([2, [[utf8('w'), t]], []]),
      encodeCbor([1, [[utf8('w'), t.slice(1)]], []]),
      encodeCbor([1, [[utf8('w'), t, t]], []]),
      encodeCbor([1, [[utf8('w'), t]], ['x']]),
      encodeCbor([1, [[utf8('w'), t]]]),
      good.slice(0, -1),
      concat(good, Uint8Array.of(0)),
      concat(good.slice(0, 2), Uint8Array.of(0x98, 1), good.slice(3)),
    ];
    for (const plain of bad) expectCode(() => openVocabulary(key, id, seal(plain)), 'search.index_state');
  });
});
