/**
 * Which members keep a record's header and payload: its custodian, and others chosen by rendezvous hashing over the CID, or
 * over the header's hash where there is no payload (keys of search fields), so that every node computes the same and only
 * a leaving member's objects move.
 */
import { type MemberId, memberId } from '../codec/ids.ts';
import type { RecordState } from '../ledger/index.ts';
import { keepersOf, replicasFor } from '../storage/index.ts';

/** Members that keep each payload unless configured otherwise, the custodian among them: one of them may be down. */
export const COPIES_DEFAULT = 2;

type Placed = Pick<RecordState, 'cid' | 'custodian' | 'headerHash'>;

/** The members that keep a record, custodian first. */
export function holdersOf(record: Placed, members: readonly MemberId[], copies: number): MemberId[] {
  const custodian = memberId(record.custodian);
  const others = members.filter((id) => id !== custodian);
  const chosen =
    record.cid === null
      ? keepersOf(record.headerHash, others, copies - 1)
      : replicasFor(record.cid, others, copies - 1);
  return [custodian, ...chosen.map(memberId)];
}

/** Whom to ask for a record, best first: its holders, then everybody else, who may have read it. */
export function sourcesOf(
  record: Placed,
  members: readonly MemberId[],
  copies: number,
  self: MemberId,
): MemberId[] {
  return [...new Set([...holdersOf(record, members, copies), ...members])].filter((id) => id !== self);
}
