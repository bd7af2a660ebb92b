/**
 * A circle of share holders on one real ledger: the state machine, the ceremony and its cryptography are the product's;
 * disks are maps that can fail, and what a member sends can be replaced. Time is the ledger's.
 */
import {
  type AuthorityKeys,
  dealAuthorities,
  decodeAuthorityShare,
  encodeAuthorityShare,
  type Group,
  isShareOf,
} from '../../src/abe/index.ts';
import { type HolderOptions, ShareHolder } from '../../src/authority/holder.ts';
import type { SecretStore } from '../../src/authority/ports.ts';
import { waitsFor } from '../../src/authority/progress.ts';
import { toHex } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { hpkeKeyPair } from '../../src/codec/hpke.ts';
import { memberId } from '../../src/codec/ids.ts';
import { type ShareEpoch, type ShareState, type ShareStep, STATE } from '../../src/ledger/index.ts';
import { epochKeys, shareLedgerOf } from '../../src/node/shares.ts';
import { seeded } from '../abe/fixtures.ts';
import { bytesOf, ceremony, genesisDocument, MEMBER_IDS, operatorOf, TestLedger } from '../ledger/support.ts';

/** What a disk does, in order; `point` is a kind of name (`share`, `ceremony`) that the operation is on. */
export interface DiskAction {
  readonly op: 'get' | 'put' | 'delete';
  readonly names: readonly string[];
}

/** A machine that stopped: whatever was going on there ends. */
export class Crash extends Error {}

/** A disk that keeps what was put, and tells each action before and after it took place. */
export class Disk implements SecretStore {
  readonly kept = new Map<string, Uint8Array>();
  /** Throws to stop the machine there. */
  watch: (when: 'before' | 'after', action: DiskAction) => void = () => undefined;

  async get(name: string): Promise<Uint8Array | undefined> {
    this.watch('before', { op: 'get', names: [name] });
    return this.kept.get(name)?.slice();
  }

  async put(name: string, secret: Uint8Array): Promise<void> {
    this.watch('before', { op: 'put', names: [name] });
    this.kept.set(name, secret.slice());
    this.watch('after', { op: 'put', names: [name] });
  }

  async delete(...names: readonly string[]): Promise<void> {
    this.watch('before', { op: 'delete', names });
    for (const name of names) this.kept.delete(name);
    this.watch('after', { op: 'delete', names });
  }

  async names(): Promise<readonly string[]> {
    return [...this.kept.keys()].sort();
  }
}

/** What becomes of a step that a member is about to send: itself, another one, or nothing. */
export type Tamper = (step: ShareStep) => ShareStep | undefined;

export class Seat {
  readonly id: string;
  readonly disk = new Disk();
  /** Share epochs that the authority would answer for. */
  readonly loaded = new Set<number>();
  readonly blamed: string[] = [];
  readonly events: string[] = [];
  tamper: Tamper = (step) => step;
  isUp = true;
  readonly #circle: Circle;
  #holder: Promise<ShareHolder> | undefined;
  #starts = 0;

  constructor(circle: Circle, id: string) {
    this.#circle = circle;
    this.id = id;
  }

  /** Forgets everything but the disk, as a process that is started again. */
  restart(): void {
    this.#holder = undefined;
    this.loaded.clear();
  }

  /** One turn; the codes of races are nothing. */
  async turn(): Promise<void> {
    if (!this.isUp) return;
    this.#holder ??= this.#start();
    try {
      await (await this.#holder).advance();
    } catch (error) {
      if (error instanceof Crash) this.restart();
      else if (!(error instanceof CodedError) || !error.code.startsWith('share.')) throw error;
    }
  }

  async #start(): Promise<ShareHolder> {
    const { ledger, group, keysOf } = this.#circle;
    const options: HolderOptions = {
      member: memberId(this.id),
      ledger: { ...shareLedgerOf(ledger.engine), cosignedTimeMs: () => this.#circle.cosignedTimeMs() },
      store: this.disk,
      authority: {
        useShare: (encoded) => this.loaded.add(decodeAuthorityShare(encoded).shareEpoch),
        dropBefore: (epoch) => {
          for (const one of this.loaded) if (one < epoch) this.loaded.delete(one);
        },
      },
      group,
      hpke: await hpkeKeyPair(bytesOf(`hpke seed ${this.id}`)),
      random: seeded(`${this.id} ${this.#starts++}`),
      clock: () => ledger.time,
      keysOf,
      commit: (type, body) => this.#commit(type, body),
      event: (name) => this.events.push(name),
      onBlamed: ({ dealer, reason }) => this.blamed.push(`${dealer}: ${reason}`),
    };
    return new ShareHolder(options);
  }

  async #commit(type: 'ShareStep' | 'ShareEpoch', body: ShareStep | ShareEpoch): Promise<void> {
    const { ledger } = this.#circle;
    const sent = type === 'ShareStep' ? this.tamper(body as ShareStep) : body;
    if (sent === undefined) return;
    const request = ledger.request(operatorOf(this.id), type, sent as never);
    const code = await ledger.refusalOf(request);
    if (code !== 'none') throw new CodedError(code, 'refused');
    await ledger.block([request]);
  }
}

