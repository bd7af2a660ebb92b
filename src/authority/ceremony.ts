/**
 * One member's part in a key ceremony: the steps that stand on the ledger go in, in their order, and what this member is
 * to say comes out. The protocol is `src/abe/dkg`; the ledger is the ordered broadcast that it asks for, so all honest
 * members blame the same dealers and get the same keys, and a dealer cannot tell two members different things.
 *
 * All that is drawn comes from one secret, which is durable before the first step is sent: after a crash the same steps
 * give the same state again. Sub-shares stand on the ledger for ever; they are sealed to keys of this ceremony, which
 * are erased with the secret, so that keys taken later open none. A member that was away when the others joined gets
 * its sub-shares under the HPKE key that the ledger has of it.
 */

import { ABE_ERROR } from '../abe/errors.ts';
import {
  type AuthorityKeys,
  type AuthorityShare,
  type DkgBlame,
  type DkgEffect,
  type DkgInput,
  type DkgPhase,
  type DkgResult,
  type DkgState,
  decodeDkg,
  encodeDkg,
  type Group,
  startDkg,
  stepDkg,
} from '../abe/index.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair, hpkeSeal } from '../codec/hpke.ts';
import type { CeremonyPhase, CeremonyState, ShareStep } from '../ledger/index.ts';

const SHARE_INFO = 'hippocrypt/ceremony-share/1';
const DRAW_TAG = 'hippocrypt/ceremony-draw/1';
/** Bytes of the secret from which a member draws everything of one ceremony. */
export const CEREMONY_SECRET_BYTES = 32;

/** A step as it was committed. */
export interface CommittedStep {
  /** Place in the log. */
  readonly index: number;
  readonly member: string;
  readonly step: ShareStep;
  /** Phase of the ceremony after it. */
  readonly phase: CeremonyPhase;
}

export interface CeremonyOptions {
  readonly group: Group;
  readonly chainId: string;
  /** As the ledger has it; only what does not change is read. */
  readonly ceremony: CeremonyState;
  readonly self: string;
  /** 32 bytes, durable; undefined for a member that did not join: it deals nothing and keeps nothing. */
  readonly secret: Uint8Array | undefined;
  readonly random: (length: number) => Uint8Array;
  /** The keys of the epoch before, and this member's share of it; undefined in a first ceremony. */
  readonly previous: { readonly keys: AuthorityKeys; readonly share: AuthorityShare | undefined } | undefined;
  /** The member's own long-lived key, and those of the others from the ledger. */
  readonly hpke: HpkeKeyPair;
  readonly hpkeKeyOf: (member: string) => Uint8Array | undefined;
}

export interface Blamed {
  readonly dealer: string;
  readonly reason: DkgBlame;
}

/** Uniform bytes that depend on the secret and on the draws before alone. */
function drawn(secret: Uint8Array): (length: number) => Uint8Array {
  let count = 0;
  return (length) => hkdfSha256(secret, new Uint8Array(), encodeCbor([DRAW_TAG, count++]), length);
}

/** How far the protocol must be when the ledger is in a phase. */
const RANK: Readonly<Record<CeremonyPhase, number>> = {
  join: 0,
  deal: 1,
  complain: 2,
  answer: 3,
  confirm: 4,
  done: 4,
  failed: 0,
};
const DKG_RANK: Readonly<Record<DkgPhase, number>> = {
  announce: 0,
  open: 1,
  complain: 2,
  answer: 3,
  done: 4,
  failed: 4,
};

export class CeremonyRun {
  readonly #options: CeremonyOptions;
  readonly #ephemeral: HpkeKeyPair | undefined;
  readonly #keys = new Map<string, Uint8Array>();
  readonly #subShares = new Map<number, Uint8Array>();
  #state: DkgState;
  #announcement: Uint8Array | null = null;
  #opening: Uint8Array | undefined;
  #complaint: readonly number[] | undefined;
  #answer: readonly { readonly receiver: number; readonly share: Uint8Array }[] | undefined;
  #result: DkgResult | undefined;
  readonly #blamed: Blamed[] = [];
  #fed = -1;

  private constructor(options: CeremonyOptions, ephemeral: HpkeKeyPair | undefined) {
    const { group, ceremony, self, secret, previous, random } = options;
    this.#options = options;
    this.#ephemeral = ephemeral;
    const me = ceremony.members.indexOf(self) + 1;
    if (me === 0)
      throw new CodedError('dkg.not_a_member', `${self} is not among the members of the ceremony`);
    const step = startDkg(
      {
        group,
        session: ceremony.id,
        n: ceremony.members.length,
        t: ceremony.threshold,
        me,
        ...(previous === undefined ? {} : { previous }),
      },
      secret === undefined ? random : drawn(secret),
    );
    this.#state = step.state;
    this.#note(step.effects);
  }

  static async begin(options: CeremonyOptions): Promise<CeremonyRun> {
    const { secret } = options;
    if (secret === undefined) return new CeremonyRun(options, undefined);
    const seed = hkdfSha256(secret, new Uint8Array(), encodeCbor([DRAW_TAG, 'hpke']), 32);
    return new CeremonyRun(options, await hpkeKeyPair(seed));
  }

  /** Dealers that are out, as every honest member sees it. */
  get blamed(): readonly Blamed[] {
    return this.#blamed;
  }

  /** Keys, own share and qualified dealers, once the ceremony has come to its end and this member has a share. */
  get result(): DkgResult | undefined {
    return this.#result;
  }

