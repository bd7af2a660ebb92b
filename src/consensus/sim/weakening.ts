/** The core's switches and those of what a driver and an application check around it. */
import type { Weakening } from '../core/weakening.ts';

export interface SimWeakening extends Weakening {
  /** Requests of a fresh proposal are not examined (rule 11). */
  readonly requestsUnchecked?: boolean;
  /** The exactly-once key is the request's id and not its nonce (rule 18). */
  readonly nonceUnchecked?: boolean;
  /** What a block grants is released however late it commits (rule 24). */
  readonly releaseUnbounded?: boolean;
}
