/**
 * Catch-up by snapshot (ledger-security rule 28): a member that is further behind than a threshold takes the state of a certified
 * height, and the blocks up to there, without executing them, and executes only the rest. It is whole afterwards: every block and
 * entry, the same bytes that executing gives. A member that cannot get a snapshot executes everything, as before.
 *
 * Runs before the ledger is opened and before consensus starts. So nothing is voted on, released or answered from a state
 * that is half fetched; consensus then lets this member vote as it lets any that starts (rule 21).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MemberLink } from '../authority/link.ts';
import { equalBytes } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { type Genesis, quorumSize } from '../consensus/index.ts';
import {
  adopt,
  buildState,
  CommittedState,
  decodeCertified,
  decodeManifest,
  decodeSegment,
  Facts,
  forgetHistory,
  type Generations,
  History,
  hasChunk,
  type Manifest,
  type Places,
  placesOf,
  putChunk,
  STATE,
  sweep,
} from '../ledger/index.ts';
import {
  type Believed,
  believe,
  resumeAt,
  type Standing,
  standingOf,
  verifySegment,
} from './snapshot-trust.ts';

/** A member that is further behind takes a snapshot. */
export const BEHIND_BLOCKS = 10_000;
/** How long a start waits for a quorum's tips. */
export const TIPS_MS = 3_000;
const TIPS_POLL_MS = 100;
const ASK_TIMEOUT_MS = 3_000;
const FETCH_TIMEOUT_MS = 30_000;
/** How long a member may prepare its copy of the state. */
const PREPARE_MS_MAX = 120_000;
const PREPARE_POLL_MS = 250;

export interface SnapshotOptions {
  /** Blocks behind the newest tip from which on a snapshot is taken; `BEHIND_BLOCKS` unless told. */
  readonly behind?: number;
  /** How long a start waits for the others' tips; `TIPS_MS` unless told. */
  readonly waitMs?: number;
}

