/** A private Kubo daemon on loopback: own repository, no bootstrap, no swarm, offline, free port. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { create } from 'kubo-rpc-client';

/** The binary that HIPPOCRYPT_KUBO names, or undefined with a warning. `node scripts/kubo.mjs` builds one. */
export function kuboBinary(): string | undefined {
  const path = process.env.HIPPOCRYPT_KUBO;
  if (path !== undefined && existsSync(path)) return path;
  console.warn(
    'SKIPPED: the Kubo suites; set HIPPOCRYPT_KUBO to the path that `node scripts/kubo.mjs` prints',
  );
  return undefined;
}

export interface KuboDaemon {
  readonly url: string;
  /** Its HTTP gateway, when `Addresses.Gateway` was configured. */
  readonly gatewayUrl: string | undefined;
  /** Forgets every pin and block. */
  wipe(): Promise<void>;
  /** Ends the daemon by its own process id and removes its repository. */
  stop(): Promise<void>;
  /** Stops answering without closing connections, until `resume`. */
  pause(): void;
  resume(): void;
  /** SIGKILL, by its own process id. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same repository and port. */
  restart(): Promise<void>;
}

/**
 * Starts a daemon with Kubo's own default import settings, which differ from ours, and waits until it is ready. Its repository is
 * a directory of its own below `place`.
 */
export async function startKubo(
  binary: string,
  config: Record<string, unknown> = {},
  place: string = tmpdir(),
): Promise<KuboDaemon> {
  const repo = mkdtempSync(join(place, 'hippocrypt-kubo-'));
  const env = { ...process.env, IPFS_PATH: repo, IPFS_TELEMETRY: 'off' };
  const run = (...args: string[]) => {
    const { status, stderr } = spawnSync(binary, args, { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`ipfs ${args[0]} failed: ${stderr}`);
  };
  run('init', '--profile=test');
  run('bootstrap', 'rm', '--all');
  const settings = { 'Addresses.Swarm': [], 'Addresses.Gateway': [], 'Routing.Type': 'none', ...config };
  for (const [key, value] of Object.entries(settings)) run('config', '--json', key, JSON.stringify(value));

  const begin = (): ChildProcess =>
    spawn(binary, ['daemon', '--offline'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let daemon = begin();
  const { url, gatewayUrl } = await readyUrls(daemon);
  return {
    url,
    gatewayUrl,
    async wipe() {
      const client = create({ url });
      for (const type of ['recursive', 'direct'] as const) {
        for await (const { cid } of client.pin.ls({ type })) {
          await client.pin.rm(cid, { recursive: type === 'recursive' });
        }
      }
      for await (const { err } of client.repo.gc()) if (err) throw err;
    },
    async stop() {
      daemon.kill('SIGCONT');
      daemon.kill('SIGINT');
      if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit');
      rmSync(repo, { recursive: true, force: true });
    },
    pause: () => daemon.kill('SIGSTOP'),
    resume: () => daemon.kill('SIGCONT'),
    async kill() {
      daemon.kill('SIGKILL');
      if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit');
    },
    async restart() {
      run('config', '--json', 'Addresses.API', JSON.stringify(`/ip4/127.0.0.1/tcp/${new URL(url).port}`));
      daemon = begin();
      await readyUrls(daemon);
    },
  };
}

async function readyUrls(daemon: ChildProcess): Promise<{ url: string; gatewayUrl: string | undefined }> {
  if (daemon.stdout === null) throw new Error('the daemon has no output to read');
  const urls = new Map<string, string>();
  for await (const line of createInterface({ input: daemon.stdout })) {
    const listening = /^(RPC API|Gateway) server listening on \/ip4\/127\.0\.0\.1\/tcp\/(\d+)/.exec(line);
    if (listening) urls.set(listening[1], `http://127.0.0.1:${listening[2]}`);
    const url = urls.get('RPC API');
    if (line.startsWith('Daemon is ready') && url !== undefined) {
      daemon.stdout.resume();
      return { url, gatewayUrl: urls.get('Gateway') };
    }
  }
  throw new Error('the daemon ended before it was ready');
}
