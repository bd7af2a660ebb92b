/**
 * Verification of a whole ledger from its export, offline: every header, certificate, batch, signature, leaf, log root,
 * checkpoint and change of validators, and, with a state machine at hand, every result and state root.
 *
 * Nothing stops the walk. What fails becomes a row that says where and what; the walk goes on from what the
 * certified header says, so that one damaged entry is one row. Without `replay` the results inside leaves and
 * the state roots are taken as certified by the quorum, not recomputed. A file that ends early is a shorter
 * ledger: only `tip`, a checkpoint that the verifier got elsewhere, tells.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { type Checkpoint, verifyCheckpoint } from '../checkpoint/checkpoint.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { anchorOrigin, type TrustAnchor, type ValidatorPeriod, validatorsAt } from './anchor.ts';
import type { BlockHeader, ConsensusVerifier } from './consensus.ts';
import { type Entry, matchEntries, type SignatureCheck } from './entries.ts';
import type { BlockRecord, LedgerRecord } from './export.ts';
import { LeafLog, type LeavesAt } from './leaf-log.ts';
import { type FailureKind, Failures, type LedgerReport, reasonOf } from './report.ts';
import { leafHash } from './rfc6962.ts';

/** A verifier's trust in a whole ledger. */
export interface LedgerAnchor extends TrustAnchor {
  /** Parent hash of the header at height 1, 32 bytes. */
  readonly genesisHash: Uint8Array;
}

/** Runs a block again: the leaves and the state root that it must have. May throw. */
export interface LedgerReplay {
  genesis(leaf: Uint8Array): void | Promise<void>;
  block(
    at: Pick<BlockHeader, 'height' | 'time'>,
    batch: readonly Uint8Array[],
  ):
    | { readonly leaves: readonly Uint8Array[]; readonly stateRoot: Uint8Array }
    | Promise<{ readonly leaves: readonly Uint8Array[]; readonly stateRoot: Uint8Array }>;
}

/** What the walk is given besides the file. */
export interface LedgerTools {
  readonly consensus: ConsensusVerifier;
  /** Checks each request's signature against the keys that the ledger registered before it. */
  readonly signatures?: SignatureCheck;
  readonly replay?: LedgerReplay;
  /** A verified checkpoint that the ledger must reach and agree with. */
  readonly tip?: Checkpoint;
}

/** Verifies what `source` yields. Never throws on what the file holds; throws what `source` itself throws. */
export async function verifyLedger(
  source: AsyncIterable<LedgerRecord> | Iterable<LedgerRecord>,
  anchor: LedgerAnchor,
  tools: LedgerTools,
): Promise<LedgerReport> {
  const walk = new Walk(anchor, tools);
  for await (const record of source) await walk.record(record);
  return walk.end();
}

interface Parent {
  readonly height: number;
  readonly hash: Uint8Array;
  readonly time: number;
  readonly certified: boolean;
}

class Walk {
  readonly #tools: LedgerTools;
  readonly #origin: string;
  readonly #failures = new Failures();
  #anchor: LedgerAnchor;
  #parent: Parent;
  readonly #log: LeafLog;
  #started = false;
  #replayLostAt: number | undefined;
  #keysLostAt: number | undefined;
  #tipSeen = false;
  #entries = 0;
  #blocks = 0;

  constructor(anchor: LedgerAnchor, tools: LedgerTools) {
    this.#anchor = anchor;
    this.#tools = tools;
    this.#origin = anchorOrigin(anchor);
    this.#parent = { height: 0, hash: anchor.genesisHash, time: 0, certified: true };
    this.#log = new LeafLog(anchor.genesisEntry, this.#failures);
  }

