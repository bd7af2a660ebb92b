/** A member that is far behind takes a snapshot, and is then what one is that executed every block. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../../src/codec/bytes.ts';
import { decodeChain } from '../../../src/consensus/index.ts';
import { Generations, MemoryStore, readTip, stateRoot } from '../../../src/ledger/index.ts';
import { type Block, everyBlock, Member, rowsOf, Torn, Town } from './forge.ts';

const PEERS = ['birch', 'cedar', 'dogwood'];
let blocks: readonly Block[];
let town: Town;

beforeAll(async () => {
  blocks = await everyBlock();
});
beforeEach(() => {
  town = new Town();
});
afterEach(() => town.close());

/** A member that executed the first `height` blocks. */
async function executed(height: number, store = new MemoryStore()): Promise<Member> {
  const member = await Member.open(store);
  for (const block of blocks.slice(0, height)) await member.apply(block);
  return member;
}

describe('a member that comes back', () => {
  it('holds after the snapshot what executing gives, byte for byte, from nothing and from the middle', async () => {
    const whole = await executed(blocks.length);
    for (const id of PEERS) await town.serve(id, whole.store);
    for (const from of [0, 1, 30]) {
      const { store } = await executed(from);
      await town.catchUp(store);
      expect(rowsOf(store)).toEqual(rowsOf(whole.store));
    }
    expect(town.events.filter(({ name }) => name === 'snapshot.taken')).toHaveLength(3);
  });

  it('goes on from every height near a change of validators as consensus does, and executes the rest', async () => {
    const from = blocks.length - 12;
    const ahead = await executed(from);
    for (const id of PEERS) await town.serve(id, ahead.store);
    for (const block of blocks.slice(from)) {
      const store = new MemoryStore();
      await town.catchUp(store);
      const tip = readTip(store);
      const chain = decodeChain(tip?.resume ?? new Uint8Array());
      expect(chain).toEqual(ahead.chain);
      expect(rowsOf(store)).toEqual(rowsOf(ahead.store));
      const back = await Member.open(store, chain);
      await ahead.apply(block);
      await back.apply(block);
      expect(rowsOf(store)).toEqual(rowsOf(ahead.store));
    }
  });
});

describe('a machine that stops in the middle', () => {
  it('is where it was or at the certified height, whole, after every single write, and goes on from there', async () => {
    const height = 40;
    const whole = await executed(height);
    for (const id of PEERS) await town.serve(id, whole.store);
    const old = rowsOf((await executed(12)).store);
    const fresh = rowsOf(whole.store);
    let isNew = false;
    for (let writes = 0; !isNew || writes < 20; writes++) {
      const store = new Torn();
      await executed(12, store);
      store.writesLeft = writes;
      // Whatever a tear makes of the attempt: it is the machine that stopped.
      await town.catchUp(store).catch(() => undefined);
      const isWhole = store.writesLeft > 0;
      store.writesLeft = Number.POSITIVE_INFINITY;
      const tip = readTip(store)?.height;
      expect([12, height]).toContain(tip);
      const back = await Member.open(store, decodeChain(readTip(store)?.resume ?? new Uint8Array()));
      expect(toHex(stateRoot(new Generations(store)))).toBe(toHex(back.engine.head.stateRoot));
      const rows = rowsOf(store);
      for (const table of ['state', 'state-node', 'nonce-expiry'])
        expect(rows[table]).toEqual((tip === 12 ? old : fresh)[table]);
      for (const block of blocks.slice(tip, height + 1)) await back.apply(block);
      expect(back.engine.head.logRoot).toEqual((await executed(height + 1)).engine.head.logRoot);
      if (isWhole) isNew = true;
    }
    expect(isNew).toBe(true);
  });

  it('asks only for what it does not have yet when it starts again', async () => {
    const whole = await executed(blocks.length);
    for (const id of PEERS) await town.serve(id, whole.store);
    const store = new Torn();
    await executed(3, store);
    store.writesLeft = 9;
    await town.catchUp(store).catch(() => undefined);
    const chunks = (): number =>
      new Set(town.asked.filter(({ op }) => op === 'snapshot-chunk').map(({ body }) => body.number)).size;
    const first = chunks();
    expect(first).toBeGreaterThan(8);
    expect(first).toBeLessThan(16);
    town.asked.length = 0;
    store.writesLeft = Number.POSITIVE_INFINITY;
    await town.catchUp(store);
    expect(chunks()).toBe(16 - 9);
    expect(rowsOf(store)).toEqual(rowsOf(whole.store));
  });

  it('that executed blocks meanwhile begins its history anew', async () => {
    const whole = await executed(blocks.length);
    for (const id of PEERS) await town.serve(id, whole.store);
    const store = new Torn();
    const member = await executed(3, store);
    // All chunks, the spare state, and no more.
    for (let writes = 20; store.get('ledger-meta', utf8('history')) === undefined; writes++) {
      store.writesLeft = writes;
      await town.catchUp(store).catch(() => undefined);
    }
    store.writesLeft = Number.POSITIVE_INFINITY;
    expect(readTip(store)?.height).toBe(3);
    for (const block of blocks.slice(3, 9)) await member.apply(block);
    await town.catchUp(store);
    expect(rowsOf(store)).toEqual(rowsOf(whole.store));
  });
});
