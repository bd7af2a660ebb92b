/** What must hold after every event. A breach is recorded once, as text that says what was seen. */
import type { Chain } from '../chain.ts';
import { checkNewView, emptyAllowed, preparedHolds, timely } from '../core/rules.ts';
import type { WalRecord } from '../core/types.ts';
import { CLOCK_TOLERANCE_MS, VIEWS_AHEAD_MAX } from '../limits.ts';
import { rootsAgree } from '../node/executor.ts';
import type { Block, Message, ViewChange } from '../wire/messages.ts';
import { voteBytes } from '../wire/signing.ts';
import { decodeSimRequest, RELEASE_MS } from './application.ts';
import { simVerify } from './keys.ts';
import type { SimNode } from './node.ts';

/** Whether a client made this request. */
type Authentic = (request: Uint8Array) => boolean;

export class Checks {
  readonly violations: string[] = [];
  /** From now on nothing fails, so no leader may be changed. */
  calm = false;
  readonly #chainId: Uint8Array;
  /** Highest decided height. */
  highest = 0;
  readonly #decided = new Map<number, string>();
  readonly #signed = new Map<string, string>();
  /** Highest view of each height for which an honest member asked. */
  readonly #asked = new Map<number, number>();
  readonly #promised = new Map<string, number>();
  readonly #executed = new Map<number, Map<string, number>>();
  /** Highest height at which each member voted, and up to which one that lost its log may not vote again. */
  readonly #voted = new Map<number, number>();
  readonly #forgotten = new Map<number, number>();

  constructor(chainId: Uint8Array) {
    this.#chainId = chainId;
  }

