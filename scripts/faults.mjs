// `npm run faults -- ledger|storage [options]`: real processes under load, killed, paused, cut off, filled up and damaged; then
// everything that was acknowledged is looked for. Compiled apart from dist/, so that a build meanwhile changes nothing.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

prepare();

const compiled = join(root, 'node_modules', '.cache', 'hippocrypt-faults');
rmSync(compiled, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const status = run(process.execPath, [tsc, '-p', join('test', 'faults', 'tsconfig.json')]);
if (status !== 0) process.exit(status);

const faults = spawn(
  process.execPath,
  ['--enable-source-maps', join(compiled, 'test', 'faults', 'main.js'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => faults.kill(signal));
faults.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
