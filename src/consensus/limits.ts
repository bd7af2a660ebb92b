/**
 * Every bound on what a peer or a client controls (ledger-security rule 29) and the protocol's fixed times.
 * A value that a deployment may change is a default of `Timing` or `BatchLimits`.
 */

/** Version in every signed message and header. */
export const PROTOCOL_VERSION = 1;
/** Fewest validators that tolerate a fault. */
export const VALIDATORS_MIN = 4;
/** Most validators: certificates are lists, so messages grow with n. */
export const VALIDATORS_MAX = 64;
/** Votes further above the own view are dropped. */
export const VIEWS_AHEAD_MAX = 64;
/** Largest view number that is decoded at all. */
export const VIEW_MAX = 0x7fffffff;
/** Most requests in one batch, whatever the configuration says. */
export const BATCH_COUNT_MAX = 4096;
/** Most bytes of one encoded batch. */
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/** Most bytes of one request. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
/** Most bytes of one message on the wire. */
export const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
/** Most requests that wait in a pool. */
export const POOL_COUNT_MAX = 20_000;
/** Most bytes that wait in a pool. */
export const POOL_BYTES_MAX = 64 * 1024 * 1024;
/** Most waiting requests of one client, so that one client cannot fill the pool. */
export const POOL_PER_CLIENT_MAX = 4096;
/** Most blocks asked for in one FETCH, and held while catching up. */
export const SYNC_BLOCKS_MAX = 32;
/** Most bytes of blocks in one answer to a FETCH. */
export const SYNC_BYTES_MAX = 4 * 1024 * 1024;
/** Proposals of the open height kept by hash besides the accepted and the locked one. */
export const PROPOSALS_KEPT_MAX = 16;
/** Requests of one peer that may be refused in a second; further ones of that second are not looked at. */
export const REFUSED_PER_SECOND_MAX = 100;
/** Most bytes of one cosignature. */
export const COSIGNATURE_BYTES_MAX = 4096;
/** Blocks after which the lead moves on. */
export const ROTATE_BLOCKS = 100;
/** Block time after which the lead moves on. */
export const ROTATE_MS = 60_000;
/** A fresh block time may differ by this from a voter's clock. */
export const CLOCK_TOLERANCE_MS = 10_000;
/** A node whose clock is further than this from the middle of the others' says so. */
export const CLOCK_ALARM_MS = 2_000;
/** A node whose clock is further than this from the middle of the others' does not lead. */
export const CLOCK_LEAD_MS = 5_000;
/** A leader proposes an empty block this long after its parent. */
export const HEARTBEAT_MS = 30_000;
/** At view 0 nobody accepts an empty block earlier than this after its parent. */
export const HEARTBEAT_EARLIEST_MS = 25_000;
/** Longest view time-out. */
export const TIMEOUT_CAP_MS = 30_000;
/** A request may stand outside decided blocks for this many time-outs although others commit. */
export const CENSOR_TIMEOUTS = 3;

/** Local times in milliseconds; members may use different ones. */
export interface Timing {
  /** Time-out of view 0; doubles with the view up to `TIMEOUT_CAP_MS`. */
  readonly viewTimeoutMs: number;
  /** Own votes and VIEW-CHANGE of the open height are sent again after this. */
  readonly resendMs: number;
  /** STATUS goes to all peers at this interval. */
  readonly statusMs: number;
  /** How long a start with a whole WAL waits for answers to its HELLO before it votes. */
  readonly helloMs: number;
}

export const DEFAULT_TIMING: Timing = { viewTimeoutMs: 1000, resendMs: 500, statusMs: 1000, helloMs: 250 };

/** What one proposal holds at most. */
export interface BatchLimits {
  readonly countMax: number;
  readonly bytesMax: number;
}

export const DEFAULT_BATCH: BatchLimits = { countMax: 500, bytesMax: 1024 * 1024 };