  /** Takes the steps that were not taken yet. */
  async feed(steps: readonly CommittedStep[]): Promise<void> {
    for (const one of steps) {
      if (one.index <= this.#fed) continue;
      await this.#take(one);
      while (DKG_RANK[this.#state.phase] < RANK[one.phase]) this.#step({ kind: 'close' });
      this.#fed = one.index;
    }
  }

  /** What this member says in the phase `join`. */
  join(): ShareStep {
    if (this.#ephemeral === undefined)
      throw new CodedError('dkg.not_a_member', 'expected the ceremony’s secret');
    const body = { hpkeKey: this.#ephemeral.publicKey, dealing: this.#announcement };
    return { ceremony: this.#options.ceremony.id, kind: 'join', body };
  }

  /** The own dealing, once the ceremony deals; undefined for a member that deals nothing. */
  async deal(): Promise<ShareStep | undefined> {
    const { ceremony, self, hpkeKeyOf } = this.#options;
    const opening = this.#opening;
    if (opening === undefined) return undefined;
    const dealer = ceremony.dealers.indexOf(self) + 1;
    const sealed = ceremony.members.map(async (member, i) => {
      const share = this.#subShares.get(i + 1);
      const key = this.#keys.get(member) ?? hpkeKeyOf(member);
      // One's own sub-share is not sent; a place is kept for it.
      if (share === undefined || key === undefined) return Uint8Array.of(0);
      return hpkeSeal(key, this.#info(dealer, i + 1), share);
    });
    return { ceremony: ceremony.id, kind: 'deal', body: { opening, sealed: await Promise.all(sealed) } };
  }

  /** Dealers whose sub-share is missing or wrong: everything that was dealt stands on the ledger by then. */
  complain(): ShareStep {
    if (this.#complaint === undefined) this.#step({ kind: 'overdue' });
    return {
      ceremony: this.#options.ceremony.id,
      kind: 'complain',
      body: { dealers: this.#complaint ?? [] },
    };
  }

  /** The sub-shares of those who complained about this member; undefined when nobody waits for them. */
  answer(): ShareStep | undefined {
    if (this.#answer === undefined) return undefined;
    return { ceremony: this.#options.ceremony.id, kind: 'answer', body: { shares: this.#answer } };
  }

  #info(from: number, to: number): Uint8Array {
    const { chainId, ceremony } = this.#options;
    return encodeCbor([SHARE_INFO, chainId, ceremony.id, from, to]);
  }

  async #take({ member, step }: CommittedStep): Promise<void> {
    const { ceremony } = this.#options;
    const dealer = ceremony.dealers.indexOf(member) + 1;
    const receiver = ceremony.members.indexOf(member) + 1;
    switch (step.kind) {
      case 'join': {
        const { hpkeKey, dealing } = step.body;
        this.#keys.set(member, hpkeKey);
        if (dealing !== null) this.#said(dealer, { kind: 'announce', hash: dealing });
        return;
      }
      case 'deal':
        await this.#receive(dealer, step.body.sealed);
        this.#said(dealer, { kind: 'open', opening: step.body.opening });
        return;
      case 'complain':
        this.#said(receiver, { kind: 'complain', dealers: [...step.body.dealers].sort((a, b) => a - b) });
        return;
      case 'answer':
        this.#said(dealer, { kind: 'answer', shares: step.body.shares });
        return;
      case 'open':
      case 'hold':
      case 'close':
    }
  }

  /** Opens the own sub-share of a dealing. One that does not open counts as missing. */
  async #receive(dealer: number, sealed: readonly Uint8Array[]): Promise<void> {
    const { ceremony, self, hpke } = this.#options;
    const me = ceremony.members.indexOf(self) + 1;
    if (ceremony.dealers[dealer - 1] === self) return;
    const key = this.#keys.has(self) ? this.#ephemeral : hpke;
    try {
      const bytes = await key?.open(this.#info(dealer, me), sealed[me - 1]);
      if (bytes !== undefined) this.#step({ kind: 'private', from: dealer, bytes });
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
    }
  }

  #said(from: number, message: Parameters<typeof encodeDkg>[0]): void {
    this.#step({ kind: 'broadcast', from, bytes: encodeDkg(message) });
  }

  /** What is malformed or comes when the protocol is beyond it is nothing, for everybody alike. */
  #step(input: DkgInput): void {
    try {
      const { state, effects } = stepDkg(this.#state, input);
      this.#state = state;
      this.#note(effects);
    } catch (error) {
      if (!hasCode(error, ABE_ERROR.dkgInput)) throw error;
    }
  }

  #note(effects: readonly DkgEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'broadcast': {
          const message = decodeDkg(effect.bytes);
          if (message.kind === 'announce') this.#announcement = message.hash;
          if (message.kind === 'open') this.#opening = message.opening;
          if (message.kind === 'complain') this.#complaint = message.dealers;
          if (message.kind === 'answer') this.#answer = message.shares;
          break;
        }
        case 'private':
          this.#subShares.set(effect.to, effect.bytes);
          break;
        case 'blame': {
          const dealer = this.#options.ceremony.dealers[effect.dealer - 1];
          this.#blamed.push({ dealer, reason: effect.reason });
          break;
        }
        case 'done':
          this.#result = effect.result;
          break;
        case 'left':
        case 'failed':
          break;
      }
    }
  }
}
