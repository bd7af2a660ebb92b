// Installs from the lock file and builds, each only if something changed since the last time.
// Plain Node without dependencies: it runs on a clone where nothing is installed yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Hippocrypt needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (done.error !== undefined) throw done.error;
  return done.status ?? 1;
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const mark = join(root, 'node_modules', '.hippocrypt-lock');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return;
  console.error('Installing from the lock file ...');
  const status = run(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (status !== 0) process.exit(status);
  writeFileSync(mark, lock);
}

function newest(dir) {
  let last = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    last = Math.max(last, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return last;
}

function build() {
  const mark = join(root, 'dist', '.built');
  const sources = Math.max(newest(join(root, 'src')), statSync(join(root, 'tsconfig.build.json')).mtimeMs);
  if (existsSync(mark) && statSync(mark).mtimeMs >= sources) return;
  console.error('Building ...');
  const status = run(process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    'tsconfig.build.json',
  ]);
  if (status !== 0) process.exit(status);
  mkdirSync(dirname(mark), { recursive: true });
  writeFileSync(mark, '');
}

export function prepare() {
  install();
  build();
}
