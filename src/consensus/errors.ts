/**
 * The one error class of pbft-lite. Codes: `consensus.malformed`, `consensus.too_large`, `consensus.bad_config`,
 * `consensus.pool_full`, `consensus.request_refused`, `consensus.request_expired`, `consensus.nonce_used`,
 * `consensus.stopped`, `consensus.halted`, `consensus.wal_corrupt`, `consensus.wal_failed`, `consensus.link_closed`,
 * `consensus.frame_too_large`, `consensus.peer_unknown`.
 */
export type ConsensusErrorCode =
  | 'consensus.malformed'
  | 'consensus.too_large'
  | 'consensus.bad_config'
  | 'consensus.pool_full'
  | 'consensus.request_refused'
  | 'consensus.request_expired'
  | 'consensus.nonce_used'
  | 'consensus.stopped'
  | 'consensus.halted'
  | 'consensus.wal_corrupt'
  | 'consensus.wal_failed'
  | 'consensus.link_closed'
  | 'consensus.frame_too_large'
  | 'consensus.peer_unknown';

/** An error with a stable `code`; the message says what was expected, what came and what to do. */
export class ConsensusError extends Error {
  readonly code: ConsensusErrorCode;

  constructor(code: ConsensusErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ConsensusError';
    this.code = code;
  }
}

/** Stops the operation when an invariant that this code is responsible for does not hold. */
export function invariant(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${text}`);
}
