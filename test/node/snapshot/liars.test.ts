/**
 * Members that lie about a snapshot (the schedules 2s): each lie is found before what it concerns is used, its teller is
 * dropped, and the next member is asked for what is still missing.
 */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { concat, fromUtf8 } from '../../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import { memberId } from '../../../src/codec/ids.ts';
import { copyState, currentState, MemoryStore, readSegment, readTip } from '../../../src/ledger/index.ts';
import {
  decodeChunk,
  decodeManifest,
  decodeSegment,
  encodeManifest,
  encodePair,
  encodeSegment,
  MANIFEST_BYTES_MAX,
} from '../../../src/ledger/snapshot/index.ts';
import { type Bend, type Block, everyBlock, Member, rowsOf, Town } from './forge.ts';

let blocks: readonly Block[];
let whole: Member;
let town: Town;

beforeAll(async () => {
  // The last block is so much later that no nonce is remembered any more.
  blocks = (await everyBlock()).slice(0, -1);
  whole = await executed(blocks.length);
});
beforeEach(() => {
  town = new Town();
});
afterEach(() => town.close());

async function executed(height: number, views: ReadonlyMap<number, number> = new Map()): Promise<Member> {
  const member = await Member.open(new MemoryStore());
  for (const block of blocks.slice(0, height)) await member.apply(block, views.get(member.chain.height + 1));
  return member;
}

/** Only `op` is answered otherwise. */
const only =
  (op: string, bend: (answer: Uint8Array, asked: Readonly<Record<string, number>>) => Uint8Array): Bend =>
  (asked, answer, body) =>
    asked === op ? bend(answer, body) : answer;

/** Birch lies in this way, cedar and dogwood do not; alder starts from `from`. Answers the code for which birch was dropped. */
async function dropped(bend: Bend, from = 0, store = whole.store): Promise<unknown> {
  await town.serve('birch', store, bend);
  for (const id of ['cedar', 'dogwood']) await town.serve(id, whole.store);
  const alder = await executed(from);
  await town.catchUp(alder.store);
  expect(rowsOf(alder.store)).toEqual(rowsOf(whole.store));
  const drops = town.events.filter(({ name }) => name === 'snapshot.peer_dropped');
  expect(drops.map(({ fields }) => fields.peer)).toEqual(['birch']);
  expect(town.events.at(-1)).toMatchObject({ name: 'snapshot.taken', fields: { from: 'cedar' } });
  return drops[0].fields.error;
}

const ofBirch = (op: string): number =>
  town.asked.filter((one) => one.of === 'birch' && one.op === op).length;

describe('a manifest', () => {
  it('of a header that no quorum certified is not believed', async () => {
    const bend = only('snapshot', (answer) => {
      const manifest = decodeManifest(answer);
      const header = new Uint8Array(manifest.header);
      // The state root.
      header[130] ^= 1;
      return encodeManifest({ ...manifest, header });
    });
    expect(await dropped(bend)).toBe('snapshot.bad_certificate');
    expect(ofBirch('snapshot-chunk')).toBe(0);
  });

  it('of two to the fortieth bytes is refused before the first chunk is asked for', async () => {
    const bend = only('snapshot', (answer) => {
      const fields = decodeCbor(answer, MANIFEST_BYTES_MAX) as { sizes: number[] };
      return encodeCbor({ ...fields, sizes: fields.sizes.map((size) => (size === 0 ? 0 : 2 ** 40 / 16)) });
    });
    expect(await dropped(bend)).toBe('snapshot.too_large');
    expect(ofBirch('snapshot-chunk')).toBe(0);
  });

  it('with nodes of another state is refused', async () => {
    const { store } = await executed(blocks.length - 5);
    const { nodes } = await copyState(currentState(store), new MemoryStore());
    const bend = only('snapshot', (answer) => encodeManifest({ ...decodeManifest(answer), nodes }));
    expect(await dropped(bend)).toBe('snapshot.bad_manifest');
  });

  it('that is old, from one who hides the newest blocks, is refused', async () => {
    const old = await executed(blocks.length - 5);
    await town.serve('cedar', whole.store);
    // Birch shows the true tip and gives an old snapshot: first in the order, as its tip is as new as any.
    const alder = town.links.join(memberId('alder'));
    const asked = encodeCbor({ epoch: 0 });
    const fresh = await alder.request(memberId('cedar'), 'headers', 'certified', asked);
    const bend = only('certified', () => fresh);
    expect(await dropped(bend, 0, old.store)).toBe('snapshot.old');
  });
});

