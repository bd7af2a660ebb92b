/**
 * A start (ledger-security rules 21, 22): the others are asked what they hold of this node's votes, and answered when
 * they ask; voting resumes with what the WAL held, or later, when the boot gate says so.
 */
import type { PeerId } from '../validators.ts';
import type { Hello, Welcome } from '../wire/messages.ts';
import { examine } from './deciding.ts';
import { resend } from './following.ts';
import { tryPropose } from './proposing.ts';
import type { ReplicaState } from './state.ts';
import { tryNewView } from './view-change.ts';
import { castCommit, castPrepare } from './voting.ts';

/** The first tick. */
export function begin(r: ReplicaState): void {
  r.started = true;
  const { open } = r;
  open.viewSince = r.now;
  r.helloDeadline = r.now + r.options.timing.helloMs;
  r.nextResend = r.now + r.options.timing.resendMs;
  if (r.boot.amnesiac) r.emit({ t: 'persistBoot', record: r.boot.record });
  if (r.index < 0) r.boot.waited();
  else sayHello(r, 'all');
  if (open.accepted !== undefined) examine(r, open.accepted.message.proposal, 'reproposal', undefined);
}

/** Ends the wait for answers, or asks again while they are needed. */
export function askOn(r: ReplicaState): void {
  if (!r.boot.asking || r.now < r.helloDeadline) return;
  r.boot.waited();
  if (r.boot.asking) {
    r.helloDeadline = r.now + r.options.timing.resendMs;
    sayHello(r, 'all');
  } else resumeVoting(r);
}

export function sayHello(r: ReplicaState, to: PeerId | 'all'): void {
  if (r.index < 0) return;
  const { boot, nonce } = r.boot;
  r.send(to, r.options.signer.hello({ epoch: r.chain.validators.epoch, sender: r.index, boot, nonce }));
}

export function onHello(r: ReplicaState, from: PeerId, hello: Hello): void {
  if (r.index < 0 || hello.epoch !== r.chain.validators.epoch || hello.sender === r.index) return;
  const peer = r.chain.validators.ids[hello.sender];
  r.send(
    from,
    r.options.signer.welcome({
      epoch: hello.epoch,
      sender: r.index,
      to: hello.sender,
      nonce: hello.nonce,
      hello: r.memory.helloBefore(peer, hello),
      vote: r.memory.lastVote(peer),
      committed: r.committedHeight,
    }),
  );
}

export function onWelcome(r: ReplicaState, welcome: Welcome): void {
  if (welcome.to !== r.index || welcome.sender === r.index) return;
  if (welcome.epoch !== r.chain.validators.epoch) return;
  const wasAsking = r.boot.asking;
  if (r.boot.answer(welcome, r.chain.validators, r.chain.height)) {
    r.emit({ t: 'persistBoot', record: r.boot.record });
  }
  if (wasAsking && !r.boot.asking) resumeVoting(r);
}

/** Sends again what this node has signed for the open height, and leads if it is its turn. */
function resumeVoting(r: ReplicaState): void {
  restoreOwnVotes(r);
  resend(r, 'all');
  tryPropose(r);
  tryNewView(r);
}

function restoreOwnVotes(r: ReplicaState): void {
  const { open } = r;
  if (!r.mayVote()) return;
  if (open.ownViewChange !== undefined && open.changing) open.viewChanges.set(r.index, open.ownViewChange);
  const { accepted } = open;
  if (accepted === undefined || open.changing || accepted.view !== open.view) return;
  castPrepare(r, accepted);
  if (open.locked?.view === open.view && open.ownCommit === undefined) castCommit(r, open.locked);
}
