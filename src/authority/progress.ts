/** Where a ceremony stands and for whom it waits, in words for operators. */
import { accusedDealers, type CeremonyState } from '../ledger/index.ts';

/** Members for whom the phase waits; nobody once the ceremony is over. `confirmed` says who confirmed its outcome. */
export function waitsFor(ceremony: CeremonyState, confirmed: (member: string) => boolean): readonly string[] {
  const { phase, members, joined, announced, dealt, complaints, answered } = ceremony;
  const without = (those: readonly string[], done: readonly string[]): readonly string[] =>
    those.filter((one) => !done.includes(one));
  switch (phase) {
    case 'join':
      return without(members, joined);
    case 'deal':
      return without(announced, dealt);
    case 'complain':
      return without(
        joined,
        complaints.map(({ by }) => by),
      );
    case 'answer':
      return without(accusedDealers(ceremony), answered);
    case 'confirm':
      return members.filter((member) => !confirmed(member));
    case 'done':
    case 'failed':
      return [];
  }
}