export class Circle {
  readonly ledger: TestLedger;
  readonly group: Group;
  readonly seats: Seat[];
  readonly keysOf: (share: ShareState) => AuthorityKeys;
  /** Newest block time that a quorum has cosigned; the tip's unless a test holds it back. */
  cosignedTimeMs: () => number = () => this.ledger.engine.head.time;
  readonly #valid = new Map<string, boolean>();

  private constructor(ledger: TestLedger, group: Group, members: readonly string[]) {
    this.ledger = ledger;
    this.group = group;
    this.keysOf = epochKeys(group);
    this.seats = members.map((id) => new Seat(this, id));
  }

  /** A circle before its first ceremony. */
  static async open(group: Group, members: readonly string[] = MEMBER_IDS): Promise<Circle> {
    const document = genesisDocument(members);
    const hpkeKeys = await Promise.all(members.map((id) => hpkeKeyPair(bytesOf(`hpke seed ${id}`))));
    const ledger = await TestLedger.open({
      document: {
        ...document,
        members: document.members.map((one, i) => ({ ...one, hpkeKey: hpkeKeys[i].publicKey })),
      },
    });
    return new Circle(ledger, group, members);
  }

  /** A circle that holds shares of epoch 0, from a dealer: for tests of what comes after. */
  static async dealt(group: Group, members: readonly string[] = MEMBER_IDS): Promise<Circle> {
    const circle = await Circle.open(group, members);
    const outcome = ceremony(0, members);
    const { keys, shares } = dealAuthorities({
      group,
      n: members.length,
      t: outcome.threshold,
      random: seeded('dealer'),
    });
    for (const [i, share] of shares.entries())
      circle.seats[i].disk.kept.set('share/0', encodeAuthorityShare(share));
    await circle.ledger.openShares({
      ...outcome,
      mpk: group.encodeGT(keys.mpk.E),
      commitments: keys.E.map((one) => group.encodeGT(one)),
    });
    await circle.settle();
    return circle;
  }

  seat(id: string): Seat {
    const found = this.seats.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no seat of ${id}`);
    return found;
  }

  /** One more member takes part. */
  sit(seat: Seat): void {
    this.seats.push(seat);
  }

  get epoch(): number | null {
    return this.ledger.engine.get(STATE.chain)?.shareEpoch ?? null;
  }

  get phase(): string {
    return this.ledger.engine.get(STATE.ceremony)?.phase ?? 'none';
  }

  /** Members for whom the phase waits. */
  waitsFor(): readonly string[] {
    const state = this.ledger.engine.get(STATE.ceremony);
    if (state === undefined) return [];
    return waitsFor(state, (member) => shareLedgerOf(this.ledger.engine).confirmed(state.shareEpoch, member));
  }

  share(epoch: number): ShareState {
    const state = this.ledger.engine.get(STATE.share(epoch));
    if (state === undefined) throw new Error(`no share epoch ${epoch}`);
    return state;
  }

  /** Turns of all seats until nothing moves any more. */
  async settle(): Promise<void> {
    for (let last = ''; ; ) {
      for (const seat of this.seats) await seat.turn();
      const state = [
        this.ledger.engine.head.size,
        ...this.seats.flatMap((seat) => [...seat.disk.kept.keys(), [...seat.loaded].join()]),
      ].join('/');
      if (state === last) return;
      last = state;
    }
  }

  /** Lets `ms` go by, and the seats act on it. */
  async pass(ms: number): Promise<void> {
    this.ledger.time += ms;
    await this.settle();
  }

  /** Members whose disk holds the share of `epoch` that the ledger's commitments are of. */
  holders(epoch: number): readonly string[] {
    const state = this.share(epoch);
    const { E } = this.keysOf(state);
    return this.seats
      .filter((seat) => {
        const at = state.members.indexOf(seat.id);
        const bytes = seat.disk.kept.get(`share/${epoch}`);
        return at >= 0 && bytes !== undefined && this.#isValid(bytes, E[at]);
      })
      .map((seat) => seat.id);
  }

  #isValid(bytes: Uint8Array, E: AuthorityKeys['E'][number]): boolean {
    const name = toHex(bytes) + toHex(this.group.encodeGT(E).slice(0, 48));
    const known = this.#valid.get(name) ?? isShareOf(this.group, decodeAuthorityShare(bytes), E);
    this.#valid.set(name, known);
    return known;
  }
}
