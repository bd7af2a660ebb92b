/** What the WAL holds about the open height, taken back at a start (ledger-security rule 22). Pure. */
import { VOTE_TAG, type VotePosition } from '../wire/messages.ts';
import type { OpenHeight } from './open-height.ts';
import { laterVote, type WalRecord } from './types.ts';
import type { Weakening } from './weakening.ts';

/** What the records say about this node's own votes. */
export interface Recollection {
  /** The latest own vote in them; height 0 for none. */
  readonly ownLast: VotePosition;
  /** Highest height at which they prove an own COMMIT; 0 for none. */
  readonly committed: number;
}

/** Puts what `records` hold about it back into `open`. */
export function recover(
  open: OpenHeight,
  records: readonly WalRecord[],
  weaken: Weakening = {},
): Recollection {
  let ownLast: VotePosition = { height: 0, view: 0, kind: 0 };
  let committed = 0;
  const voted = (position: VotePosition): void => {
    if (laterVote(position, ownLast)) ownLast = position;
  };
  for (const record of records) {
    if (record.kind === 'prepared') {
      voted({ height: record.height, view: record.certificate.view, kind: VOTE_TAG.commit });
      committed = Math.max(committed, record.height);
    }
    if (record.kind === 'proposal')
      voted({ height: record.height, view: record.message.view, kind: VOTE_TAG.prepare });
    if (record.kind === 'view-change') {
      voted({ height: record.height, view: record.message.view, kind: VOTE_TAG['view-change'] });
    }
    if (record.height === open.height && !forgotten(record, weaken)) takeBack(open, record);
  }
  return { ownLast, committed };
}

function forgotten({ kind }: WalRecord, weaken: Weakening): boolean {
  return (
    (kind === 'proposal' && weaken.forgetAccepted === true) ||
    (kind === 'prepared' && weaken.forgetLock === true) ||
    (kind === 'view-change' && weaken.forgetPromise === true)
  );
}

function takeBack(open: OpenHeight, record: WalRecord): void {
  switch (record.kind) {
    case 'proposal': {
      const { message } = record;
      open.proposals.set(message.proposal.hash, message.proposal);
      open.leading.add(message);
      if (message.view < open.view) return;
      open.view = message.view;
      open.changing = false;
      open.accepted = { view: message.view, message, mode: 'reproposal' };
      return;
    }
    case 'prepared':
      if (open.locked === undefined || record.certificate.view > open.locked.view)
        open.locked = record.certificate;
      return;
    case 'view-change':
      open.view = record.message.view;
      open.changing = true;
      open.ownViewChange = record.message;
      return;
    case 'decided':
      open.awaited = record.qc;
      return;
    default:
      record satisfies never;
  }
}
