// `npm run bench [-- SUITE...] [options]`: installs and builds if needed, compiles the benches, runs bench/main.ts.
//
// Node 20 runs no TypeScript, and a loader would sit in what is measured. So the compiler that builds dist/ writes
// benches and sources together into a cache that Node resolves packages from; types were checked by `npm run types`.
// Two seconds, no dependency beyond the lock file.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

prepare();

const compiled = join(root, 'node_modules', '.cache', 'hippocrypt-bench');
// A suite that was removed must not run from an earlier compilation.
rmSync(compiled, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const status = run(process.execPath, [tsc, '-p', join('bench', 'harness', 'tsconfig.json')]);
if (status !== 0) process.exit(status);
// Peers are programs of other languages, looked for beside the suite that runs them.
const peers = join(root, 'bench', 'peers');
if (existsSync(peers)) cpSync(peers, join(compiled, 'bench', 'peers'), { recursive: true });

const bench = spawn(
  process.execPath,
  ['--enable-source-maps', join(compiled, 'bench', 'main.js'), '--root', root, ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => bench.kill(signal));
bench.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
