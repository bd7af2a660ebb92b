/**
 * Leakage conformance (search-security notes, section 7, tests 1 and 2). A recorder takes down what a server sees. An
 * independent function computes the leakage L from plaintext lists and queries; a simulator that gets L and coins, never
 * a key, a keyword or a bucket, makes a transcript of its own. Both must agree exactly in order and sizes of messages and in
 * every equality and common prefix of page numbers and slots, up to the renaming that the argument allows.
 */
import { describe, expect, test } from 'vitest';
import { type IndexFetch, readerPolicy } from '../../src/client/segment-source.ts';
import { concat, readU32be, u32be, utf8 } from '../../src/codec/bytes.ts';
import { hmacSha256, sha256 } from '../../src/codec/hash.ts';
import {
  type ByteRange,
  buildSegment,
  type CustodianIndex,
  encodeKeyword,
  type FetchPolicy,
  fieldRegistry,
  type KeywordSecret,
  keywordKey,
  mergeSegments,
  type OwnSegment,
  parseQuery,
  planQuery,
  runQuery,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
  sentinel,
  WHOLE_FETCH_BYTES,
} from '../../src/search/index.ts';
import { CLIENT_KEY, Dice, seededRandom } from './support.ts';

const REGISTRY = fieldRegistry([
  {
    name: 'w',
    index: { type: 'code', hierarchy: 'none', prefix: null },
    sensitive: false,
    budget: { perDay: 200, perEpoch: 2000 },
  },
]);
const GUARD = keywordKey(encodeKeyword(sentinel('w')));
const bytesOf = (key: string) => Uint8Array.from(key, (char) => char.charCodeAt(0));
const wordOf = (i: number) =>
  keywordKey(encodeKeyword({ field: 'w', type: 'code', system: null, value: `k${i}` }));

/** Secrets without VOPRF: for the server they are as random as any. */
const secrets = new Map<string, KeywordSecret>();
function secretOf(key: string, epoch: number): KeywordSecret {
  const name = `${epoch} ${key}`;
  const known = secrets.get(name) ?? secretFromT(sha256(bytesOf(key), u32be(epoch)));
  secrets.set(name, known);
  return known;
}

/** What the recorder saw: leaf numbers of a segment, or a whole file. */
type Message =
  | { readonly kind: 'whole'; readonly segment: string }
  | { readonly kind: 'leaves'; readonly segment: string; readonly leaves: readonly number[] };

/** Plaintext of a segment as the leakage function may know it. */
interface Plain {
  readonly meta: SegmentMeta;
  readonly epoch: number;
  readonly lists: ReadonlyMap<string, Uint32Array>;
}

class History {
  readonly dice: Dice;
  readonly segments: Plain[] = [];
  readonly files = new Map<string, OwnSegment>();
  readonly messages: Message[] = [];
  readonly readers = new Map<string, SegmentReader>();
  /** `direct` is `pages` asked of the custodian: the same messages, to somebody who knows more (see the end of this file). */
  readonly policy: FetchPolicy;
  readonly random: ReturnType<typeof seededRandom>;
  readonly dead = new Set<number>();
  epoch = 1;
  records = 0;

  constructor(seed: number, policy: IndexFetch) {
    this.dice = new Dice(seed);
    this.policy = readerPolicy(policy);
    this.random = seededRandom(`history ${seed}`);
  }

