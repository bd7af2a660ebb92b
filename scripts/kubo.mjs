// Builds the Kubo daemon that the storage suite runs against, and prints its path.
//
//   HIPPOCRYPT_KUBO=$(node scripts/kubo.mjs) npx vitest run test/storage
//
// The source comes through the Go module proxy. `go install path@version` refuses Kubo because its go.mod has an
// exclude block, so the module is copied and built in place. The binary is cached under HIPPOCRYPT_KUBO_CACHE,
// or else under the user's cache directory, never in the checkout. Needs Go 1.26.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

// 0.43.1 replaces go-libp2p by a fork that the module proxy does not carry.
const VERSION = 'v0.43.0';

const cache =
  process.env.HIPPOCRYPT_KUBO_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hippocrypt');
const binary = join(cache, `kubo-${VERSION}`, process.platform === 'win32' ? 'ipfs.exe' : 'ipfs');

function go(args, cwd) {
  const { status, stdout, error } = spawnSync('go', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    // A workspace or vendor mode around the cache must not take part in the build.
    env: { ...process.env, GOWORK: 'off', GOFLAGS: '-buildvcs=false' },
  });
  if (error) throw new Error(`go does not run: ${error.message}`);
  if (status !== 0) throw new Error(`go ${args[0]} ${args[1]} ended with ${status}`);
  return stdout;
}

function build() {
  mkdirSync(join(cache, `kubo-${VERSION}`), { recursive: true });
  const work = mkdtempSync(join(cache, 'build-'));
  try {
    console.error(`building Kubo ${VERSION}; the first time takes some minutes`);
    const { Dir } = JSON.parse(go(['mod', 'download', '-json', `github.com/ipfs/kubo@${VERSION}`], work));
    const source = join(work, 'source');
    cpSync(Dir, source, { recursive: true });
    spawnSync('chmod', ['-R', 'u+w', source]);
    go(['build', '-trimpath', '-o', join(work, 'ipfs'), './cmd/ipfs'], source);
    renameSync(join(work, 'ipfs'), binary);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  if (!existsSync(binary)) build();
  console.log(binary);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
