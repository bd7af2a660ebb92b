/** The open height of a replica: everything that is dropped as a whole when the height is decided. */
import type { Hash } from '../wire/bytes.ts';
import type {
  Commit,
  NewView,
  PrePrepare,
  Prepare,
  PreparedCertificate,
  Proposal,
  QuorumCertificate,
  ViewChange,
} from '../wire/messages.ts';
import type { ProposalMode, Verdict } from './types.ts';
import { VoteTable } from './votes.ts';

/** A proposal of a view on its way to acceptance, with the message that carried it. */
export interface Candidate {
  readonly view: number;
  readonly message: PrePrepare | NewView;
  readonly mode: ProposalMode;
}

/** Everything about the open height. Dropped as a whole when the height is decided. */
export class OpenHeight {
  readonly height: number;
  readonly openedAt: number;
  /** The view in which a PRE-PREPARE stands alone; 0, except where that guard is left out. */
  readonly first: number;
  view: number;
  /** True from sending VIEW-CHANGE(view) until a NEW-VIEW for `view` is accepted. */
  changing = false;
  viewSince: number;
  /** When q VIEW-CHANGEs for `view` or higher were first held. */
  quorumSince: number | undefined;
  heartbeatSince: number | undefined;
  /** Examined but not yet accepted. */
  candidate: Candidate | undefined;
  /** Accepted: validated and handed to the WAL. */
  accepted: Candidate | undefined;
  building = false;
  locked: PreparedCertificate | undefined;
  ownViewChange: ViewChange | undefined;
  ownPrepare: Prepare | undefined;
  ownCommit: Commit | undefined;
  decided: QuorumCertificate | undefined;
  /** A certificate whose block is still missing or unexecuted. */
  awaited: QuorumCertificate | undefined;
  handedOver = false;
  readonly leading = new VoteTable();
  readonly prepares = new VoteTable<Prepare>();
  readonly commits = new VoteTable<Commit>();
  readonly viewChanges = new Map<number, ViewChange>();
  readonly proposals = new Map<Hash, Proposal>();
  readonly verdicts = new Map<Hash, Verdict>();
  readonly examining = new Set<string>();
  /** Senders against whom evidence was given. */
  readonly accused = new Set<number>();

  constructor(height: number, now: number, first = 0) {
    this.height = height;
    this.first = first;
    this.view = first;
    this.openedAt = now;
    this.viewSince = now;
  }

  /** The (f+1)-th highest view among distinct senders, if above the own: an honest one is at it or higher (rule 14). */
  viewToJoin(f: number): number | undefined {
    const views = [...this.viewChanges.values()].map((change) => change.view).sort((a, b) => b - a);
    const joined = views[f];
    return joined !== undefined && joined > this.view ? joined : undefined;
  }

  /** Notes since when `q` senders are at the current view or higher. */
  noteViewChangeQuorum(q: number, now: number): void {
    if (!this.changing || this.quorumSince !== undefined) return;
    let count = 0;
    for (const change of this.viewChanges.values()) if (change.view >= this.view) count++;
    if (count >= q) this.quorumSince = now;
  }

  /** `q` VIEW-CHANGEs of exactly the current view, senders ascending. */
  viewChangeQuorum(q: number): ViewChange[] | undefined {
    const changes = [...this.viewChanges.values()]
      .filter((change) => change.view === this.view)
      .sort((a, b) => a.sender - b.sender);
    return changes.length >= q ? changes.slice(0, q) : undefined;
  }

  /**
   * An independent copy that holds nothing of the others' votes and VIEW-CHANGEs, which a network may deliver again
   * at any time; messages and proposals are immutable and shared.
   */
  copy(own: number): OpenHeight {
    const change = this.viewChanges.get(own);
    return Object.assign(new OpenHeight(this.height, this.openedAt, this.first), this, {
      leading: this.leading.copy(),
      prepares: this.prepares.of(own),
      commits: this.commits.of(own),
      viewChanges: new Map(change && [[own, change]]),
      quorumSince: undefined,
      proposals: new Map(this.proposals),
      verdicts: new Map(this.verdicts),
      examining: new Set(this.examining),
      accused: new Set(this.accused),
    });
  }

  /** What later votes depend on, as text. */
  digest(): string {
    return [
      this.view,
      this.changing,
      this.accepted?.view,
      this.accepted?.message.digest,
      this.locked?.view,
      this.locked?.hash,
      this.ownPrepare?.view,
      this.ownCommit?.view,
      this.ownViewChange?.view,
    ].join(' ');
  }
}