  /** A flush; about half are large enough to be read page by page. */
  flush(): void {
    const large = this.dice.below(2) === 0;
    const width = large ? 30_000 : 1 + this.dice.below(50);
    const lists = new Map<string, Uint32Array>();
    const words = large ? 230 + this.dice.below(200) : this.dice.below(20);
    for (let i = 0; i < words; i++)
      lists.set(wordOf(i), this.#numbers(width, large ? 800 + this.dice.below(240) : 3));
    if (large) lists.set(wordOf(1000), this.#numbers(width, 3000));
    if (large) lists.set(wordOf(1001), this.#numbers(width, 3000));
    this.#take(width, lists);
  }

  #numbers(width: number, count: number): Uint32Array {
    const step = Math.max(1, Math.floor(width / count));
    const start = this.dice.below(step);
    const length = Math.min(count, Math.ceil((width - start) / step));
    return Uint32Array.from({ length }, (_, i) => start + i * step);
  }

  #take(width: number, lists: Map<string, Uint32Array>): void {
    lists.set(
      GUARD,
      Uint32Array.from({ length: width }, (_, i) => i),
    );
    const input = {
      lo: this.records,
      hi: this.records + width,
      level: 0,
      time: 0,
      epochs: [{ field: 'w', epoch: this.epoch }],
      lists: [...lists].map(([key, ids]) => ({
        secret: secretOf(key, this.epoch),
        list: { ids, weights: null },
      })),
    };
    const { meta, file } = buildSegment(input, this.random);
    const words = [...lists.keys()].map((key) => ({ keyword: bytesOf(key), t: secretOf(key, this.epoch).t }));
    this.files.set(segmentName(meta), { meta, file, vocabulary: { words, dropped: [] } });
    this.segments.push({ meta, epoch: this.epoch, lists });
    this.records += width;
  }

  merge(): void {
    if (this.segments.length < 2) return;
    const from = this.dice.below(this.segments.length - 1);
    const pair = this.segments.slice(from, from + 2);
    const own = pair.map(({ meta }) => this.files.get(segmentName(meta))).filter((one) => one !== undefined);
    const dead = Uint32Array.from([...this.dead].sort((a, b) => a - b));
    const { built, vocabulary } = mergeSegments(
      {
        segments: own,
        dead,
        epochs: [{ field: 'w', epoch: this.epoch }],
        level: 1,
        time: 0,
        secretFor: ({ keyword }) => secretOf(keywordKey(keyword), this.epoch),
        always: [bytesOf(GUARD)],
      },
      this.random,
    );
    const lists = new Map<string, Uint32Array>();
    for (const key of new Set(pair.flatMap((one) => [...one.lists.keys()]))) {
      const ids = pair.flatMap((one) =>
        [...(one.lists.get(key) ?? [])].map((id) => id + one.meta.lo - pair[0].meta.lo),
      );
      const living = ids.filter((id) => !this.dead.has(id + pair[0].meta.lo));
      if (living.length > 0 || key === GUARD) lists.set(key, Uint32Array.from(living));
    }
    for (const { meta } of pair) this.files.delete(segmentName(meta));
    this.files.set(segmentName(built.meta), { meta: built.meta, file: built.file, vocabulary });
    this.segments.splice(from, 2, { meta: built.meta, epoch: this.epoch, lists });
  }

  async search(words: readonly number[]): Promise<void> {
    const text = words.map((i) => `w:k${i}`).join(' or ');
    const index: CustodianIndex = {
      manifest: { custodian: 'mercy', seq: 1, segments: this.segments.map(({ meta }) => meta) },
      records: this.records,
      dead: Uint32Array.from([...this.dead].sort((a, b) => a - b)),
      secretOf: (keyword, _, epoch) => secretOf(keywordKey(keyword), epoch),
      readerOf: (meta) => this.#reader(meta),
    };
    const plan = planQuery(parseQuery(text), REGISTRY);
    const { records } = await runQuery({ plan, unit: 'record', custodians: [index], clientKey: CLIENT_KEY });
    const wanted = new Set<number>();
    for (const { meta, lists } of this.segments) {
      for (const i of words) for (const id of lists.get(wordOf(i)) ?? []) wanted.add(id + meta.lo);
    }
    for (const number of this.dead) wanted.delete(number);
    expect([...records[0].numbers]).toEqual([...wanted].sort((a, b) => a - b));
  }

  #reader(meta: SegmentMeta): SegmentReader {
    const name = segmentName(meta);
    const known =
      this.readers.get(name) ??
      new SegmentReader(meta, [{ fetchWhole: this.#whole, fetchRanges: this.#ranges }], this.policy);
    this.readers.set(name, known);
    return known;
  }

  /** Segments whose tree has been fetched. */
  readonly #treed = new Set<string>();

  readonly #whole = async (name: string): Promise<Uint8Array> => {
    this.messages.push({ kind: 'whole', segment: name });
    return this.#own(name).file;
  };

  /** Takes down the leaves, and checks that the hashes asked for follow from them. */
  readonly #ranges = async (name: string, ranges: readonly ByteRange[]): Promise<readonly Uint8Array[]> => {
    const { meta, file } = this.#own(name);
    const leaves = leavesOf(meta, ranges);
    const tree = [{ offset: segmentShape(meta).leafBytes, length: 32 * segmentShape(meta).leaves }];
    const proof = this.policy === 'pages' ? siblingRanges(meta, leaves) : this.#treed.has(name) ? [] : tree;
    expect(ranges.slice(leaves.length)).toEqual(proof);
    this.#treed.add(name);
    this.messages.push({ kind: 'leaves', segment: name, leaves });
    return ranges.map(({ offset, length }) => file.subarray(offset, offset + length));
  };

  #own(name: string): OwnSegment {
    const own = this.files.get(name);
    if (own === undefined) throw new Error('no such segment');
    return own;
  }
}

