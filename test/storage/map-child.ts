/**
 * Opens an environment in a process whose address space is limited, takes what is left but some, and writes until it is refused.
 * Prints what came of it as JSON; without a limit, the address space that the process itself takes.
 */
import { readFileSync } from 'node:fs';
import { openEnvironment } from '../../src/storage/index.ts';
import { addressLimit, freeAddresses } from '../../src/storage/lmdb/address-space.ts';
import { seededBytes } from './seeded.ts';

const [dir, leave] = process.argv.slice(2);
const limit = addressLimit();
if (limit === undefined) {
  const kib = /^VmPeak:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  console.log(JSON.stringify({ peak: 1024 * Number(kib) }));
  process.exit(0);
}
// Never touched: addresses, not memory.
const taken = new ArrayBuffer(Math.max(0, freeAddresses(limit) - Number(leave)));
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error));

const said: Record<string, unknown> = { taken: taken.byteLength };
try {
  const env = openEnvironment(dir, { tables: ['t'], freeBytes: () => Number.MAX_SAFE_INTEGER });
  let done = 0;
  for (;;) {
    try {
      const value = seededBytes(`row ${done}`, 64).slice();
      const long = new Uint8Array(2 ** 20);
      long.set(value, (done % 16) * 65_536);
      await env.write([{ table: 't', key: Buffer.from(`${done}`), value: long }]);
      done += 1;
    } catch (error) {
      said.refused = codeOf(error);
      break;
    }
  }
  said.done = done;
  await env.write([{ table: 't', key: Buffer.from('0'), remove: true }]);
  said.count = env.count('t');
  await env.close();
} catch (error) {
  said.failed = codeOf(error);
}
console.log(JSON.stringify(said));
