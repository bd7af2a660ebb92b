/**
 * The holder of a member's shares: takes its part in every key ceremony that the ledger is in, keeps the share that
 * comes of it, hands it to the authority when its epoch is in force, and erases the one before.
 *
 * Order (ledger-security rule 27): the ceremony's secret is durable before the first step is sent; the new share is
 * written, read back and checked against the commitments before it is confirmed; the old one is erased only when the
 * new epoch is in force here and cosigned by a quorum, the own new share was read back once more, and t + f members
 * proved theirs, or a day has passed. At every instant t members hold shares of one epoch, wherever one stops.
 */
import {
  type AuthorityKeys,
  type AuthorityShare,
  decodeAuthorityShare,
  encodeAuthorityShare,
  type Group,
  isShareOf,
  proveShare,
} from '../abe/index.ts';
import { equalBytes } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { HpkeKeyPair } from '../codec/hpke.ts';
import type { MemberId } from '../codec/ids.ts';
import type { CeremonyState, ShareEpoch, ShareState, ShareStep } from '../ledger/index.ts';
import { type Blamed, CEREMONY_SECRET_BYTES, CeremonyRun } from './ceremony.ts';
import type { SecretStore, ShareLedger } from './ports.ts';
import type { Authority } from './release.ts';
import { mayErase } from './retention.ts';

/** Each member waits this much longer than the one before it until it closes an overdue phase: one step is enough. */
const CLOSE_STAGGER_MS = 300;
const SHARE_NAME = /^share\/(\d+)$/;
const SECRET_NAME = /^ceremony\/(\d+)$/;

export interface HolderOptions {
  readonly member: MemberId;
  readonly ledger: ShareLedger;
  readonly store: SecretStore;
  readonly authority: Pick<Authority, 'useShare' | 'dropBefore'>;
  readonly group: Group;
  readonly hpke: HpkeKeyPair;
  readonly random: (length: number) => Uint8Array;
  readonly clock: () => number;
  /** Public keys of a share epoch, checked to lie on one polynomial. */
  readonly keysOf: (share: ShareState) => AuthorityKeys;
  /** Signs as the member's operator and commits; refused steps throw their codes. */
  readonly commit: (type: 'ShareStep' | 'ShareEpoch', body: ShareStep | ShareEpoch) => Promise<unknown>;
  readonly event: (name: string, fields: Readonly<Record<string, unknown>>) => void;
  /** A dealer is out of a ceremony, and why. */
  readonly onBlamed: (blamed: Blamed) => void;
}

const shareName = (epoch: number): string => `share/${epoch}`;
const secretName = ({ attempt }: CeremonyState): string => `ceremony/${attempt}`;
const isEnded = ({ phase }: CeremonyState): boolean => phase === 'done' || phase === 'failed';

export class ShareHolder {
  readonly #options: HolderOptions;
  #run: { readonly id: Uint8Array; readonly run: CeremonyRun; readonly joined: boolean } | undefined;
  #told = 0;
  #loaded: number | undefined;

  constructor(options: HolderOptions) {
    this.#options = options;
  }

  /**
   * Does what there is to do in the ledger's state of now; call it after each block and once in a while. Answers what is
   * still to come: the end of a ceremony that is open, the time of old shares that are kept, or nothing. Not to be called
   * twice at a time.
   */
  async advance(): Promise<'open' | 'kept' | 'settled'> {
    const ceremony = this.#options.ledger.ceremony();
    if (ceremony !== undefined) await this.#takePart(ceremony);
    await this.#load();
    const kept = await this.#erase();
    if (ceremony !== undefined && !isEnded(ceremony)) return 'open';
    return kept ? 'kept' : 'settled';
  }