const slotSize = (tier: number) => 4096 * 4 ** tier;

/** Leaf numbers of the ranges that are no tree nodes, from offsets alone. */
function leavesOf(meta: SegmentMeta, ranges: readonly ByteRange[]): number[] {
  const starts = new Map<number, number>();
  let offset = 0;
  let leaf = 0;
  for (; leaf < 2 ** meta.bits; leaf++, offset += meta.pageBytes) starts.set(offset, leaf);
  meta.tiers.forEach((slots, tier) => {
    for (let slot = 0; slot < slots; slot++, leaf++, offset += slotSize(tier)) starts.set(offset, leaf);
  });
  return ranges.flatMap((range) => {
    const found = starts.get(range.offset);
    return found === undefined ? [] : [found];
  });
}

/** Ranges of the tree nodes that prove `leaves`, computed from sets. */
function siblingRanges(meta: SegmentMeta, leaves: readonly number[]): ByteRange[] {
  const shape = segmentShape(meta);
  const ranges: ByteRange[] = [];
  let known = new Set(leaves);
  let offset = shape.leafBytes;
  for (let size = shape.leaves; size > 1; size = Math.ceil(size / 2)) {
    for (const at of [...known].sort((a, b) => a - b)) {
      const sibling = at ^ 1;
      if (!known.has(sibling) && sibling < size) ranges.push({ offset: offset + 32 * sibling, length: 32 });
    }
    offset += 32 * size;
    known = new Set([...known].map((at) => at >> 1));
  }
  return ranges;
}

/** L of one term (or decoy) in one large segment: which label it has, and its tier; -1 where it shows no slot. */
interface LeakedTerm {
  readonly label: number;
  readonly tier: number;
}

/** L of one search: for each segment nothing, or its terms. Labels are numbers in order of first use. */
type LeakedSearch = readonly (readonly LeakedTerm[] | 'whole')[];

/** Of a new label: the earlier label that shares most bits, and how many, up to the most bucket bits ever used. */
interface LeakedLabel {
  readonly closest: number;
  readonly bits: number;
}

const BITS_MAX = 10;

/** Bytes of a list from its numbers, by the published encoding rules and nothing of the code under test. */
function listBytes(ids: Uint32Array, width: number): number {
  const varint = (value: number) =>
    Math.max(1, Math.ceil((value === 0 ? 1 : Math.floor(Math.log2(value)) + 1) / 7));
  let deltas = 0;
  ids.forEach((id, i) => {
    deltas += varint(i === 0 ? id : id - ids[i - 1] - 1);
  });
  const body = ids.length === width ? 0 : Math.min(deltas, Math.ceil(width / 8));
  return 1 + varint(ids.length) + body;
}

function tierOf(ids: Uint32Array | undefined, width: number): number {
  const bytes = ids === undefined ? 0 : listBytes(ids, width);
  if (bytes <= 1024) return -1;
  let tier = 0;
  while (slotSize(tier) < bytes) tier++;
  return tier;
}

/** The leakage function: sees plaintext lists and the bucket position function, gives patterns. */
class Leakage {
  readonly labels: LeakedLabel[] = [];
  readonly #positions: number[] = [];
  readonly #names = new Map<string, number>();