describe('a chunk', () => {
  /** Chunks without the keys of this beginning, and a manifest with the sizes of these. */
  async function without(prefix: string): Promise<Bend> {
    const cut = (bytes: Uint8Array, number: number): Uint8Array =>
      concat(
        ...decodeChunk(bytes, 1, number)
          .filter(({ key }) => !fromUtf8(key).startsWith(prefix))
          .map(({ key, value }) => encodePair(key, value)),
      );
    const copy = await copyState(currentState(whole.store), new MemoryStore());
    return (op, answer, { number }) => {
      if (op === 'snapshot-chunk') return cut(answer, number);
      if (op !== 'snapshot') return answer;
      const sizes = copy.sizes.map((_, i) => cut(copy.chunk(i), i).length);
      expect(sizes).not.toEqual(copy.sizes);
      return encodeManifest({ ...decodeManifest(answer), sizes });
    };
  }

  it.each(['eligibility/', 'nonce/', 'validators/1', 'subject/'])(
    'without the rows of %s is not stored',
    async (prefix) => {
      expect(await dropped(await without(prefix))).toBe('snapshot.bad_chunk');
    },
  );

  it('with a changed value of the same length is not stored', async () => {
    const bend = only('snapshot-chunk', (answer) => {
      const bytes = new Uint8Array(answer);
      bytes[bytes.length - 1] ^= 1;
      return bytes;
    });
    expect(await dropped(bend)).toBe('snapshot.bad_chunk');
  });

  it('that is cut off is not stored', async () => {
    expect(await dropped(only('snapshot-chunk', (answer) => answer.subarray(0, -1)))).toBe(
      'snapshot.bad_chunk',
    );
  });

  it('that was verified is not asked for again when its giver lies about another', async () => {
    let given = 0;
    const bend = only('snapshot-chunk', (answer) => (++given > 5 ? new Uint8Array(1) : answer));
    expect(await dropped(bend)).toBe('snapshot.bad_chunk');
    const asked = town.asked.filter(({ op }) => op === 'snapshot-chunk').map(({ body }) => body.number);
    expect(asked.slice(0, 6)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(asked.slice(6)).toEqual([...Array(11).keys()].map((i) => i + 5));
  });
});

describe('a history', () => {
  it('whose log is another than that of the state root is refused: one verdict is turned', async () => {
    let turned = 0;
    const bend = only('history', (answer) => {
      const segment = decodeSegment(answer);
      const blocksOf = segment.blocks.map(({ encoded, results }) => ({
        encoded,
        results: results.map((result) => {
          const verdict = decodeCbor(result) as { granted?: boolean };
          if (verdict.granted === undefined) return result;
          turned++;
          return encodeCbor({ ...verdict, granted: !verdict.granted });
        }),
      }));
      return encodeSegment({ ...segment, blocks: blocksOf });
    });
    expect(await dropped(bend)).toBe('snapshot.bad_history');
    expect(turned).toBeGreaterThan(0);
  });

  it('with a proof that does not lead to the certified log is refused', async () => {
    const bend = only('history', (answer) => {
      const segment = decodeSegment(answer);
      return encodeSegment({
        blocks: segment.blocks.slice(0, 10),
        proof: segment.proof,
      });
    });
    expect(await dropped(bend)).toBe('snapshot.bad_history');
  });

  it('with a block left out is refused', async () => {
    const bend = only('history', (answer) => {
      const segment = decodeSegment(answer);
      return encodeSegment({ ...segment, blocks: segment.blocks.filter((_, i) => i !== 7) });
    });
    expect(await dropped(bend)).toBe('snapshot.bad_history');
  });

  it('whose last certificate is that of another block is refused', async () => {
    const bend = only('history', (answer) => {
      const segment = decodeSegment(answer);
      const last = new Uint8Array(segment.blocks[segment.blocks.length - 1].encoded);
      // Inside the last signature.
      last[last.length - 5] ^= 1;
      return encodeSegment({
        ...segment,
        blocks: [
          ...segment.blocks.slice(0, -1),
          { ...segment.blocks[segment.blocks.length - 1], encoded: last },
        ],
      });
    });
    expect(await dropped(bend)).toBe('snapshot.bad_history');
  });

  it('of other headers that old keys certified is forgotten once it does not lead to the header that is certified now', async () => {
    const forked = await executed(blocks.length, new Map([[9, 1]]));
    const bend = only('history', (_, { from, to }) => encodeSegment(readSegment(forked.store, from, to)));
    expect(await dropped(bend)).toBe('snapshot.forked');
  });
});

describe('tips', () => {
  it('of fewer than a quorum, or below the own height, lead to nothing', async () => {
    const { store } = await executed(10);
    const before = rowsOf(store);
    await town.serve('birch', whole.store);
    await town.catchUp(store);
    expect(rowsOf(store)).toEqual(before);
    // An eclipse: all who can be reached show what was true long ago.
    const old = await executed(6);
    for (const id of ['birch', 'cedar', 'dogwood']) await town.serve(id, old.store);
    await town.catchUp(store);
    expect(rowsOf(store)).toEqual(before);
    expect(town.events).toEqual([]);
    expect(readTip(store)?.height).toBe(10);
  });

  it('that differ: the newest counts, if only one of those asked shows it', async () => {
    const old = await executed(8);
    await town.serve('birch', old.store);
    await town.serve('cedar', old.store);
    await town.serve('dogwood', whole.store);
    const { store } = await executed(2);
    await town.catchUp(store);
    expect(rowsOf(store)).toEqual(rowsOf(whole.store));
  });

  it('that nobody can give a snapshot for leave everything to execution', async () => {
    const silent: Bend = only('snapshot', () => new Uint8Array([0xa0]));
    for (const id of ['birch', 'cedar', 'dogwood']) await town.serve(id, whole.store, silent);
    const alder = await executed(3);
    await town.catchUp(alder.store);
    expect(town.events.at(-1)).toEqual({ name: 'snapshot.given_up', fields: { height: 3 } });
    for (const block of blocks.slice(3)) await alder.apply(block);
    expect(alder.engine.head).toEqual(whole.engine.head);
  });
});
