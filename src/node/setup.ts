/**
 * What a new consortium does once: the authorities make their key. The ceremony runs on the ledger, so it goes on where
 * a crash ended it, and members may start one after the other.
 */
import { CodedError } from '../codec/errors.ts';
import { ceremonyId, nextAttempt } from '../ledger/index.ts';
import type { MemberNode } from './member.ts';

/** How long each phase of the first ceremony waits for members that have joined and then say nothing. */
const WINDOW_MS = 60_000;
const POLL_MS = 20;

/**
 * Takes part in the first key ceremony, unless the ledger has a share epoch. Resolves when it is in force here. Throws
 * `dkg.timeout` with the members that did not take part in time, or `dkg.failed` with those that are to blame.
 */
export async function ensureShare(node: MemberNode, giveUp: AbortSignal): Promise<void> {
  await node.shares.start();
  let begun: string | undefined;
  while (node.ledger.shareEpoch() === null) {
    const view = node.shares.view();
    if (view === null || view.phase === 'failed') {
      if (view !== null && view.id === begun) throw failed(view.blamed);
      await open(node);
    } else begun = view.id;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (giveUp.aborted) throw late(node);
  }
}

async function open(node: MemberNode): Promise<void> {
  const ceremony = ceremonyId(node.ledger.chainId, nextAttempt(node.engine.state));
  try {
    await node.commitAs(node.operator, 'ShareStep', {
      ceremony,
      kind: 'open',
      body: { windowMs: WINDOW_MS },
    });
  } catch (error) {
    // Another member has begun it, or too few members are up to order anything yet: looked at again.
    const family = error instanceof CodedError ? error.code.split('.', 1)[0] : '';
    if (node.consensus.status().halted || !['share', 'consensus', 'tx'].includes(family)) throw error;
  }
}

function failed(blamed: readonly { readonly dealer: string; readonly reason: string }[]): CodedError {
  const names = blamed.map(({ dealer, reason }) => `${dealer} (${reason})`);
  const why = names.length === 0 ? 'members fell silent' : names.join(', ');
  return new CodedError('dkg.failed', `too few dealers are left: ${why}: start the ceremony again`);
}

function late(node: MemberNode): CodedError {
  const view = node.shares.view();
  const names = view === null ? 'a quorum of members' : view.waitsFor.join(', ');
  const phase = view === null ? '' : ` (phase "${view.phase}")`;
  return new CodedError('dkg.timeout', `the key ceremony was given up: it still waits for ${names}${phase}`);
}