export interface CatchUpOptions extends SnapshotOptions {
  /** The ledger's store, with at least a genesis, which nobody else writes meanwhile. */
  readonly store: Generations;
  /** As consensus has it. */
  readonly genesis: Genesis;
  readonly link: MemberLink;
  readonly event: (name: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Resolves when this member is at a certified height near the newest tip, or was not far behind, or nobody could help. */
export async function catchUpBySnapshot(options: CatchUpOptions): Promise<void> {
  const { store, event, behind = BEHIND_BLOCKS } = options;
  const standing = standingOf(store, new CommittedState(store), options.genesis);
  const tips = await newestTips(options, standing);
  const [newest] = tips;
  if (newest === undefined || newest.height - standing.end.height <= behind) return sweep(store);
  event('snapshot.begun', { height: standing.end.height, newest: newest.height });
  for (const { member } of tips) {
    try {
      const height = await fetchFrom(options, standing, member, newest.height - behind);
      return event('snapshot.taken', { height, from: member });
    } catch (error) {
      // What was verified so far stays; the next member is asked for the rest.
      event('snapshot.peer_dropped', {
        peer: member,
        error: error instanceof CodedError ? error.code : String(error),
      });
    }
  }
  event('snapshot.given_up', { height: standing.end.height });
}

interface VerifiedTip {
  readonly member: MemberId;
  readonly height: number;
}

/**
 * Verified tips above the own height, the newest first; none unless a quorum, this member counted, has answered. Two quorums share an honest
 * member, so that one of those asked knows a tip that is as new as any decided when it was asked, whatever the others hide.
 */
async function newestTips(options: CatchUpOptions, standing: Standing): Promise<readonly VerifiedTip[]> {
  const { link, store, waitMs = TIPS_MS } = options;
  const members = new CommittedState(store).get(STATE.members) ?? [];
  const others = members.filter((id) => id !== link.self).map(memberId);
  const needed = quorumSize(members.length) - (others.length < members.length ? 1 : 0);
  const answers = new Map<MemberId, number>();
  const giveUp = performance.now() + waitMs;
  for (;;) {
    const asked = others.filter((member) => !answers.has(member));
    await Promise.all(
      asked.map(async (member) => {
        const height = await tipOf(link, standing, member).catch(() => undefined);
        if (height !== undefined) answers.set(member, height);
      }),
    );
    if (answers.size >= needed || performance.now() >= giveUp) break;
    await delay(TIPS_POLL_MS);
  }
  if (answers.size < needed) return [];
  return [...answers]
    .map(([member, height]) => ({ member, height }))
    .filter(({ height }) => height > standing.end.height)
    .sort((a, b) => b.height - a.height);
}

/** The height of a member's newest header, verified; 0 for one that has no block yet. */
async function tipOf(link: MemberLink, standing: Standing, member: MemberId): Promise<number> {
  try {
    const asked = encodeCbor({ epoch: standing.epoch });
    const bytes = await link.request(member, 'headers', 'certified', asked, ASK_TIMEOUT_MS);
    return believe(decodeCertified(bytes), standing.anchor).header.height;
  } catch (error) {
    if (hasCode(error, 'snapshot.none')) return 0;
    throw error;
  }
}

/** Takes everything that is still missing from one member. Answers the height; throws what is wrong with what it gave. */
async function fetchFrom(
  options: CatchUpOptions,
  standing: Standing,
  member: MemberId,
  lowest: number,
): Promise<number> {
  const { store } = options;
  const manifest = await manifestOf(options, standing, member);
  const target = believe(manifest, standing.anchor);
  const { height, stateRoot } = target.header;
  if (height <= standing.end.height || height < lowest)
    throw new CodedError('snapshot.old', `the snapshot of ${member} ends at block ${height}`);
  const places = placesOf(manifest, stateRoot);
  await fetchChunks(options, member, height, manifest, places);
  await buildState(store, manifest.depth, places, stateRoot);
  const history = await fetchHistory(options, standing, member, target);
  const state = new CommittedState(store.spare);
  await adopt(store, history, target.header, resumeAt(target, state, history.end));
  return height;
}

async function manifestOf({ link }: CatchUpOptions, standing: Standing, member: MemberId): Promise<Manifest> {
  const giveUp = performance.now() + PREPARE_MS_MAX;
  for (;;) {
    try {
      const asked = encodeCbor({ epoch: standing.epoch });
      return decodeManifest(await link.request(member, 'headers', 'snapshot', asked, FETCH_TIMEOUT_MS));
    } catch (error) {
      if (!hasCode(error, 'snapshot.preparing') || performance.now() > giveUp) throw error;
    }
    await delay(PREPARE_POLL_MS);
  }
}

/** Chunks that are not here yet. Each is verified before it is stored. */
async function fetchChunks(
  { store, link }: CatchUpOptions,
  member: MemberId,
  height: number,
  { depth, sizes }: Manifest,
  { children }: Places,
): Promise<void> {
  for (const [number, child] of children.entries()) {
    if (hasChunk(store, depth, number, child)) continue;
    const asked = encodeCbor({ height, number });
    const bytes = await link.request(member, 'headers', 'snapshot-chunk', asked, FETCH_TIMEOUT_MS);
    if (bytes.length !== sizes[number])
      throw new CodedError('snapshot.bad_chunk', `chunk ${number} has another size than its manifest says`);
    await putChunk(store, depth, number, child, bytes);
  }
}

/** History up to the header, from where an earlier attempt ended. Segments are asked for while the one before is stored. */
async function fetchHistory(
  { store, link }: CatchUpOptions,
  standing: Standing,
  member: MemberId,
  { header, hash, anchor }: Believed,
): Promise<History> {
  const { height: to } = header;
  const history = await History.open(store, standing.end);
  const facts = new Facts(store, new CommittedState(store), new CommittedState(store.spare));
  if (history.end.height > to) {
    throw new CodedError('snapshot.old', `the snapshot of ${member} ends below the history that is here`);
  }
  const ask = (from: number): Promise<Uint8Array> => {
    const answer = link.request(member, 'headers', 'history', encodeCbor({ from, to }), FETCH_TIMEOUT_MS);
    // It may fail while the segment before is still being stored.
    answer.catch(() => undefined);
    return answer;
  };
  let next = history.end.height < to ? ask(history.end.height + 1) : undefined;
  while (next !== undefined) {
    const segment = decodeSegment(await next);
    const { blocks, end } = verifySegment(segment, history.end, to, anchor);
    next = end.height < to ? ask(end.height + 1) : undefined;
    await history.append(blocks, header, segment.proof, facts, end);
  }
  if (equalBytes(history.end.hash, hash)) return history;
  // Both are certified. Only keys of an epoch that is over could have made the other one: what they led to is not kept.
  await forgetHistory(store);
  throw new CodedError('snapshot.forked', `the history does not lead to the certified header of block ${to}`);
}
