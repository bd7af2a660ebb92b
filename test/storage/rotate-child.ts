/** The process that the rotation test kills: rotates a keystore from one key file to the next for ever, and says each that is done. */
import { writeSync } from 'node:fs';
import { openKeystore } from '../../src/storage/index.ts';
import { seededBytes } from './seeded.ts';

const [dir] = process.argv.slice(2);
const random = (n: number) => crypto.getRandomValues(new Uint8Array(n));
const keystore = await openKeystore(dir, { keyFile: seededBytes('key 0', 64) }, { random });
for (let i = 1; ; i++) {
  await keystore.rotate({ keyFile: seededBytes(`key ${i}`, 64) });
  writeSync(1, `${i}\n`);
}