  search(segments: readonly Plain[], words: readonly number[], policy: FetchPolicy): LeakedSearch {
    const terms = [...new Set([...words.map(wordOf), GUARD])];
    return segments.map(({ meta, epoch, lists }) => {
      const isSmall = meta.padBytes > 0 || segmentShape(meta).leafBytes <= WHOLE_FETCH_BYTES;
      if (policy === 'whole' || isSmall) return 'whole';
      const width = meta.hi - meta.lo;
      const real = terms.map((key) => ({
        label: this.#label(`${epoch} ${key}`, secretOf(key, epoch).u),
        tier: tierOf(lists.get(key), width),
      }));
      return [...real, ...this.#decoys(terms, epoch)];
    });
  }

  #decoys(terms: readonly string[], epoch: number): LeakedTerm[] {
    const padded = [4, 8, 16, 32].find((size) => size >= terms.length) ?? 64;
    const names = terms
      .map((key) => Array.from(sha256(bytesOf(key)), (byte) => byte.toString(16).padStart(2, '0')).join(''))
      .sort();
    return Array.from({ length: padded - terms.length }, (_, i) => ({
      label: this.#label(`decoy ${epoch} ${names.join()} ${i}`, decoyPosition(names, epoch, i)),
      tier: -1,
    }));
  }

  #label(name: string, position: number): number {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    let closest = -1;
    let bits = -1;
    this.#positions.forEach((other, label) => {
      const common = Math.min(Math.clz32(position ^ other), BITS_MAX);
      if (common > bits) [closest, bits] = [label, common];
    });
    this.labels.push({ closest, bits });
    this.#positions.push(position);
    this.#names.set(name, this.labels.length - 1);
    return this.labels.length - 1;
  }
}

/** PRF(client key, set of terms, epochs): docs/format/search.md, decoys. */
function decoyPosition(names: readonly string[], epoch: number, i: number): number {
  const text = (value: string) => {
    const raw = utf8(value);
    const head = raw.length < 24 ? [0x60 + raw.length] : [0x78, raw.length];
    return concat(Uint8Array.from(head), raw);
  };
  const list = names.length < 24 ? [0x80 + names.length] : [0x98, names.length];
  const scope = sha256(
    Uint8Array.of(0x83),
    text('mercy'),
    Uint8Array.from(list),
    ...names.map(text),
    Uint8Array.of(0x81, epoch),
  );
  return readU32be(hmacSha256(CLIENT_KEY, utf8('sli/1/decoy'), scope, u32be(i)), 0);
}

/** Makes messages from L and coins. */
class Simulator {
  readonly #coins: Dice;
  readonly #labels: number[] = [];
  readonly #slots = new Map<string, Map<string, number>>();
  readonly #fetched = new Set<string>();

  constructor(seed: number) {
    this.#coins = new Dice(seed);
  }

