/**
 * Admission: the one predicate by which a request enters a pool, a proposal and a vote (ledger-security 16). Form,
 * signature, envelope and rules, each request by itself on the applied state. What the rules have come to refuse
 * leaves every honest pool, so that nobody deposes leaders with requests that no block can hold; and what depends
 * on another transaction is admitted once that one is applied.
 */
import { CodedError } from '../../codec/errors.ts';
import { EXPIRY_AHEAD_MS_MAX } from '../entries/bounds.ts';
import type { ParsedRequest } from '../entries/transaction.ts';
import {
  checkEnvelope,
  checkTransaction,
  type MachineHost,
  STATE,
  type StateView,
} from '../machine/index.ts';
import type { AdmittedRequest, RequestInfo } from './application.ts';
import type { Head } from './options.ts';
import { ParsedRequests } from './requests.ts';

/** Why a transaction left no entry. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Refusals remembered for senders that ask. */
const REFUSED_KEPT_MAX = 4096;

export class Admission {
  readonly #state: StateView;
  readonly #host: MachineHost;
  readonly #head: () => Head;
  readonly #onRefused: () => void;
  readonly #requests = new ParsedRequests();
  readonly #refused = new Map<string, Refusal>();

  constructor(state: StateView, host: MachineHost, head: () => Head, onRefused: () => void) {
    this.#state = state;
    this.#host = host;
    this.#head = head;
    this.#onRefused = onRefused;
  }

  /** The decoded request; throws the decoders' codes. */
  parse(bytes: Uint8Array): ParsedRequest {
    return this.#requests.parse(bytes);
  }

  /** Throws what the request would be refused with in the next block. */
  admit(bytes: Uint8Array): AdmittedRequest {
    const request = this.parse(bytes);
    const { expiresAt } = request.transaction;
    const { height, time } = this.#head();
    // An idle chain's last block may be half a minute old: whether the end lies too far ahead, the block decides.
    const next = expiresAt > time ? Math.max(time + 1, expiresAt - EXPIRY_AHEAD_MS_MAX) : time + 1;
    this.#askRules(request, next);
    return {
      id: request.id,
      client: request.subject,
      nonce: request.nonce,
      expiresAt,
      request,
      checkedAt: height,
    };
  }

  /** Whether the request may stand in a block of `blockTime` on top of the applied state. */
  stillValid(info: RequestInfo & Partial<AdmittedRequest>, blockTime: number): boolean {
    const { request } = info;
    if (request === undefined) {
      return (
        info.expiresAt > blockTime && this.#state.get(STATE.nonce(info.client, info.nonce)) === undefined
      );
    }
    const { height } = this.#head();
    try {
      if (info.checkedAt === height) {
        const chain = this.#state.get(STATE.chain);
        if (chain !== undefined) checkEnvelope(this.#state, chain, request, blockTime);
        return true;
      }
      this.#askRules(request, blockTime);
      // The same answer until the next block; the object is this class's own.
      (info as AdmittedRequest).checkedAt = height;
      return true;
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.refuse(request, error);
      return false;
    }
  }

  /** Remembers why a transaction was refused. That it was executed before is no refusal: the result stands. */
  refuse({ hex }: ParsedRequest, { code, message }: Refusal): void {
    if (code === 'tx.duplicate') return;
    if (this.#refused.size >= REFUSED_KEPT_MAX) this.#refused.clear();
    this.#refused.set(hex, { code, message });
    this.#onRefused();
  }

  /** Why the transaction (id in hexadecimal) was refused here lately. */
  refusalOf(transactionId: string): Refusal | undefined {
    return this.#refused.get(transactionId);
  }

  #askRules(request: ParsedRequest, time: number): void {
    const { height, size } = this.#head();
    const block = { height: height + 1, time, firstIndex: size };
    checkTransaction(this.#state, request, block, this.#host);
  }
}
