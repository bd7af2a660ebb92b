/**
 * Collection on a Kubo daemon. An object is kept by a pin named `hippocrypt`; the first run that finds it dead
 * renames the pin to `hippocrypt dead <ms>`, the first one after the grace that still does removes it and then
 * runs the daemon's own collection. The names live in the daemon, so a restarted node goes on where it was.
 */
import type { KuboRPCClient } from 'kubo-rpc-client';
import type { CID } from 'multiformats/cid';
import { hasCode } from '../codec/errors.ts';
import { parseCid } from './cid.ts';
import { type KuboCalls, offline } from './kubo-calls.ts';
import type { WriteGate } from './write-gate.ts';

export const KEPT_NAME = 'hippocrypt';
const DEAD_NAME = /^hippocrypt dead ([0-9]{1,16})$/;

interface OurPin {
  readonly cid: CID;
  readonly recursive: boolean;
  /** When a run first found it dead. */
  readonly deadSince: number | undefined;
}

/** Holds the set of live CIDs in memory, about 100 bytes each. */
export async function collectPins(
  client: KuboRPCClient,
  calls: KuboCalls,
  gate: WriteGate,
  { live, graceMs, now }: { live: AsyncIterable<string> | Iterable<string>; graceMs: number; now: number },
): Promise<{ removed: number; kept: number }> {
  const alive = new Map<string, CID>();
  for await (const text of live) {
    const cid = parseCid(text);
    alive.set(nameOf(cid), cid);
  }
  const rename = (pin: OurPin, name: string) =>
    calls.retry((signal) => client.pin.add(pin.cid, { ...offline(signal), recursive: pin.recursive, name }));

  let kept = 0;
  const expired: OurPin[] = [];
  for (const pin of await ourPins(client, calls)) {
    const isLive = alive.delete(nameOf(pin.cid));
    if (isLive) {
      if (pin.deadSince !== undefined) await rename(pin, KEPT_NAME);
    } else if (pin.deadSince === undefined) {
      await rename(pin, `${KEPT_NAME} dead ${now}`);
    } else if (pin.deadSince <= now - graceMs) {
      expired.push(pin);
      continue;
    }
    kept += 1;
  }
  // Live objects that came block by block have no pin of their own yet.
  for (const cid of alive.values()) await pinIfComplete(client, calls, cid);
  const removed = await gate.alone(() => removePins(client, calls, expired));
  return { removed, kept: kept + expired.length - removed };
}

function nameOf(cid: CID): string {
  return cid.toV1().toString();
}

async function ourPins(client: KuboRPCClient, calls: KuboCalls): Promise<OurPin[]> {
  const pins: OurPin[] = [];
  for (const type of ['recursive', 'direct'] as const) {
    const found = await calls.retry((signal) =>
      all(client.pin.ls({ ...offline(signal), type, names: true })),
    );
    for (const { cid, name } of found) {
      const dead = DEAD_NAME.exec(name ?? '');
      if (name !== KEPT_NAME && dead === null) continue;
      pins.push({ cid, recursive: type === 'recursive', deadSince: dead ? Number(dead[1]) : undefined });
    }
  }
  return pins;
}

async function pinIfComplete(client: KuboRPCClient, calls: KuboCalls, cid: CID): Promise<void> {
  try {
    await calls.retry((signal) => client.pin.add(cid, { ...offline(signal), name: KEPT_NAME }));
  } catch (error) {
    if (!hasCode(error, 'storage.not_found')) throw error;
  }
}

/** Alone: no upload waits for its pin now. A pin that was renamed since it was listed has been stored again. */
async function removePins(
  client: KuboRPCClient,
  calls: KuboCalls,
  expired: readonly OurPin[],
): Promise<number> {
  if (expired.length === 0) return 0;
  const still = new Map((await ourPins(client, calls)).map((pin) => [nameOf(pin.cid), pin.deadSince]));
  let removed = 0;
  for (const pin of expired) {
    if (still.get(nameOf(pin.cid)) !== pin.deadSince) continue;
    await calls.retry((signal) => client.pin.rm(pin.cid, { ...offline(signal), recursive: pin.recursive }));
    removed += 1;
  }
  if (removed > 0) await calls.once(() => all(client.repo.gc({ quiet: true })));
  return removed;
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