  async #takePart(ceremony: CeremonyState): Promise<void> {
    const { ledger, store, member } = this.#options;
    if (ceremony.phase === 'failed' || !ceremony.members.includes(member)) return;
    if (ceremony.phase === 'done' && (await this.#ownShare(ceremony.shareEpoch)) !== undefined) {
      // Whoever has the share has nothing to do but to say so.
      if (ceremony.held.includes(member) && ledger.confirmed(ceremony.shareEpoch, member)) return;
    }
    let secret = await store.get(secretName(ceremony));
    if (secret === undefined && ceremony.phase === 'join' && !ceremony.joined.includes(member)) {
      secret = this.#options.random(CEREMONY_SECRET_BYTES);
      await store.put(secretName(ceremony), secret);
    }
    const run = await this.#runOf(ceremony, secret);
    await run.feed(ledger.steps(ceremony.id));
    this.#tell(run);
    await this.#say(ceremony, run);
    await this.#close(ceremony);
  }

  /** The run of this ceremony, from its beginning; made anew after a start. */
  async #runOf(ceremony: CeremonyState, secret: Uint8Array | undefined): Promise<CeremonyRun> {
    const known = this.#run;
    if (known !== undefined && equalBytes(known.id, ceremony.id) && known.joined === (secret !== undefined))
      return known.run;
    const { group, ledger, member, random, hpke, keysOf } = this.#options;
    const before = ceremony.shareEpoch === 0 ? undefined : ledger.share(ceremony.shareEpoch - 1);
    const previous =
      before === undefined
        ? undefined
        : { keys: keysOf(before), share: await this.#ownShare(ceremony.shareEpoch - 1) };
    const run = await CeremonyRun.begin({
      group,
      chainId: ledger.chainId,
      ceremony,
      self: member,
      secret,
      random,
      previous,
      hpke,
      hpkeKeyOf: (one) => ledger.hpkeKeyOf(one),
    });
    this.#run = { id: ceremony.id, run, joined: secret !== undefined };
    this.#told = 0;
    return run;
  }

  /** Names each dealer that is out, once. */
  #tell(run: CeremonyRun): void {
    for (const blamed of run.blamed.slice(this.#told)) this.#options.onBlamed(blamed);
    this.#told = run.blamed.length;
  }

  /** Sends what this member has to say in the phase. */
  async #say(ceremony: CeremonyState, run: CeremonyRun): Promise<void> {
    const { member } = this.#options;
    const { phase, joined, announced, dealt, complaints, answered } = ceremony;
    switch (phase) {
      case 'join':
        if (!joined.includes(member)) await this.#send(run.join());
        return;
      case 'deal':
        if (announced.includes(member) && !dealt.includes(member)) await this.#send(await run.deal());
        return;
      case 'complain':
        if (joined.includes(member) && !complaints.some(({ by }) => by === member))
          await this.#send(run.complain());
        return;
      case 'answer':
        if (!answered.includes(member)) await this.#send(run.answer());
        return;
      case 'confirm':
      case 'done':
        await this.#confirm(ceremony, run);
        return;
      case 'failed':
    }
  }

