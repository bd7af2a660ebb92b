/**
 * A member's shares in its node: wakes the holder after each block that concerns it, and while it waits for a time to
 * come; shows operators where a ceremony stands.
 */
import type { AuthorityKeys, Group } from '../abe/index.ts';
import { authorityKeys } from '../abe/threshold/keys.ts';
import type { Blamed, CommittedStep } from '../authority/ceremony.ts';
import { type HolderOptions, ShareHolder } from '../authority/holder.ts';
import type { ShareLedger } from '../authority/ports.ts';
import { waitsFor } from '../authority/progress.ts';
import { equalBytes, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import {
  type LedgerEngine,
  PAGE_MAX,
  type ShareState,
  type ShareStepResult,
  STATE,
} from '../ledger/index.ts';

/** How often a holder looks again while a ceremony is open. */
const POLL_MS = 250;
/** How often it looks whether old shares that it keeps may go. */
const KEPT_POLL_MS = 5_000;
/** Epochs whose keys are kept: that in force, and the one before while a ceremony needs it. */
const KEYS_KEPT = 2;

/** Where the latest ceremony stands. */
export interface CeremonyView {
  readonly id: string;
  readonly shareEpoch: number;
  readonly phase: string;
  readonly members: readonly string[];
  readonly dealers: readonly string[];
  /** Members for whom the phase waits, until `waitsUntilMs` in block time; then anybody may end it without them. */
  readonly waitsFor: readonly string[];
  readonly waitsUntilMs: number;
  /** Dealers that are out, as far as this node has seen. */
  readonly blamed: readonly Blamed[];
}

export interface SharesOptions extends Omit<HolderOptions, 'ledger' | 'onBlamed'> {
  readonly engine: LedgerEngine;
  readonly onError: (event: string, error: unknown) => void;
}

export class Shares {
  readonly #options: SharesOptions;
  readonly #reads: ShareLedger;
  readonly #holder: ShareHolder;
  readonly #blamed: Blamed[] = [];
  #seen = '';
  /** When to look again although the ledger says nothing new, on the monotonic clock. */
  #nextMs = 0;
  #turn: Promise<void> = Promise.resolve();
  #isQueued = false;
  #isStopped = false;
  #stops: (() => void)[] = [];

  constructor(options: SharesOptions) {
    const { engine, event } = options;
    this.#options = options;
    this.#reads = shareLedgerOf(engine);
    this.#holder = new ShareHolder({
      ...options,
      ledger: this.#reads,
      onBlamed: (blamed) => {
        this.#blamed.push(blamed);
        event('share.blamed', { ...blamed });
      },
    });
  }

  /** Begins to follow the ledger, and does what there is to do first. Once. */
  async start(): Promise<void> {
    if (this.#stops.length > 0) return;
    const wake = (): void => this.#wake();
    const timer = setInterval(wake, POLL_MS);
    timer.unref();
    this.#stops = [this.#options.engine.subscribe(wake), () => clearInterval(timer)];
    this.#wake();
    await this.#turn;
  }

  /** Begins nothing any more. What is under way ends when consensus has stopped: await `settled` after that. */
  stop(): void {
    for (const stop of this.#stops) stop();
    this.#isStopped = true;
  }

  settled(): Promise<void> {
    return this.#turn;
  }

  /** The latest ceremony, or null before the first. */
  view(): CeremonyView | null {
    const ceremony = this.#reads.ceremony();
    if (ceremony === undefined) return null;
    const { shareEpoch, phase, members, dealers, since, windowMs } = ceremony;
    return {
      id: toHex(ceremony.id),
      shareEpoch,
      phase,
      members,
      dealers,
      waitsFor: waitsFor(ceremony, (member) => this.#reads.confirmed(shareEpoch, member)),
      waitsUntilMs: since + windowMs,
      blamed: this.#blamed,
    };
  }

  #wake(): void {
    const ceremony = this.#reads.ceremony();
    const state =
      ceremony === undefined
        ? ''
        : `${ceremony.attempt}/${ceremony.phase}/${toHex(ceremony.transcript)}/${ceremony.held.length}`;
    const seen = `${this.#reads.shareEpoch()}/${state}`;
    const isDue = performance.now() >= this.#nextMs;
    if (this.#isStopped || this.#isQueued || (!isDue && seen === this.#seen)) return;
    this.#isQueued = true;
    this.#turn = this.#turn.then(async () => {
      this.#isQueued = false;
      this.#seen = seen;
      try {
        const next = await this.#holder.advance();
        const waitMs = { open: POLL_MS, kept: KEPT_POLL_MS, settled: Number.POSITIVE_INFINITY }[next];
        this.#nextMs = performance.now() + waitMs;
      } catch (error) {
        this.#nextMs = performance.now() + POLL_MS;
        // Another member was faster, or the block's clock is behind this one: looked at again in a moment.
        const isRace = error instanceof CodedError && error.code.startsWith('share.');
        if (!isRace && !this.#isStopped) this.#options.onError('share.failed', error);
      }
    });
  }
}

/** What a holder sees of an engine. */
export function shareLedgerOf(engine: LedgerEngine): ShareLedger {
  return {
    chainId: engine.chainId,
    ceremony: () => engine.get(STATE.ceremony),
    shareEpoch: () => engine.get(STATE.chain)?.shareEpoch ?? null,
    share: (epoch) => engine.get(STATE.share(epoch)),
    confirmed: (epoch, member) =>
      engine.get(STATE.shareConfirmation(epoch, member)) !== undefined ||
      engine.get(STATE.share(epoch))?.confirmations.includes(member) === true,
    hpkeKeyOf: (member) => engine.get(STATE.member(member))?.hpkeKey,
    steps: (ceremony) => [...stepsOf(engine, ceremony)],
    tipTimeMs: () => engine.head.time,
    cosignedTimeMs: () => engine.checkpoint()?.checkpoint.time ?? 0,
  };
}

function* stepsOf(engine: LedgerEngine, ceremony: Uint8Array): Generator<CommittedStep> {
  let cursor: string | undefined;
  do {
    const page = engine.entries(
      { kind: 'ShareStep' },
      { limit: PAGE_MAX, ascending: true, ...(cursor === undefined ? {} : { cursor }) },
    );
    for (const { index, leaf, transaction } of page.entries) {
      if (transaction?.type !== 'ShareStep') continue;
      const step = transaction.bodies[leaf.item];
      const member = engine.get(STATE.subject(toHex(transaction.subject)))?.member;
      // The engine executed the entry: its result is that of a ShareStep.
      const { phase } = leaf.result as ShareStepResult;
      if (member !== undefined && equalBytes(step.ceremony, ceremony)) yield { index, member, step, phase };
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** Public keys of a share epoch, from its state: decoded with all checks once, the last few kept. */
export function epochKeys(group: Group): (share: ShareState) => AuthorityKeys {
  const kept = new Map<number, AuthorityKeys>();
  return (share) => {
    const known = kept.get(share.shareEpoch);
    if (known !== undefined) return known;
    const keys = authorityKeys(group, {
      E: group.decodeGT(share.mpk),
      shares: share.commitments.map((one) => group.decodeGT(one)),
      t: share.threshold,
      shareEpoch: share.shareEpoch,
    });
    if (kept.size > KEYS_KEPT) kept.clear();
    kept.set(share.shareEpoch, keys);
    return keys;
  };
}
