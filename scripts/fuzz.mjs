// `npm run fuzz -- [--cases N] [--seed S]`: damages headers, keys, parts, rings, shares, policies, ceremony messages and
// payloads, and holds the CP-ABE core to success or a typed error, in bounded time and memory. The same seed repeats the
// same cases. Exit codes: 0 nothing found, 1 a finding, a hang or growth, 2 wrong usage.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare, root } from './prepare.mjs';

/** A case takes milliseconds; one that is still there after this hangs. */
const HANG_MS = 120_000;
const LOOK_MS = 5000;

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '20000' }, seed: { type: 'string', default: 'abe' } },
});
const cases = Number(values.cases);
if (!Number.isInteger(cases) || cases < 1) {
  console.error('expected --cases N with N at least 1');
  process.exit(2);
}
prepare();
// Ten targets; a twentieth as many again run on the second backend.
const perTarget = Math.ceil(cases / 10.5);
const folder = mkdtempSync(join(tmpdir(), 'hippocrypt-fuzz-'));
const progress = join(folder, 'progress');
console.log(`fuzz: at least ${cases} cases, seed "${values.seed}"`);
const child = spawn(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/abe/fuzz', '--testTimeout=0'],
  {
    cwd: root,
    stdio: 'inherit',
    // A group of its own: the tests run in a process below this one, which has to end with it.
    detached: true,
    env: { ...process.env, FUZZ_CASES: String(perTarget), FUZZ_SEED: values.seed, FUZZ_PROGRESS: progress },
  },
);
let seen = { text: '', at: Date.now() };
let hung = false;
const watch = setInterval(() => {
  let text = '';
  try {
    text = readFileSync(progress, 'utf8').trim();
  } catch {
    // Not begun.
  }
  if (text !== seen.text) seen = { text, at: Date.now() };
  if (text === '' || Date.now() - seen.at < HANG_MS || hung) return;
  hung = true;
  console.error(`HANG: seed "${values.seed}", ${text} has run for ${HANG_MS / 1000} s`);
  process.kill(-child.pid, 'SIGKILL');
}, LOOK_MS);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.kill(-child.pid, signal));
child.on('exit', (code) => {
  clearInterval(watch);
  rmSync(folder, { recursive: true, force: true });
  const status = hung ? 1 : (code ?? 1);
  console.log(`fuzz: seed "${values.seed}": ${status === 0 ? 'nothing found' : 'FAILED'}`);
  process.exit(status);
});
