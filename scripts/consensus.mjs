// The long evidence for docs/consensus.md, from dist/ (npm run build). One JSON line a result on stdout, so that a log can
// be read while it grows and a run that was stopped loses nothing but its last line.
//   node scripts/consensus.mjs seeds --from 1 --count 20000     seeds over n = 4, 5, 6, 7, 9, 10, 12, 13
//   node scripts/consensus.mjs guards [--only GUARD,...] [--starts 20] [--most 200]    median seeds to find, each guard left out
//   node scripts/consensus.mjs exhaustive [--from 5]             every schedule: 1 height x 4 views, 2 heights x 2 views
// Exit codes: 0 as it must be, 1 a violation, a fork or a guard that was not missed, 2 wrong usage.
import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '20000' },
    only: { type: 'string' },
    starts: { type: 'string', default: '20' },
    most: { type: 'string', default: '200' },
  },
});
const [what] = positionals;
const MEMBERS = [4, 5, 6, 7, 9, 10, 12, 13];
const SEARCHES = [
  ...[0, 1, 2, 3].map((liar) => ({ byzantine: [liar], views: 4 })),
  ...[0, 1, 2, 3].map((liar) => ({ byzantine: [liar], heights: 2, views: 2 })),
  ...[0, 1, 2, 3].map((liar) => ({ byzantine: [liar], views: 3, crash: 'restart' })),
  ...[0, 1, 2, 3].map((liar) => ({ byzantine: [liar], heights: 2, views: 2, crash: 'amnesia' })),
  { members: 5, byzantine: [1], views: 3 },
  { members: 6, byzantine: [1], views: 2 },
  { members: 7, byzantine: [0, 1], views: 2 },
  { members: 8, byzantine: [0, 1], views: 2 },
  { members: 9, byzantine: [0, 1], views: 2 },
];
const STATES_MAX = 120_000_000;

const print = (line) => console.log(JSON.stringify(line));
const seconds = (since) => Math.round(process.cpuUsage(since).user / 1e5) / 10;
const sim = (file) => import(new URL(`../dist/consensus/sim/${file}`, import.meta.url).href);

let failed = false;
switch (what) {
  case 'seeds': {
    const { runSimulation } = await sim('run.js');
    const since = process.cpuUsage();
    let done = 0;
    const result = runSimulation({
      seeds: Number(values.count),
      firstSeed: Number(values.from),
      members: MEMBERS,
      onSeed(seed, violations) {
        done += 1;
        if (violations.length > 0) print({ seed, members: MEMBERS[seed % MEMBERS.length], violations });
        if (done % 100 === 0) print({ done, next: seed + 1, cpuSeconds: seconds(since) });
        return undefined;
      },
    });
    failed = result.failingSeeds.length > 0;
    print({
      seeds: result.seeds,
      events: result.steps,
      failing: result.failingSeeds,
      cpuSeconds: seconds(since),
    });
    break;
  }
  case 'guards': {
    const { GUARDS, seedsToFind } = await sim('guards.js');
    for (const guard of values.only?.split(',') ?? GUARDS) {
      if (!GUARDS.includes(guard)) throw new Error(`expected one of ${GUARDS.join(', ')}, got ${guard}`);
      const since = process.cpuUsage();
      const found = Array.from({ length: Number(values.starts) }, (_, start) =>
        seedsToFind(guard, 10_000 * (start + 1), Number(values.most)),
      );
      const seeds = found.map((run) => (run.text === undefined ? Infinity : run.seeds)).sort((a, b) => a - b);
      const missed = seeds.filter((count) => count === Infinity).length;
      const median = seeds[(seeds.length - 1) >> 1];
      failed ||= median === Infinity;
      print({
        guard,
        median,
        least: seeds[0],
        most: seeds.at(-1),
        missed,
        text: found.find((run) => run.text)?.text,
        cpuSeconds: seconds(since),
      });
    }
    break;
  }
  case 'exhaustive': {
    const { searchExhaustively } = await sim('exhaustive/search.js');
    for (const options of SEARCHES.slice(Number(values.from) - 1)) {
      const since = process.cpuUsage();
      const { states, depth, exhausted, fork } = searchExhaustively({ ...options, statesMax: STATES_MAX });
      failed ||= fork !== undefined;
      print({ ...options, states, depth, exhausted, fork, cpuSeconds: seconds(since) });
    }
    break;
  }
  default:
    console.error('expected seeds, guards or exhaustive');
    process.exit(2);
}
process.exitCode = failed ? 1 : 0;