  #breach(text: string): void {
    if (!this.violations.includes(text)) this.violations.push(text);
  }

  /** An honest member is at most one view above what its own kind asked for before: liars alone move nobody (rule 14). */
  #nextView(node: SimNode, { height, view }: ViewChange): void {
    const highest = this.#asked.get(height) ?? 0;
    if (view > highest + 1 && !node.setBack)
      this.#breach(`member ${node.index} goes to view ${view} of height ${height} at the word of liars`);
    this.#asked.set(height, Math.max(highest, view));
  }

  /** No honest double vote, no vote below an own VIEW-CHANGE, nothing sent before its record is durable. */
  onSend(node: SimNode, message: Message): void {
    if (message.type === 'view-change') this.#nextView(node, message);
    if (node.setBack) return;
    switch (message.type) {
      case 'pre-prepare':
        if (message.view !== 0) this.#breach(`height ${message.height} did not open at view 0`);
        this.#once(node, 'pre-prepare', message);
        if (message.sender === this.#indexOf(node)) this.#needs(node, message, 'proposal');
        return;
      case 'new-view':
        this.#once(node, 'pre-prepare', message);
        if (message.sender === this.#indexOf(node)) this.#needs(node, message, 'proposal');
        return;
      case 'prepare':
        this.#once(node, message.type, message);
        this.#keepsPromise(node, message);
        this.#needs(node, message, 'proposal');
        return;
      case 'commit':
        this.#once(node, message.type, message);
        this.#keepsPromise(node, message);
        this.#needs(node, message, 'prepared');
        return;
      case 'view-change': {
        this.#once(node, message.type, message);
        this.#needs(node, message, 'view-change');
        this.#showsLock(node, message);
        const name = `${node.index} ${message.height}`;
        this.#promised.set(name, Math.max(this.#promised.get(name) ?? 0, message.view));
        return;
      }
      default:
    }
  }

  #indexOf(node: SimNode): number {
    return node.replica?.index ?? -1;
  }

  #once(
    node: SimNode,
    kind: string,
    vote: { epoch: number; height: number; view: number; sender: number; digest: string },
  ): void {
    if (vote.sender !== this.#indexOf(node)) return;
    if (vote.height <= (this.#forgotten.get(node.index) ?? 0))
      this.#breach(`member ${node.index} lost its log and votes where it may have voted before`);
    this.#voted.set(node.index, Math.max(this.#voted.get(node.index) ?? 0, vote.height));
    const name = `${kind} ${node.index} ${vote.epoch} ${vote.height} ${vote.view}`;
    const before = this.#signed.get(name);
    if (before !== undefined && before !== vote.digest) this.#breach(`honest member signed twice: ${name}`);
    this.#signed.set(name, vote.digest);
  }

  /** A VIEW-CHANGE shows the highest lock that its sender holds below it. */
  #showsLock(node: SimNode, { height, view, prepared }: ViewChange): void {
    for (const record of node.disk.durable) {
      if (record.kind !== 'prepared' || record.height !== height) continue;
      const held = record.certificate.view;
      if (held < view && held > (prepared?.view ?? -1))
        this.#breach(`member ${node.index} hides its lock in a VIEW-CHANGE at height ${height}`);
    }
  }

  #keepsPromise(node: SimNode, vote: { height: number; view: number }): void {
    const promised = this.#promised.get(`${node.index} ${vote.height}`) ?? 0;
    if (vote.view < promised)
      this.#breach(`honest member ${node.index} voted below its VIEW-CHANGE at ${vote.height}`);
  }

  #needs(node: SimNode, vote: { height: number; view: number }, kind: WalRecord['kind']): void {
    const durable = node.disk.durable.some(
      (record) => record.kind === kind && record.height === vote.height && viewOf(record) === vote.view,
    );
    if (!durable) this.#breach(`member ${node.index} sent before its ${kind} record was durable`);
  }

  /** What an honest member accepts or locks holds by the rules, whatever guards the core under test lacks. */
  onPersist(node: SimNode, record: WalRecord, chain: Chain, authentic: Authentic): void {
    if (record.kind === 'proposal') this.#accepts(node, record, chain, authentic);
    if (record.kind === 'prepared' && !this.#locks(record, chain)) {
      this.#breach(`member ${node.index} locked without a quorum at height ${record.height}`);
    }
  }

  #accepts(
    node: SimNode,
    { height, message }: Extract<WalRecord, { kind: 'proposal' }>,
    chain: Chain,
    authentic: Authentic,
  ): void {
    const accepted = message.type === 'new-view' ? checkNewView(chain, message) : 'fresh';
    const breach = (what: string): void =>
      this.#breach(`member ${node.index} accepted ${what} at height ${height}`);
    if (accepted === 'refused') breach('a NEW-VIEW that does not hold');
    if (accepted !== 'fresh') return;
    const { proposal, view } = message;
    const { header, batch } = proposal;
    const own = message.sender === this.#indexOf(node);
    if (!own && !timely(chain, header, node.clock())) breach('a time far from its clock');
    if (!emptyAllowed(chain, proposal, view)) breach('an empty block before one is due');
    const requests = batch.map(decodeSimRequest);
    const nonces = requests.map(({ client, nonce }) => `${client}/${nonce}`);
    if (!batch.every(authentic)) breach('a request that no client made');
    if (requests.some(({ expiresAt }) => expiresAt <= header.time)) breach('an expired request');
    if (new Set(nonces).size < nonces.length || nonces.some((nonce) => node.application.used.has(nonce)))
      breach('a used nonce');
  }

  /** Whether the certificate of a lock is one that others would believe. */
  #locks({ height, certificate }: Extract<WalRecord, { kind: 'prepared' }>, chain: Chain): boolean {
    const { validators } = chain;
    const { view, hash, votes } = certificate;
    return (
      preparedHolds(chain, certificate, Number.POSITIVE_INFINITY) &&
      votes.every(({ sender, signature }) => {
        const bytes = voteBytes(
          'prepare',
          this.#chainId,
          { epoch: validators.epoch, height, view, sender },
          hash,
        );
        return simVerify(validators.keys[sender], bytes, signature);
      })
    );
  }

  /** A start stands where its log says, or knows that the log is lost. */
  onStart(node: SimNode, records: readonly WalRecord[], lost: boolean): void {
    const { replica } = node;
    if (lost) this.#forgotten.set(node.index, this.#voted.get(node.index) ?? 0);
    if (replica === undefined) return;
    const open = records.filter(({ height }) => height === replica.chain.height + 1);
    const highest = (kind: WalRecord['kind']): number =>
      Math.max(-1, ...open.filter((record) => record.kind === kind).map((record) => viewOf(record) ?? -1));
    const stands =
      replica.view === Math.max(0, highest('view-change'), highest('proposal')) &&
      (replica.accepted?.view ?? -1) === highest('proposal') &&
      replica.lockedView === highest('prepared');
    if (!stands) this.#breach(`member ${node.index} does not stand where its log says after a start`);
  }

  /** What a block of `time` grants is released at the true time `now`. */
  onRelease(node: SimNode, time: number, now: number): void {
    // Clocks of a simulation are off by less than the tolerance.
    if (now - time > RELEASE_MS + CLOCK_TOLERANCE_MS)
      this.#breach(`member ${node.index} releases what a block granted ${now - time} ms ago`);
  }

  /** Agreement, authenticity, exactly-once, expiry. */
  onDecide(node: SimNode, block: Block, chain: Chain, authentic: Authentic): void {
    const { proposal, qc } = block;
    const { height, time } = proposal.header;
    if (qc.votes.length < chain.validators.q)
      this.#breach(`a certificate of ${height} has fewer than q votes`);
    if (this.calm && qc.view > 0)
      this.#breach(`a leader was deposed at height ${height} although nothing failed`);
    const before = this.#decided.get(height);
    if (before !== undefined && before !== proposal.hash) this.#breach(`two blocks at height ${height}`);
    this.#decided.set(height, proposal.hash);
    this.highest = Math.max(this.highest, height);
    let executed = this.#executed.get(node.index);
    if (executed === undefined) {
      executed = new Map();
      this.#executed.set(node.index, executed);
    }
    for (const bytes of proposal.batch) {
      const request = decodeSimRequest(bytes);
      const nonce = `${request.client}/${request.nonce}`;
      const at = executed.get(nonce);
      if (at !== undefined && at !== height) this.#breach(`nonce ${nonce} executed twice`);
      executed.set(nonce, height);
      if (request.expiresAt <= time) this.#breach(`an expired request was executed at height ${height}`);
      if (!authentic(bytes)) this.#breach(`a request that no client made was executed at height ${height}`);
    }
    const result = node.application.run(proposal.header, proposal.batch);
    if (!result.ok || !rootsAgree(proposal.header, result)) {
      this.#breach(`the block of height ${height} has roots that its execution does not give`);
    }
    if (proposal.batch.length === 0 && proposal.header.view === 0 && time < chain.time + 25_000) {
      this.#breach(`an empty block burnt height ${height}`);
    }
  }

  onHalt(node: SimNode, reason: string): void {
    this.#breach(`honest member ${node.index} halted: ${reason}`);
  }

  /** Views of members with a common height stay near each other in what they store. */
  onView(view: number): void {
    if (view > 10 * VIEWS_AHEAD_MAX) this.#breach(`a view ran away to ${view}`);
  }

  fail(text: string): void {
    this.#breach(text);
  }
}

function viewOf(record: WalRecord): number | undefined {
  if (record.kind === 'proposal' || record.kind === 'view-change') return record.message.view;
  return record.kind === 'prepared' ? record.certificate.view : undefined;
}
