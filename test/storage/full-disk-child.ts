/**
 * Fills a small file system through the stores, with a probe that always claims room, so that the disk itself has
 * to refuse. Prints what each store said as JSON.
 */
import { join } from 'node:path';
import { headerHash, openEmbeddedStore, openEnvironment, openHeaderStore } from '../../src/storage/index.ts';
import { seededBytes, seededRandom } from './seeded.ts';

const [dir] = process.argv.slice(2);
const freeBytes = () => Number.MAX_SAFE_INTEGER;
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error));

async function untilRefused(
  write: (i: number) => Promise<unknown>,
): Promise<{ done: number; code: unknown }> {
  for (let done = 0; ; done++) {
    try {
      await write(done);
    } catch (error) {
      return { done, code: codeOf(error) };
    }
  }
}

const random = seededRandom('full disk');
const env = openEnvironment(join(dir, 'state'), { tables: ['t'], freeBytes });
const headers = await openHeaderStore(join(dir, 'headers'), { random, freeBytes });
const payloads = openEmbeddedStore(join(dir, 'payloads'), { freeBytes });

const large = await untilRefused((i) => payloads.put(seededBytes(`large ${i}`, 700_000)));
const written = await untilRefused((i) =>
  env.write([{ table: 't', key: Buffer.from(`${i}`), value: seededBytes(`${i}`, 20_000) }]),
);
const header = (i: number) => seededBytes(`header ${i}`, 700);
const kept = await untilRefused((i) => headers.put(headerHash(header(i)), header(i)));
const afterwards = await untilRefused(() =>
  env.write([{ table: 't', key: Buffer.from('x'), value: new Uint8Array(1) }]),
);
const count = env.count('t');
await env.close();
await headers.close();
await payloads.close();
const reopening = await untilRefused(async () =>
  openEnvironment(join(dir, 'state'), { tables: ['t'], freeBytes }),
);
console.log(JSON.stringify({ large, written, kept, afterwards, count, reopening }));