  search(metas: readonly SegmentMeta[], leaked: LeakedSearch, labels: readonly LeakedLabel[]): Message[] {
    while (this.#labels.length < labels.length) this.#labels.push(this.#draw(labels[this.#labels.length]));
    const first: Message[] = [];
    const second: Message[] = [];
    metas.forEach((meta, i) => {
      const segment = segmentName(meta);
      const terms = leaked[i];
      if (terms === 'whole') {
        if (!this.#fetched.has(segment)) first.push({ kind: 'whole', segment });
        this.#fetched.add(segment);
        return;
      }
      const pages = terms.map(({ label }) =>
        meta.bits === 0 ? 0 : this.#labels[label] >>> (32 - meta.bits),
      );
      first.push({ kind: 'leaves', segment, leaves: increasing(pages) });
      const slots = terms.filter(({ tier }) => tier >= 0).map((term) => this.#slot(meta, term));
      if (slots.length > 0) second.push({ kind: 'leaves', segment, leaves: increasing(slots) });
    });
    return [...first, ...second];
  }

  /** Copies the shared bits of the closest earlier label, flips the next, draws the rest. */
  #draw({ closest, bits }: LeakedLabel): number {
    const rest = this.#coins.below(2 ** 32) >>> 0;
    if (closest < 0) return rest;
    const other = this.#labels[closest];
    const keep = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
    const flip = bits >= BITS_MAX ? 0 : 1 << (31 - bits);
    const below = bits >= BITS_MAX ? ~keep : ~(keep | flip);
    return ((other & keep) | ((~other & flip) >>> 0) | (rest & below)) >>> 0;
  }

  #slot(meta: SegmentMeta, { label, tier }: LeakedTerm): number {
    const key = `${segmentName(meta)} ${tier}`;
    const taken = this.#slots.get(key) ?? new Map<string, number>();
    this.#slots.set(key, taken);
    let slot = taken.get(`${label}`);
    while (slot === undefined) {
      const drawn = this.#coins.below(meta.tiers[tier]);
      if (![...taken.values()].includes(drawn)) slot = drawn;
    }
    taken.set(`${label}`, slot);
    return 2 ** meta.bits + meta.tiers.slice(0, tier).reduce((sum, slots) => sum + slots, 0) + slot;
  }
}

const increasing = (numbers: readonly number[]) => [...new Set(numbers)].sort((a, b) => a - b);

/**
 * A transcript up to renaming: order, kinds, counts and sizes of messages; for every segment and every prefix length which
 * messages touch how many pages below each prefix; for every tier which messages touch each slot.
 */
function canonical(messages: readonly Message[], metas: ReadonlyMap<string, SegmentMeta>) {
  const order = messages.map((message) => {
    if (message.kind === 'whole') return ['whole', message.segment];
    const meta = metas.get(message.segment);
    if (meta === undefined) throw new Error('unknown segment');
    const sizes = message.leaves.map((leaf) => leafSize(meta, leaf)).sort((a, b) => a - b);
    return ['leaves', message.segment, ...sizes];
  });
  const touched = new Map<string, Map<number, Set<number>>>();
  messages.forEach((message, at) => {
    if (message.kind !== 'leaves') return;
    const leaves = touched.get(message.segment) ?? new Map<number, Set<number>>();
    touched.set(message.segment, leaves);
    for (const leaf of message.leaves) leaves.set(leaf, (leaves.get(leaf) ?? new Set()).add(at));
  });
  const patterns = [...touched].map(([segment, leaves]) => {
    const meta = metas.get(segment);
    if (meta === undefined) throw new Error('unknown segment');
    return [
      segment,
      ...Array.from({ length: meta.bits + 1 }, (_, bits) => prefixPattern(meta, leaves, bits)),
      slotPattern(meta, leaves),
    ];
  });
  return { order, patterns };
}

function leafSize(meta: SegmentMeta, leaf: number): number {
  let rest = leaf - 2 ** meta.bits;
  if (rest < 0) return meta.pageBytes;
  for (const [tier, slots] of meta.tiers.entries()) {
    if (rest < slots) return slotSize(tier);
    rest -= slots;
  }
  throw new Error('no such leaf');
}

function prefixPattern(
  meta: SegmentMeta,
  leaves: ReadonlyMap<number, ReadonlySet<number>>,
  bits: number,
): string[] {
  const below = new Map<number, string[]>();
  for (const [leaf, messages] of leaves) {
    if (leaf >= 2 ** meta.bits) continue;
    const prefix = leaf >>> (meta.bits - bits);
    below.set(prefix, [...(below.get(prefix) ?? []), [...messages].join()]);
  }
  return [...below.values()].map((pages) => pages.sort().join(';')).sort();
}

function slotPattern(meta: SegmentMeta, leaves: ReadonlyMap<number, ReadonlySet<number>>): string[] {
  return [...leaves]
    .filter(([leaf]) => leaf >= 2 ** meta.bits)
    .map(([leaf, messages]) => `${leafSize(meta, leaf)} ${[...messages].join()}`)
    .sort();
}

/** Histories of each fetch policy; the notes ask for 1,000 in all. */
const HISTORIES = Number(process.env.HIPPOCRYPT_SEARCH_HISTORIES ?? 15);

describe.each(['pages', 'pages-and-tree', 'whole', 'direct'] as const)(
  `${HISTORIES} random histories, policy %s`,
  (policy) => {
    test('the simulator makes the same transcript from the leakage alone', {
      timeout: 7_200_000,
    }, async () => {
      let searches = 0;
      let pageMessages = 0;
      for (let seed = 1; seed <= HISTORIES; seed++) {
        const history = new History(seed, policy);
        const leakage = new Leakage();
        const simulator = new Simulator(seed + 1_000_000);
        const simulated: Message[] = [];
        const metas = new Map<string, SegmentMeta>();
        history.flush();
        for (let step = 0; step < 12; step++) {
          const act = history.dice.below(10);
          if (act === 0) history.flush();
          else if (act === 1) history.merge();
          else if (act === 2) history.epoch = 3 - history.epoch;
          else if (act === 3) history.dead.add(history.dice.below(history.records));
          else {
            const pool = [...Array.from({ length: 12 }, (_, i) => i), 300, 1000, 1001, 5000, 5001];
            const words = [
              ...new Set(Array.from({ length: 1 + history.dice.below(6) }, () => history.dice.pick(pool))),
            ];
            for (const { meta } of history.segments) metas.set(segmentName(meta), meta);
            await history.search(words);
            const leaked = leakage.search(history.segments, words, history.policy);
            simulated.push(
              ...simulator.search(
                history.segments.map(({ meta }) => meta),
                leaked,
                leakage.labels,
              ),
            );
            searches++;
          }
        }
        pageMessages += history.messages.filter(({ kind }) => kind === 'leaves').length;
        expect(canonical(history.messages, metas), `history ${seed}`).toEqual(canonical(simulated, metas));
      }
      expect(searches).toBeGreaterThan(3 * HISTORIES);
      const counts = { policy, histories: HISTORIES, searches, pageMessages, mismatches: 0 };
      console.info(`search leakage: ${JSON.stringify(counts)}`);
      if (policy === 'whole') expect(pageMessages).toBe(0);
      else expect(pageMessages).toBeGreaterThan(HISTORIES);
    });
  },
);

describe('worlds of equal leakage', () => {
  /** Order, kinds, counts and sizes of the messages of one search, with a large segment among those searched. */
  async function transcript(words: readonly number[], change: (history: History) => void = () => {}) {
    const history = new History(77, 'pages');
    while (history.segments.every(({ meta }) => !segmentShape(meta).hasTree)) history.flush();
    change(history);
    await history.search(words);
    const metas = new Map(history.segments.map(({ meta }) => [segmentName(meta), meta]));
    return canonical(history.messages, metas).order;
  }

  test('an absent keyword, and a present short one, look the same', async () => {
    const present = await transcript([3, 7]);
    expect(await transcript([3, 9001])).toEqual(present);
    expect(await transcript([9002, 9001])).toEqual(present);
  });

  test('two keywords of one tier look the same', async () => {
    expect(await transcript([1000, 3])).toEqual(await transcript([1001, 3]));
  });

  test('whatever a deleted record held, nothing changes', async () => {
    const before = await transcript([3, 7]);
    for (const number of [0, 1, 17]) {
      expect(await transcript([3, 7], (history) => history.dead.add(number))).toEqual(before);
    }
  });

  test('a repeated query repeats its pages, decoys included', async () => {
    const history = new History(78, 'pages');
    while (history.segments.every(({ meta }) => !segmentShape(meta).hasTree)) history.flush();
    await history.search([3]);
    const first = history.messages.filter(({ kind }) => kind === 'leaves');
    await history.search([3]);
    expect(history.messages.filter(({ kind }) => kind === 'leaves').slice(first.length)).toEqual(first);
    history.epoch = 2;
    const before = history.messages.length;
    history.merge();
    await history.search([3]);
    expect(history.messages.length).toBeGreaterThan(before);
  });
});

describe('policy direct', () => {
  /** Slots and pages that one query of a large segment asks for. */
  async function asked(words: readonly number[]): Promise<{ slots: number[]; pages: number[] }> {
    const history = new History(77, 'direct');
    while (history.segments.length === 0 || history.segments[0].meta.bits === 0) {
      history.segments.length = 0;
      history.records = 0;
      history.flush();
    }
    const [{ meta }] = history.segments;
    await history.search(words);
    const leaves = history.messages.flatMap((one) => (one.kind === 'leaves' ? one.leaves : []));
    return {
      slots: leaves.filter((leaf) => leaf >= 2 ** meta.bits && leaf < segmentShape(meta).leaves),
      pages: leaves.filter((leaf) => leaf < 2 ** meta.bits),
    };
  }

  test('names the keyword to the custodian, who made the slots: why it is off', async () => {
    // What the custodian can work out for itself from its secrets, without the client's key.
    const candidates = [0, 1, 2, 300, 1000, 1001];
    const known = await Promise.all(candidates.map(async (word) => ({ word, ...(await asked([word])) })));
    const seen = await asked([1000]);
    expect(seen.slots.length).toBeGreaterThan(0);
    const named = known.filter(({ slots }) => slots.join() === seen.slots.join()).map(({ word }) => word);
    expect(named).toEqual([1000]);
    // Of a short list the page stays, with the decoys of the padding around it.
    expect(seen.pages.length).toBeGreaterThan(0);
  });
});
