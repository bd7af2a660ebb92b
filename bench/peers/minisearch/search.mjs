// MiniSearch over plaintext as a peer of bench/search.ts: the same arguments and the same answer as fts5.py beside it.
// Its documents are texts of words, as its users give them; a query is all words, exact, with the ranking that it always does.
import { readFileSync } from 'node:fs';
import MiniSearch from 'minisearch';

const [path, asked, runs] = process.argv.slice(2);
const numbers = new Uint32Array(new Uint8Array(readFileSync(path)).buffer);
const [documents, width] = numbers;

const begin = performance.now();
const index = new MiniSearch({
  fields: ['w'],
  tokenize: (text) => text.split(' '),
  processTerm: (term) => term,
});
for (let id = 0; id < documents; id++) {
  const words = numbers.subarray(2 + id * width, 2 + (id + 1) * width);
  index.add({ id, w: Array.from(words, (word) => `k${word}`).join(' ') });
}
const buildS = (performance.now() - begin) / 1000;

const answers = JSON.parse(asked).map((words) => {
  const text = words.map((word) => `k${word}`).join(' ');
  const once = () => index.search(text, { combineWith: 'AND', prefix: false, fuzzy: false });
  let found = once();
  const ms = [];
  const cpu = process.cpuUsage();
  for (let run = 0; run < Number(runs); run++) {
    const start = performance.now();
    found = once();
    ms.push(performance.now() - start);
  }
  const { user, system } = process.cpuUsage(cpu);
  return {
    hits: found.length,
    sum: found.reduce((sum, { id }) => sum + id, 0),
    ms: ms.sort((a, b) => a - b),
    cpu_ms: (user + system) / 1000 / Number(runs),
  };
});
const manifest = new URL('node_modules/minisearch/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
const rssMib = Math.round(process.memoryUsage.rss() / 2 ** 20);
process.stdout.write(JSON.stringify({ version, build_s: buildS, rss_mib: rssMib, answers }));
