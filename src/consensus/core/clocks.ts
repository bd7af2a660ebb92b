/**
 * How far the own wall clock is from the others' (ledger-security rule 12): the middle of what the other validators
 * last said. Up to f liars cannot move it beyond the honest ones; the delay of a message makes it a little early.
 */
import { CLOCK_ALARM_MS, CLOCK_LEAD_MS } from '../limits.ts';
import type { PeerId, ValidatorSet } from '../validators.ts';

export class PeerClocks {
  readonly #offsets = new Map<PeerId, number>();
  #alarmed = false;

  /** `peer` said `theirs` when the own clock showed `own`. */
  note(peer: PeerId, theirs: number, own: number): void {
    if (theirs > 0) this.#offsets.set(peer, theirs - own);
  }

  /** Others' clocks minus the own, in the middle; 0 while too few of `set` have spoken to outvote f liars. */
  offset(set: ValidatorSet): number {
    const known = set.ids.flatMap((id) => this.#offsets.get(id) ?? []).sort((a, b) => a - b);
    if (known.length < 2 * set.f + 1) return 0;
    return known[known.length >> 1];
  }

  mayLead(set: ValidatorSet): boolean {
    return Math.abs(this.offset(set)) <= CLOCK_LEAD_MS;
  }

  /** The offset when it has just passed the bound of the alarm, once for each time it does. */
  alarm(set: ValidatorSet): number | undefined {
    const offset = this.offset(set);
    const beyond = Math.abs(offset) > CLOCK_ALARM_MS;
    const rises = beyond && !this.#alarmed;
    this.#alarmed = beyond;
    return rises ? offset : undefined;
  }
}
