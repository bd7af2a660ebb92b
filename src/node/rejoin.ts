/**
 * What members tell each other of their tips, and how a restored node comes back: it follows the chain to where the others
 * are before it serves, and goes on as one that was never away once consensus lets it vote again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MemberLink } from '../authority/link.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import type { PbftNode } from '../consensus/index.ts';
import { clearRestoredMark } from '../storage/index.ts';
import type { NodeLedger } from './ledger.ts';
import type { NodeLog } from './member-options.ts';

/** How long a member is asked for its tip. */
const TIP_TIMEOUT_MS = 3_000;
/** How long a node that follows waits for the next block before it goes on with what it has. */
const STALL_MS_MAX = 120_000;
/** How long it waits for a height that only one member names. */
const NEWEST_MS_MAX = 10_000;
/** How long it looks for the others first: their links take a moment. */
const PEERS_MS_MAX = 30_000;
const PEERS_POLL_MS = 250;
const VOTING_POLL_MS = 500;

/** One member's tip as it told it. */
export interface PeerTip {
  readonly member: MemberId;
  /** null for a member that did not answer. */
  readonly height: number | null;
  /** Its clock minus ours in ms, within half the time of the request. */
  readonly clockOffsetMs: number | null;
}

/** Serves `headers/tip`: dag-cbor `{ clock, height }`. */
export function serveTip(link: MemberLink, ledger: NodeLedger, clock: () => number): void {
  link.serve('headers', 'tip', async () => encodeCbor({ clock: clock(), height: ledger.tip().height }));
}

/** Asks all other members for their tips at once. */
export function peerTips(ledger: NodeLedger, link: MemberLink, clock: () => number): Promise<PeerTip[]> {
  const others = ledger.members().filter((id) => id !== link.self);
  return Promise.all(
    others.map(async (member) => {
      const asked = clock();
      try {
        const answer = await link.request(member, 'headers', 'tip', new Uint8Array(), TIP_TIMEOUT_MS);
        const tip = decodeTip(member, answer);
        return {
          member,
          height: tip.height,
          clockOffsetMs: Math.round(tip.clock - (asked + clock()) / 2),
        };
      } catch {
        return { member, height: null, clockOffsetMs: null };
      }
    }),
  );
}

function decodeTip(from: MemberId, bytes: Uint8Array): { clock: number; height: number } {
  const { clock, height } = (decodeCbor(bytes, 256) ?? {}) as { clock?: unknown; height?: unknown };
  if (typeof clock === 'number' && typeof height === 'number' && height >= 0) return { clock, height };
  throw new CodedError('link.malformed', `${from} sent a tip of another form`);
}

/**
 * Resolves when this node has applied what the others had when it asked, or no block comes any more. Waits for the link
 * to more members than may be faulty; a consortium of which nobody else runs is started without.
 */
export async function catchUp(ledger: NodeLedger, link: MemberLink): Promise<void> {
  const enough = Math.floor((ledger.members().length - 1) / 3) + 1;
  const giveUp = performance.now() + PEERS_MS_MAX;
  for (;;) {
    const tips = await peerTips(ledger, link, Date.now);
    const heights = tips.flatMap(({ height }) => height ?? []);
    if (heights.length >= enough || performance.now() > giveUp) {
      heights.sort((a, b) => b - a);
      const [newest = 0] = heights;
      // An honest member is at this one, so it is waited for as long as blocks come; the newest may be a lie.
      const target = heights[Math.min(enough, heights.length) - 1] ?? 0;
      while (ledger.tip().height < target && (await ledger.reached(ledger.tip().height + 1, STALL_MS_MAX)));
      await ledger.reached(newest, NEWEST_MS_MAX);
      return;
    }
    await delay(PEERS_POLL_MS);
  }
}

/** Removes the mark of a restore once this node votes again. Answers how to stop. */
export function clearMarkWhenVoting(dir: string, consensus: PbftNode, log: NodeLog): () => Promise<void> {
  let clearing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    const { voting, height } = consensus.status();
    if (!voting) return;
    clearInterval(timer);
    clearing = clearRestoredMark(dir).then(
      () => log.event('node.rejoined', { height }),
      (error: unknown) => log.event('node.mark_kept', { error: String(error) }),
    );
  }, VOTING_POLL_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await clearing;
  };
}
