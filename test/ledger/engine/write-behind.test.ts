import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/codec/bytes.ts';
import { PENDING_BYTES_MAX, WRITE_BYTES } from '../../../src/ledger/engine/write-behind.ts';
import {
  type KvOp,
  type KvRange,
  type KvReader,
  MemoryStore,
  WriteBehind,
} from '../../../src/ledger/index.ts';

const key = (n: number): Uint8Array => Uint8Array.of(n);
const put = (n: number, value: number, table = 't'): KvOp => ({ table, key: key(n), value: key(value) });
const remove = (n: number, table = 't'): KvOp => ({ table, key: key(n), remove: true });
const rows = (store: KvReader, range: KvRange = {}): number[][] =>
  [...store.range('t', range)].map(([k, v]) => [k[0], v[0]]);

/** A disk that counts its commits and lets a test hold or refuse them. */
class Disk extends MemoryStore {
  readonly commits: number[] = [];
  held: Promise<void> = Promise.resolve();
  failing = false;

  override async write(ops: readonly KvOp[]): Promise<void> {
    await this.held;
    if (this.failing) throw new Error('disk full');
    this.commits.push(ops.length);
    await super.write(ops);
  }
}

/** A gate that a test opens. */
function gate(): { wait: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { wait, open };
}

describe('a store that writes behind', () => {
  it('shows what was written at once and puts it on the disk in one commit', async () => {
    const disk = new Disk();
    const store = new WriteBehind(disk, 1);
    for (let i = 0; i < 10; i++) await store.write([put(1, i), put(i, i)]);
    expect(store.get('t', key(1))).toEqual(key(9));
    expect(disk.get('t', key(1))).toBeUndefined();
    await store.durable();
    expect(disk.commits).toEqual([10]);
    expect(disk.get('t', key(1))).toEqual(key(9));
  });

  it('shows what is on its way, also when more comes meanwhile', async () => {
    const disk = new Disk();
    const { wait, open } = gate();
    disk.held = wait;
    const store = new WriteBehind(disk, 0);
    await store.write([put(1, 1), put(2, 1)]);
    const first = store.durable();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await store.write([put(2, 2), remove(1)]);
    expect([store.get('t', key(1)), store.get('t', key(2))]).toEqual([undefined, key(2)]);
    open();
    await first;
    expect(disk.commits).toEqual([2]);
    await store.durable();
    expect(rows(disk)).toEqual([[2, 2]]);
  });

  it('answers like a store without a disk, whatever is written, removed and read in between', async () => {
    let seed = 42;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % n;
    };
    const model = new MemoryStore();
    const store = new WriteBehind(new Disk(), 0);
    for (let round = 0; round < 600; round++) {
      const ops = Array.from({ length: 1 + random(4) }, () =>
        random(3) === 0 ? remove(random(20)) : put(random(20), random(256)),
      );
      await Promise.all([model.write(ops), store.write(ops)]);
      if (random(5) === 0) await store.durable();
      if (random(7) === 0) await new Promise((resolve) => setImmediate(resolve));
      const range: KvRange = {
        ...(random(2) === 0 && { gte: key(random(20)) }),
        ...(random(2) === 0 && { lt: key(random(22)) }),
        ...(random(2) === 0 && { limit: 1 + random(6) }),
        reverse: random(2) === 0,
      };
      expect(rows(store, range)).toEqual(rows(model, range));
      expect(store.get('t', key(round % 20))).toEqual(model.get('t', key(round % 20)));
    }
  });

  it('does not wait for more when there is much', async () => {
    const disk = new Disk();
    const store = new WriteBehind(disk, 1_000_000);
    await store.write([{ table: 't', key: key(1), value: new Uint8Array(WRITE_BYTES - 2) }]);
    await Promise.resolve();
    expect(disk.commits).toEqual([]);
    await store.write([put(2, 2)]);
    await store.durable();
    expect(disk.commits).toEqual([2]);
  });

  it('makes a writer wait once so much is on its way that memory would grow', async () => {
    const disk = new Disk();
    const { wait, open } = gate();
    disk.held = wait;
    const store = new WriteBehind(disk);
    const written: number[] = [];
    const write = (n: number, bytes: number): Promise<unknown> =>
      store.write([{ table: 't', key: key(n), value: new Uint8Array(bytes) }]).then(() => written.push(n));
    await write(1, PENDING_BYTES_MAX - 2);
    const second = write(2, 8);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual([1]);
    open();
    await second;
    expect(written).toEqual([1, 2]);
  });

  it('passes a refusal on to whoever waits and to every later writer', async () => {
    const disk = new Disk();
    disk.failing = true;
    const store = new WriteBehind(disk, 0);
    await store.write([put(1, 1)]);
    await expect(store.durable()).rejects.toThrow('disk full');
    await expect(store.write([put(2, 2)])).rejects.toThrow('disk full');
    await expect(store.durable()).rejects.toThrow('disk full');
    expect(store.get('t', key(1))).toEqual(key(1));
  });

  it('keeps tables and long keys apart', async () => {
    const store = new WriteBehind(new Disk());
    const long = fromHex('00ff80'.repeat(40), 120);
    await store.write([put(1, 1, 'a'), { table: 'b', key: long, value: key(7) }]);
    expect([store.get('a', key(1)), store.get('b', key(1)), store.get('b', long)]).toEqual([
      key(1),
      undefined,
      key(7),
    ]);
    await store.durable();
  });
});