  async record(record: LedgerRecord): Promise<void> {
    const isFirst = !this.#started;
    this.#started = true;
    if (isFirst && record.kind !== 'genesis')
      this.#failures.add({ height: 0, what: 'genesis', expected: 'a first line', got: 'none' });
    switch (record.kind) {
      case 'genesis':
        return this.#genesis(record.chainId, record.leaf, isFirst);
      case 'damaged':
        return this.#damaged(record.reason);
      case 'block':
        await this.#failures.guard({ height: this.#parent.height + 1, what: 'record' }, () =>
          this.#block(record),
        );
    }
  }

  end(): LedgerReport {
    const { tip } = this.#tools;
    if (!this.#started)
      this.#failures.add({ height: 0, what: 'genesis', expected: 'a first line', got: 'an empty file' });
    if (tip !== undefined && !this.#tipSeen) {
      this.#failures.add({
        height: tip.height,
        what: 'tip',
        expected: `height ${tip.height}`,
        got: `${this.#parent.height}`,
      });
    }
    return {
      entries: this.#entries,
      blocks: this.#blocks,
      ok: this.#failures.list.length === 0,
      failures: this.#failures.list,
      moreFailures: this.#failures.more,
      ...(this.#log.lostAt === undefined ? {} : { logUnverifiedFrom: this.#log.lostAt }),
      ...(this.#replayLostAt === undefined || this.#tools.replay === undefined
        ? {}
        : { replayStoppedAt: this.#replayLostAt }),
      ...(this.#keysLostAt === undefined || this.#tools.signatures === undefined
        ? {}
        : { signaturesUnverifiedFrom: this.#keysLostAt }),
    };
  }

  async #genesis(chainId: string, leaf: Uint8Array, isFirst: boolean): Promise<void> {
    if (!isFirst)
      return this.#failures.add({
        height: this.#parent.height,
        what: 'genesis',
        expected: 'once',
        got: 'again',
      });
    this.#entries++;
    if (chainId !== this.#anchor.chainId) {
      this.#failures.add({
        height: 0,
        index: 0,
        what: 'chain',
        expected: this.#anchor.chainId,
        got: chainId.slice(0, 64),
      });
    }
    const hash = leafHash(leaf);
    if (!equalBytes(hash, this.#anchor.genesisEntry)) {
      this.#failures.hashes({ height: 0, index: 0, what: 'genesis' }, this.#anchor.genesisEntry, hash);
      // Without the true genesis neither keys nor state can be followed; the chain of blocks still can.
      this.#lose(0);
      return;
    }
    const at = { height: 0, index: 0, what: 'genesis' } as const;
    await this.#failures.guard(at, async () => this.#tools.signatures?.genesis(leaf));
    if (!(await this.#failures.guard(at, async () => this.#tools.replay?.genesis(leaf))))
      this.#replayLostAt = 0;
  }

  async #block(block: BlockRecord): Promise<void> {
    this.#blocks++;
    this.#entries += block.leaves.length;
    const { consensus } = this.#tools;
    let header: BlockHeader;
    try {
      header = consensus.readHeader(block.header);
    } catch (error) {
      const height = this.#parent.height + 1;
      this.#failures.add({ height, what: 'header', expected: 'a block header', got: reasonOf(error) });
      this.#unread(height);
      await this.#replay(
        { height, header: undefined },
        block,
        this.#entriesOf(block, { height, header: undefined }),
      );
      return;
    }
    const expected = this.#parent.height + 1;
    const certified = this.#certificate(header, block);
    if (header.height !== expected) {
      this.#failures.add({
        height: expected,
        what: 'height',
        expected: `${expected}`,
        got: `${header.height}`,
      });
      // Certified and low: a block that was read already. Not certified: its number is as good as its bytes.
      if (certified && header.height < expected) return;
      if (certified) this.#lose(expected);
      else header = { ...header, height: expected };
    }
    const { height } = header;
    this.#chain(header, certified);
    this.#failures.unlessEqual({ height, what: 'batch' }, header.batchHash, consensus.batchHash(block.batch));
    const at = { height, header: certified ? header : undefined };
    await this.#replay(at, block, this.#entriesOf(block, at), header.time);
    this.#validators(header, block, certified);
    if (block.checkpoint !== undefined) this.#checkpoint(header, block.checkpoint);
    this.#tip(header);
    const time = certified ? header.time : this.#parent.time;
    this.#parent = { height, hash: consensus.headerHash(block.header), time, certified };
  }

  #damaged(reason: string): void {
    const height = this.#parent.height + 1;
    this.#failures.add({ height, what: 'record', expected: 'a block', got: reason });
    this.#unread(height);
    this.#lose(height);
  }

  /** A block is missing: neither state nor registered keys can be followed any more. */
  #lose(height: number): void {
    this.#replayLostAt ??= height;
    this.#keysLostAt ??= height;
  }

  /** Stands in for a header that cannot be read: the next one's parent hash cannot match, and says nothing of it. */
  #unread(height: number): void {
    this.#parent = { ...this.#parent, height, hash: new Uint8Array(), certified: false };
  }

  /** Certificate and set of the header. */
  #certificate(header: BlockHeader, block: BlockRecord): boolean {
    const { consensus } = this.#tools;
    const height = this.#parent.height + 1;
    let set: ValidatorPeriod;
    try {
      set = validatorsAt(this.#anchor, header.height);
    } catch (error) {
      this.#failures.add({ height, what: 'validators', expected: 'a known set', got: reasonOf(error) });
      return false;
    }
    const wrong = consensus.verifyQc(block.header, block.qc, set);
    if (wrong !== undefined) {
      this.#failures.add({
        height,
        what: 'certificate',
        expected: 'a quorum of the epoch over this header',
        got: wrong,
      });
      return false;
    }
    if (header.epoch !== set.epoch) {
      this.#failures.add({
        height,
        what: 'validators',
        expected: `epoch ${set.epoch}`,
        got: `epoch ${header.epoch}`,
      });
    }
    this.#failures.unlessEqual(
      { height, what: 'validators' },
      consensus.validatorsHash(set),
      header.validatorsHash,
    );
    return true;
  }

  /** Chain, parent and time. */
  #chain(header: BlockHeader, certified: boolean): void {
    const { height } = header;
    const parent = this.#parent;
    this.#failures.unlessEqual({ height, what: 'chain' }, this.#anchor.genesisEntry, header.chainId);
    if (height === parent.height + 1 && !equalBytes(header.parentHash, parent.hash)) {
      // A certified header names its true parent: what does not match it is the header below, whose own row may
      // stand already.
      if (!certified) this.#failures.hashes({ height, what: 'parent' }, parent.hash, header.parentHash);
      else if (parent.certified) {
        this.#failures.hashes({ height: parent.height, what: 'header' }, header.parentHash, parent.hash);
      }
    }
    if (header.time <= parent.time) {
      this.#failures.add({
        height,
        what: 'time',
        expected: `later than ${parent.time}`,
        got: `${header.time}`,
      });
    }
  }

  /** Leaves against the log and the requests. */
  #entriesOf(block: BlockRecord, at: LeavesAt): Entry[] {
    const entries = this.#log.take(block, at);
    const signatures = this.#keysLostAt === undefined ? this.#tools.signatures : undefined;
    for (const failure of matchEntries(at, block.batch, entries, signatures)) this.#failures.add(failure);
    return entries;
  }

  /** Results and state. Leaves tell a block's time as well as its header does, and better than one that nobody certified. */
  async #replay(
    at: LeavesAt,
    block: BlockRecord,
    entries: readonly Entry[],
    uncertifiedTime?: number,
  ): Promise<void> {
    const { replay } = this.#tools;
    if (replay === undefined || this.#replayLostAt !== undefined) return;
    const { height, header } = at;
    const time = header?.time ?? timeOf(entries) ?? uncertifiedTime;
    if (time === undefined) {
      this.#replayLostAt = height;
      return;
    }
    const done = await this.#failures.guard({ height, what: 'state' }, async () => {
      const { leaves, stateRoot } = await replay.block({ height, time }, block.batch);
      for (let i = 0; i < Math.max(leaves.length, block.leaves.length); i++) {
        const [own, given] = [leaves[i], block.leaves[i]].map((leaf) => leaf && leafHash(leaf));
        const index = entries[0] === undefined ? undefined : entries[0].index + i;
        const place = { height, ...(index === undefined ? {} : { index }), what: 'result' } as const;
        this.#failures.unlessEqual(place, own, given);
      }
      if (header !== undefined) {
        this.#failures.unlessEqual({ height, what: 'state' }, header.stateRoot, stateRoot);
      }
    });
    if (!done) this.#replayLostAt = height;
  }

  /** A change of validators: the header names the next set, the record or the anchor shows it. */
  #validators(header: BlockHeader, block: BlockRecord, certified: boolean): void {
    const { consensus } = this.#tools;
    const { height } = header;
    if (!certified || equalBytes(header.nextValidatorsHash, header.validatorsHash)) return;
    const known = this.#anchor.periods.find(({ from }) => from === height + 1);
    const next = known ?? block.nextValidators;
    if (next === undefined) {
      const expected = toHex(header.nextValidatorsHash);
      this.#failures.add({ height, what: 'validators', expected, got: 'no set in the file' });
      return;
    }
    const hash = consensus.validatorsHash(next);
    if (!equalBytes(hash, header.nextValidatorsHash)) {
      this.#failures.hashes({ height, what: 'validators' }, header.nextValidatorsHash, hash);
      return;
    }
    const last = this.#anchor.periods.at(-1);
    if (known !== undefined || last === undefined) return;
    const from = height + 1;
    const periods = [...this.#anchor.periods.slice(0, -1), { ...last, until: from }, { ...next, from }];
    this.#anchor = { ...this.#anchor, periods };
  }

  #checkpoint(header: BlockHeader, text: string): void {
    const { height } = header;
    const at = { height, what: 'checkpoint' } as const;
    try {
      const set = validatorsAt(this.#anchor, height);
      const { checkpoint } = verifyCheckpoint(text, this.#origin, set, { witnesses: this.#anchor.witnesses });
      this.#agrees(at, header, checkpoint);
    } catch (error) {
      this.#failures.add({
        ...at,
        expected: 'a checkpoint with a quorum of the epoch',
        got: reasonOf(error),
      });
    }
  }

  #tip(header: BlockHeader): void {
    const { tip } = this.#tools;
    if (tip === undefined || tip.height !== header.height) return;
    this.#tipSeen = true;
    this.#agrees({ height: header.height, what: 'tip' }, header, tip);
  }

  /** A checkpoint repeats what its block's header says. */
  #agrees(at: { height: number; what: FailureKind }, header: BlockHeader, checkpoint: Checkpoint): void {
    const show = (
      c: Pick<Checkpoint, 'height' | 'size' | 'time' | 'epoch'>,
      roots: readonly Uint8Array[],
    ): string =>
      `height ${c.height}, size ${c.size}, time ${c.time}, epoch ${c.epoch}, roots ${roots.map(toHex).join(' ')}`;
    const expected = show({ ...header, size: header.treeSize }, [header.logRoot, header.stateRoot]);
    const got = show(checkpoint, [checkpoint.root, checkpoint.stateRoot]);
    if (expected !== got) this.#failures.add({ ...at, expected, got });
  }
}

/** Block time by the first leaf that can be read. */
function timeOf(entries: readonly Entry[]): number | undefined {
  for (const { leaf, damaged } of entries) {
    if (damaged) continue;
    try {
      return decodeLeaf(leaf).time;
    } catch {
      // The next one may do.
    }
  }
  return undefined;
}
