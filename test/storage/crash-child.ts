/**
 * The process that the crash tests kill. It stores, deletes, collects and writes for ever, and tells on stdout, with one
 * unbuffered write a line, what has begun (`begin`), what goes on inside (`mark`) and what was acknowledged.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { u32be } from '../../src/codec/bytes.ts';
import { headerHash, openEmbeddedStore, openEnvironment, openHeaderStore } from '../../src/storage/index.ts';
import { crashObject, seededBytes, seededRandom } from './seeded.ts';

const [dir, seed] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);

async function* marked(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) {
    say('mark');
    yield bytes.subarray(at, at + 100_000);
  }
}

const store = openEmbeddedStore(join(dir, 'payloads'));
const headers = await openHeaderStore(join(dir, 'headers'), { random: seededRandom(seed) });
const env = openEnvironment(join(dir, 'state'), { tables: ['a', 'b'] });
const live: string[] = [];
for (let i = 0; ; i++) {
  const object = crashObject(seed, i);
  const { cid } = await store.put(marked(object));
  live.push(cid);
  say(`stored ${i} ${cid}`);
  const small = await store.putMany([0, 1, 2].map((n) => seededBytes(`${seed}/${i}/small/${n}`, 300)));
  live.push(...small.map((item) => item.cid));
  for (const [n, item] of small.entries()) say(`small ${i} ${n} ${item.cid}`);
  const header = seededBytes(`${seed}/${i}/header`, 700);
  await headers.put(headerHash(header), header);
  say(`header ${i}`);
  if (i % 2 === 1) {
    await headers.delete(headerHash(seededBytes(`${seed}/${i - 1}/header`, 700)));
    say(`deleted ${i - 1}`);
  }
  const pair = (table: string) => ({ table, key: u32be(i), value: object.subarray(0, 3000) });
  await env.write([pair('a'), pair('b')]);
  say(`pair ${i}`);
  // Objects that nobody keeps: one is marked by this collection, that of the round before is removed by it.
  await store.put(seededBytes(`${seed}/${i}/unkept`, 1_300_000));
  await store.collect(live, 0, i);
}
