/**
 * The first key ceremony among the members' authorities, over the member link. The protocol is `src/abe/dkg`; here are
 * its messengers. All members must take part; a message that stays out, or one member that is blamed, ends the attempt.
 *
 * Links are pairwise, so a dealer could tell two members different things. It gains nothing: each member signs the
 * hash of everything it saw into its ShareEpoch entry, and the ledger activates a first epoch only when the
 * entries of all members are equal. Sub-shares travel under HPKE to the receiver's key from genesis.
 */
import type { DkgEffect, DkgResult, DkgState, DkgStep, Group } from '../abe/index.ts';
import { startDkg, stepDkg } from '../abe/index.ts';
import { compareBytes, concat, equalBytes, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { sha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeSeal } from '../codec/hpke.ts';
import type { MemberId } from '../codec/ids.ts';
import type { MemberLink } from './link.ts';

const SESSION_TAG = 'hippocrypt/ceremony/1';
const SHARE_INFO = 'hippocrypt/ceremony-share/1';
const NONCE_BYTES = 16;
/** Pause before a peer that could not be reached is tried again. */
const RETRY_MS = 200;

export interface CeremonyOptions {
  readonly link: MemberLink;
  readonly chainId: string;
  /** Members in the order of their points 1..n, with their HPKE keys from genesis. */
  readonly members: readonly { readonly id: MemberId; readonly hpkeKey: Uint8Array }[];
  readonly threshold: number;
  readonly hpke: HpkeKeyPair;
  readonly group: Group;
  readonly random: (length: number) => Uint8Array;
  /** Waits; injected so that the core needs no clock. Rejects when the ceremony is to be given up. */
  readonly pause: (ms: number) => Promise<void>;
}

export interface CeremonyResult extends DkgResult {
  /** SHA-256 over all broadcast messages in the order of phase and sender. */
  readonly transcript: Uint8Array;
}

interface Broadcast {
  readonly from: number;
  readonly bytes: Uint8Array;
}

/** Phase number of a broadcast, which is the kind that its encoding begins with. */
function phaseOf(bytes: Uint8Array): number {
  const value = decodeCbor(bytes) as readonly unknown[];
  return Array.isArray(value) && typeof value[1] === 'number' ? value[1] : -1;
}

/**
 * One attempt. Everybody must call it at about the same time; it resolves with this member's share once all have
 * dealt. Throws `dkg.blamed` with the names, `dkg.failed`, or what `pause` rejects with.
 */
export async function runCeremony(options: CeremonyOptions): Promise<CeremonyResult> {
  const { link, members, random } = options;
  const me = members.findIndex((member) => member.id === link.self) + 1;
  if (me === 0)
    throw new CodedError('dkg.not_a_member', `${link.self} is not among the members of the ceremony`);
  const mail = new Mail(options, me);
  const session = await mail.agree(random(NONCE_BYTES));
  const { group, threshold } = options;
  let step: DkgStep = startDkg({ group, session, n: members.length, t: threshold, me }, random);
  for (;;) {
    const result = await deliver(step.effects, mail, members);
    if (result !== undefined) return { ...result, transcript: mail.transcript() };
    step = await next(step.state, mail);
  }
}

async function deliver(
  effects: readonly DkgEffect[],
  mail: Mail,
  members: CeremonyOptions['members'],
): Promise<DkgResult | undefined> {
  for (const effect of effects) {
    switch (effect.kind) {
      case 'broadcast':
        await mail.broadcast(effect.bytes);
        break;
      case 'private':
        await mail.send(effect.to, effect.bytes);
        break;
      case 'blame':
        throw new CodedError('dkg.blamed', `${members[effect.dealer - 1].id}: ${effect.reason}`);
      case 'left':
      case 'failed':
        throw new CodedError('dkg.failed', 'too few dealers are left: start the ceremony again');
      case 'done':
        return effect.result;
    }
  }
  return undefined;
}

/** Feeds the next message that the phase can take, and waits for one if there is none. */
async function next(state: DkgState, mail: Mail): Promise<DkgStep> {
  for (;;) {
    const share = mail.takeShare();
    if (share !== undefined) return stepDkg(state, { kind: 'private', ...share });
    const message = mail.takeBroadcast(state.phase);
    if (message !== undefined) return stepDkg(state, { kind: 'broadcast', ...message });
    await mail.arrival();
  }
}

const PHASES = ['announce', 'open', 'complain', 'answer'] as const;

/** Messages of one attempt: sends with retry, keeps what comes early, forgets other sessions. */
class Mail {
  readonly #options: CeremonyOptions;
  readonly #me: number;
  readonly #nonces = new Map<number, Uint8Array>();
  readonly #broadcasts: Broadcast[] = [];
  readonly #taken: Broadcast[] = [];
  readonly #shares: Broadcast[] = [];
  #session: Uint8Array | undefined;
  #early: {
    readonly from: number;
    readonly session: Uint8Array;
    readonly isPrivate: boolean;
    readonly bytes: Uint8Array;
  }[] = [];
  #wake: () => void = () => undefined;

  constructor(options: CeremonyOptions, me: number) {
    this.#options = options;
    this.#me = me;
    const { link } = options;
    const sender = (from: MemberId): number => {
      const point = options.members.findIndex((member) => member.id === from) + 1;
      if (point === 0) throw new CodedError('dkg.not_a_member', 'expected a member of the ceremony');
      return point;
    };
    link.serve('parts', 'dkg-hello', async (from, body) => {
      if (body.length !== NONCE_BYTES) throw new CodedError('link.malformed', 'expected a nonce of 16 bytes');
      this.#nonces.set(sender(from), body);
      this.#wake();
      return new Uint8Array();
    });
    for (const [op, isPrivate] of [
      ['dkg-all', false],
      ['dkg-one', true],
    ] as const) {
      link.serve('parts', op, async (from, body) => {
        const value = decodeCbor(body) as { session?: unknown; bytes?: unknown } | null;
        const { session, bytes } = value ?? {};
        if (!(session instanceof Uint8Array) || !(bytes instanceof Uint8Array)) {
          throw new CodedError('link.malformed', 'expected a ceremony message');
        }
        await this.#receive(sender(from), session, isPrivate, bytes);
        return new Uint8Array();
      });
    }
  }

  /** Exchanges nonces with everybody; the session is a hash of them, so that an old message fits no new attempt. */
  async agree(nonce: Uint8Array): Promise<Uint8Array> {
    const { members, chainId } = this.#options;
    this.#nonces.set(this.#me, nonce);
    await this.#toAll('dkg-hello', nonce);
    while (this.#nonces.size < members.length) await this.arrival();
    const nonces = members.map((_, i) => this.#nonces.get(i + 1) ?? new Uint8Array());
    this.#session = sha256(utf8(SESSION_TAG), encodeCbor([chainId, members.map((one) => one.id), nonces]));
    const early = this.#early;
    this.#early = [];
    for (const one of early) await this.#receive(one.from, one.session, one.isPrivate, one.bytes);
    return this.#session;
  }

  async broadcast(bytes: Uint8Array): Promise<void> {
    this.#keep({ from: this.#me, bytes });
    await this.#toAll('dkg-all', encodeCbor({ session: this.#session, bytes }));
  }

  async send(to: number, bytes: Uint8Array): Promise<void> {
    const { members, chainId } = this.#options;
    const { id, hpkeKey } = members[to - 1];
    const sealed = await hpkeSeal(hpkeKey, this.#info(chainId, this.#me, to), bytes);
    await this.#deliver(id, 'dkg-one', encodeCbor({ session: this.#session, bytes: sealed }));
  }

  takeShare(): Broadcast | undefined {
    return this.#shares.shift();
  }

  /** The next broadcast of `phase`, in the order of senders as they came. */
  takeBroadcast(phase: DkgState['phase']): Broadcast | undefined {
    const wanted = PHASES.indexOf(phase as (typeof PHASES)[number]);
    const at = this.#broadcasts.findIndex((one) => phaseOf(one.bytes) === wanted);
    if (at < 0) return undefined;
    const [message] = this.#broadcasts.splice(at, 1);
    this.#taken.push(message);
    return message;
  }

  /** Resolves when something has come. */
  async arrival(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([woken, this.#options.pause(RETRY_MS)]);
  }

  transcript(): Uint8Array {
    const rows = this.#taken
      .map(({ from, bytes }) => ({ phase: phaseOf(bytes), from, bytes }))
      .sort((a, b) => a.phase - b.phase || a.from - b.from || compareBytes(a.bytes, b.bytes));
    return sha256(concat(...rows.map((row) => encodeCbor([row.phase, row.from, row.bytes]))));
  }

  #info(chainId: string, from: number, to: number): Uint8Array {
    return encodeCbor([SHARE_INFO, chainId, this.#session, from, to]);
  }

  async #receive(from: number, session: Uint8Array, isPrivate: boolean, bytes: Uint8Array): Promise<void> {
    if (this.#session === undefined) {
      // A faster peer has all nonces already. Two messages a peer can come early: its announcement and a share.
      if (this.#early.length < 4 * this.#options.members.length)
        this.#early.push({ from, session, isPrivate, bytes });
      return;
    }
    if (!equalBytes(session, this.#session)) {
      throw new CodedError('dkg.other_session', 'the message is of another attempt of the ceremony');
    }
    if (isPrivate) {
      const { chainId, hpke } = this.#options;
      this.#shares.push({ from, bytes: await hpke.open(this.#info(chainId, from, this.#me), bytes) });
    } else this.#keep({ from, bytes });
    this.#wake();
  }

  /** One message a phase and sender counts; a second one changes nothing. */
  #keep(message: Broadcast): void {
    const phase = phaseOf(message.bytes);
    const known = [...this.#broadcasts, ...this.#taken];
    if (known.some((one) => one.from === message.from && phaseOf(one.bytes) === phase)) return;
    this.#broadcasts.push(message);
  }

  async #toAll(op: string, body: Uint8Array): Promise<void> {
    const { members, link } = this.#options;
    const others = members.filter((member) => member.id !== link.self);
    await Promise.all(others.map((member) => this.#deliver(member.id, op, body)));
  }

  /** Until it is delivered: a peer may still be starting. `pause` ends the waiting. */
  async #deliver(to: MemberId, op: string, body: Uint8Array): Promise<void> {
    for (;;) {
      try {
        await this.#options.link.request(to, 'parts', op, body);
        return;
      } catch (error) {
        const code = error instanceof CodedError ? error.code : '';
        if (!code.startsWith('link.')) throw error;
        await this.#options.pause(RETRY_MS);
      }
    }
  }
}
