/**
 * Ports for servers that a test starts later, in processes of their own. They lie below the range from which the
 * system answers `listen(0)` and dials out, so nobody is given one in between, and a file for each keeps the other
 * processes of a test run away for as long as this one lives.
 */
import { mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FIRST = 20_000;
const COUNT = 12_000;
const RESERVATIONS = join(tmpdir(), `hippocrypt-test-ports-${process.getuid?.() ?? 0}`);

const held = new Set<number>();
let next = (process.pid * 101) % COUNT;

process.once('exit', () => {
  for (const port of held) rmSync(fileOf(port), { force: true });
});

/** The first of `count` ports in a row on loopback that no other test holds and nobody listens on. */
export async function reservePorts(count: number): Promise<number> {
  for (let tried = 0, row = 0; tried < COUNT; tried++) {
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    row = reserve(port) && (await isFree(port)) ? row + 1 : 0;
    if (row === count) return port - count + 1;
    if (next === 0) row = 0;
  }
  throw new Error(`no ${count} free ports in a row`);
}

function reserve(port: number): boolean {
  mkdirSync(RESERVATIONS, { recursive: true });
  const file = fileOf(port);
  try {
    writeSync(openSync(file, 'wx'), String(process.pid));
  } catch {
    // Of a run that was killed: free for the next time round. Two that see this at once still meet at `wx`.
    if (!isHeld(file)) rmSync(file, { force: true });
    return false;
  }
  held.add(port);
  return true;
}

function isHeld(file: string): boolean {
  try {
    process.kill(Number(readFileSync(file, 'utf8')) || process.pid, 0);
    return true;
  } catch {
    return false;
  }
}

const fileOf = (port: number): string => join(RESERVATIONS, String(port));

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