  async #send(step: ShareStep | undefined): Promise<void> {
    if (step !== undefined) await this.#options.commit('ShareStep', step);
  }

  /** Writes the new share, reads it back, proves it, and confirms the outcome. */
  async #confirm(ceremony: CeremonyState, run: CeremonyRun): Promise<void> {
    const { ledger, store, group, member, random, authority, commit, clock, event } = this.#options;
    const { result } = run;
    if (result === undefined) return;
    const { shareEpoch } = ceremony;
    const E = result.keys.E[result.share.authority - 1];
    let share = await this.#valid(shareEpoch, E);
    if (share === undefined) {
      await store.put(shareName(shareEpoch), encodeAuthorityShare(result.share));
      share = await this.#valid(shareEpoch, E);
      if (share === undefined)
        throw new CodedError(
          'storage.hash_mismatch',
          'the new share could not be read back: see to the disk',
        );
      event('share.stored', { shareEpoch, qualified: result.qualified.length });
    }
    authority.useShare(encodeAuthorityShare(share));
    if (!ceremony.held.includes(member))
      await this.#send({
        ceremony: ceremony.id,
        kind: 'hold',
        body: { proof: proveShare(group, ceremony.id, share, E, random) },
      });
    const isWaiting = ceremony.phase === 'confirm' && this.#isOverdue(ceremony, clock());
    if (ledger.confirmed(shareEpoch, member) && !isWaiting) return;
    const { keys } = result;
    await commit('ShareEpoch', {
      shareEpoch,
      threshold: keys.t,
      members: ceremony.members,
      mpk: group.encodeGT(keys.mpk.E),
      commitments: keys.E.map((one) => group.encodeGT(one)),
      transcript: ceremony.transcript,
    });
  }

  /** Ends a phase whose time is over; what enough have confirmed is put in force instead. */
  async #close(ceremony: CeremonyState): Promise<void> {
    const { ledger, clock } = this.#options;
    const { phase, id } = ceremony;
    if (isEnded(ceremony) || (phase === 'join' && ceremony.shareEpoch === 0)) return;
    const now = ledger.ceremony();
    if (now === undefined || now.phase !== phase || !equalBytes(now.id, id)) return;
    if (!this.#isOverdue(ceremony, clock())) return;
    await this.#send({ ceremony: id, kind: 'close', body: { phase } });
  }

  #isOverdue({ since, windowMs, members }: CeremonyState, now: number): boolean {
    const turn = Math.max(0, members.indexOf(this.#options.member));
    return now >= since + windowMs + turn * CLOSE_STAGGER_MS;
  }

  /** Hands the share of the epoch in force to the authority. */
  async #load(): Promise<void> {
    const { ledger, authority, event } = this.#options;
    const epoch = ledger.shareEpoch();
    if (epoch === null || epoch === this.#loaded) return;
    authority.dropBefore(epoch);
    const share = await this.#ownShare(epoch);
    if (share === undefined) return;
    authority.useShare(encodeAuthorityShare(share));
    this.#loaded = epoch;
    event('share.loaded', { shareEpoch: epoch });
  }

  /** Erases secrets of ceremonies that are over and old shares, each as soon as it may be. Answers what is kept on. */
  async #erase(): Promise<boolean> {
    const { ledger, store, member, event } = this.#options;
    const names = await store.names();
    const ceremony = ledger.ceremony();
    const epoch = ledger.shareEpoch();
    const share = epoch === null ? undefined : ledger.share(epoch);
    const own = epoch === null ? undefined : await this.#ownShare(epoch);
    const holds = own !== undefined || share?.members.includes(member) !== true;
    const spent = names.filter((name) => {
      const attempt = Number(SECRET_NAME.exec(name)?.[1] ?? Number.NaN);
      if (ceremony === undefined || !(attempt <= ceremony.attempt)) return false;
      return (
        attempt < ceremony.attempt || ceremony.phase === 'failed' || (ceremony.phase === 'done' && holds)
      );
    });
    if (spent.length > 0) await store.delete(...spent);
    if (epoch === null || share === undefined) return false;
    // Under the number of the epoch in force, but of an attempt at it that failed.
    if (own === undefined && names.includes(shareName(epoch)) && ceremony?.phase === 'done')
      await store.delete(shareName(epoch));
    const old = names.filter((name) => Number(SHARE_NAME.exec(name)?.[1] ?? epoch) < epoch);
    if (old.length === 0) return false;
    if (!holds || ceremony === undefined || !mayErase(this.#options, ceremony, share)) return true;
    await store.delete(...old);
    event('share.erased', { before: epoch });
    return false;
  }

  /** The share of an epoch in force that the store holds, if it is the one of the ledger's commitments. */
  async #ownShare(epoch: number): Promise<AuthorityShare | undefined> {
    const { ledger, keysOf, member } = this.#options;
    const state = ledger.share(epoch);
    const at = state?.members.indexOf(member) ?? -1;
    return state === undefined || at < 0 ? undefined : this.#valid(epoch, keysOf(state).E[at]);
  }

  async #valid(epoch: number, E: AuthorityKeys['E'][number]): Promise<AuthorityShare | undefined> {
    const { store, group } = this.#options;
    const bytes = await store.get(shareName(epoch));
    if (bytes === undefined) return undefined;
    const share = decodeAuthorityShare(bytes);
    return share.shareEpoch === epoch && isShareOf(group, share, E) ? share : undefined;
  }
}
