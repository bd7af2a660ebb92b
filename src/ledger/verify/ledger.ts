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
import { CodedError } from '../../codec/errors.ts';
import { type Checkpoint, verifyCheckpoint } from '../checkpoint/checkpoint.ts';
import { decodeLeaf } from '../entries/leaf.ts';
import { Frontier } from '../log/frontier.ts';
import { anchorOrigin, type TrustAnchor, type ValidatorPeriod, validatorsAt } from './anchor.ts';
import type { BlockHeader, ConsensusVerifier } from './consensus.ts';
import { type Entry, matchEntries, type SignatureCheck } from './entries.ts';
import type { BlockRecord, LedgerRecord } from './export.ts';
import { leafHash } from './rfc6962.ts';

/** A verifier's trust in a whole ledger. */
export interface LedgerAnchor extends TrustAnchor {
  /** Parent hash of the header at height 1, 32 bytes. */
  readonly genesisHash: Uint8Array;
}

/** What a row is about. */
export type FailureKind =
  | 'record'
  | 'genesis'
  | 'chain'
  | 'height'
  | 'time'
  | 'header'
  | 'parent'
  | 'validators'
  | 'certificate'
  | 'batch'
  | 'transaction'
  | 'leaf'
  | 'log'
  | 'result'
  | 'state'
  | 'checkpoint'
  | 'tip';

/** One place where the evidence fails. */
export interface Failure {
  readonly height: number;
  /** Place in the log, when one entry is to blame. */
  readonly index?: number;
  readonly what: FailureKind;
  readonly expected: string;
  readonly got: string;
}

export interface LedgerReport {
  /** Entries and blocks that were read, good and bad. */
  readonly entries: number;
  readonly blocks: number;
  readonly ok: boolean;
  /** In the order of the file; the first is the first. */
  readonly failures: readonly Failure[];
  /** Rows beyond `FAILURES_MAX`, counted only. */
  readonly moreFailures: number;
  /** Height from which log roots could not be recomputed any more, after damage that no hash in the file explains. */
  readonly logUnverifiedFrom?: number;
  /** Height from which results and state roots could not be recomputed any more. */
  readonly replayStoppedAt?: number;
  /** Height from which signatures could not be checked any more, because a block before may have registered keys. */
  readonly signaturesUnverifiedFrom?: number;
}

/** Most rows kept. */
export const FAILURES_MAX = 10_000;

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
  readonly #failures: Failure[] = [];
  #moreFailures = 0;
  #anchor: LedgerAnchor;
  #parent: Parent;
  #log: Frontier;
  #logLostAt: number | undefined;
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
    this.#log = Frontier.EMPTY.append([anchor.genesisEntry]);
  }

  async record(record: LedgerRecord): Promise<void> {
    const isFirst = !this.#started;
    this.#started = true;
    if (isFirst && record.kind !== 'genesis')
      this.#fail({ height: 0, what: 'genesis', expected: 'a first line', got: 'none' });
    switch (record.kind) {
      case 'genesis':
        return this.#genesis(record.chainId, record.leaf, isFirst);
      case 'damaged':
        return this.#damaged(record.reason);
      case 'block':
        await this.#guard({ height: this.#parent.height + 1, what: 'record' }, () => this.#block(record));
    }
  }

  end(): LedgerReport {
    const { tip } = this.#tools;
    if (!this.#started)
      this.#fail({ height: 0, what: 'genesis', expected: 'a first line', got: 'an empty file' });
    if (tip !== undefined && !this.#tipSeen) {
      this.#fail({
        height: tip.height,
        what: 'tip',
        expected: `height ${tip.height}`,
        got: `${this.#parent.height}`,
      });
    }
    return {
      entries: this.#entries,
      blocks: this.#blocks,
      ok: this.#failures.length === 0,
      failures: this.#failures,
      moreFailures: this.#moreFailures,
      ...(this.#logLostAt === undefined ? {} : { logUnverifiedFrom: this.#logLostAt }),
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
      return this.#fail({ height: this.#parent.height, what: 'genesis', expected: 'once', got: 'again' });
    this.#entries++;
    if (chainId !== this.#anchor.chainId) {
      this.#fail({
        height: 0,
        index: 0,
        what: 'chain',
        expected: this.#anchor.chainId,
        got: chainId.slice(0, 64),
      });
    }
    const hash = leafHash(leaf);
    if (!equalBytes(hash, this.#anchor.genesisEntry)) {
      this.#failHashes({ height: 0, index: 0, what: 'genesis' }, this.#anchor.genesisEntry, hash);
      // Without the true genesis neither keys nor state can be followed; the chain of blocks still can.
      this.#lose(0);
      return;
    }
    const at = { height: 0, index: 0, what: 'genesis' } as const;
    await this.#guard(at, async () => this.#tools.signatures?.genesis(leaf));
    if (!(await this.#guard(at, async () => this.#tools.replay?.genesis(leaf)))) this.#replayLostAt = 0;
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
      this.#fail({ height, what: 'header', expected: 'a block header', got: reasonOf(error) });
      this.#unread(height);
      await this.#replay({ height, certified: false }, block, this.#takeLeaves(block, undefined));
      return;
    }
    const expected = this.#parent.height + 1;
    const certified = this.#certificate(header, block);
    if (header.height !== expected) {
      this.#fail({ height: expected, what: 'height', expected: `${expected}`, got: `${header.height}` });
      // Certified and low: a block that was read already. Not certified: its number is as good as its bytes.
      if (certified && header.height < expected) return;
      if (certified) this.#lose(expected);
      else header = { ...header, height: expected };
    }
    const { height } = header;
    this.#chain(header, certified);
    this.#expectHash({ height, what: 'batch' }, header.batchHash, consensus.batchHash(block.batch));
    const entries = this.#takeLeaves(block, header, certified);
    this.#matchEntries(header, certified, block, entries);
    await this.#replay({ height, header, certified }, block, entries);
    this.#validators(header, block, certified);
    if (block.checkpoint !== undefined) this.#checkpoint(header, block.checkpoint);
    this.#tip(header);
    const time = certified ? header.time : this.#parent.time;
    this.#parent = { height, hash: consensus.headerHash(block.header), time, certified };
  }

  #damaged(reason: string): void {
    const height = this.#parent.height + 1;
    this.#fail({ height, what: 'record', expected: 'a block', got: reason });
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
      this.#fail({ height, what: 'validators', expected: 'a known set', got: reasonOf(error) });
      return false;
    }
    const wrong = consensus.verifyQc(block.header, block.qc, set);
    if (wrong !== undefined) {
      this.#fail({
        height,
        what: 'certificate',
        expected: 'a quorum of the epoch over this header',
        got: wrong,
      });
      return false;
    }
    if (header.epoch !== set.epoch) {
      this.#fail({
        height,
        what: 'validators',
        expected: `epoch ${set.epoch}`,
        got: `epoch ${header.epoch}`,
      });
    }
    this.#expectHash({ height, what: 'validators' }, consensus.validatorsHash(set), header.validatorsHash);
    return true;
  }

  /** Chain, parent and time. */
  #chain(header: BlockHeader, certified: boolean): void {
    const { height } = header;
    const parent = this.#parent;
    this.#expectHash({ height, what: 'chain' }, this.#anchor.genesisEntry, header.chainId);
    if (height === parent.height + 1 && !equalBytes(header.parentHash, parent.hash)) {
      // A certified header names its true parent: what does not match it is the header below, whose own row may
      // stand already.
      if (!certified) this.#failHashes({ height, what: 'parent' }, parent.hash, header.parentHash);
      else if (parent.certified) {
        this.#failHashes({ height: parent.height, what: 'header' }, header.parentHash, parent.hash);
      }
    }
    if (header.time <= parent.time) {
      this.#fail({ height, what: 'time', expected: `later than ${parent.time}`, got: `${header.time}` });
    }
  }

  /** Appends the block's leaves to the log and says which of them are what the log root commits to. */
  #takeLeaves(block: BlockRecord, header: BlockHeader | undefined, certified = false): Entry[] {
    const height = header?.height ?? this.#parent.height;
    const listed = block.leafHashes;
    const computed = block.leaves.map(leafHash);
    // A place in the log is what a certified header says, else what the entries so far add up to.
    const count = Math.max(listed.length, computed.length);
    const first = header !== undefined && certified ? header.treeSize - count : this.#log.size;
    const fits = (log: Frontier): boolean =>
      header !== undefined && log.size === header.treeSize && equalBytes(log.root(), header.logRoot);
    const own = this.#log.append(computed);
    if (this.#logLostAt === undefined && fits(own)) {
      this.#log = own;
      for (const [i, hash] of computed.entries()) {
        const at = { height, index: first + i, what: 'record' } as const;
        if (listed[i] === undefined || !equalBytes(listed[i], hash)) this.#failHashes(at, hash, listed[i]);
      }
      return block.leaves.map((leaf, i) => ({ leaf, index: first + i, damaged: false }));
    }
    const isListed = listed.every((hash) => hash.length === 32);
    const named = isListed ? this.#log.append(listed) : own;
    if (this.#logLostAt === undefined && !fits(named)) {
      const at = { height, what: 'log' } as const;
      if (header !== undefined) this.#failHashes(at, header.logRoot, own.root());
      // An uncertified root proves nothing; a certified one proves that leaves are missing or wrong.
      if (header === undefined || certified) this.#logLostAt = height;
    }
    this.#log = named;
    return Array.from({ length: count }, (_, i) => {
      const index = first + i;
      const damaged = !isListed || !sameHash(listed[i], computed[i]);
      if (isListed && damaged) this.#failHashes({ height, index, what: 'leaf' }, listed[i], computed[i]);
      return { leaf: block.leaves[i] ?? new Uint8Array(), index, damaged };
    });
  }

  #matchEntries(
    header: BlockHeader,
    certified: boolean,
    block: BlockRecord,
    entries: readonly Entry[],
  ): void {
    const signatures = this.#keysLostAt === undefined ? this.#tools.signatures : undefined;
    for (const failure of matchEntries({ header, certified }, block.batch, entries, signatures)) {
      this.#fail(failure);
    }
  }

  async #replay(
    at: { readonly height: number; readonly header?: BlockHeader; readonly certified: boolean },
    block: BlockRecord,
    entries: readonly Entry[],
  ): Promise<void> {
    const { replay } = this.#tools;
    if (replay === undefined || this.#replayLostAt !== undefined) return;
    const { height, header, certified } = at;
    // Leaves tell the block's time as well as its header does, and better than one that nobody certified.
    const time = certified ? header?.time : (timeOf(entries) ?? header?.time);
    if (time === undefined) {
      this.#replayLostAt = height;
      return;
    }
    const done = await this.#guard({ height, what: 'state' }, async () => {
      const { leaves, stateRoot } = await replay.block({ height, time }, block.batch);
      const first = entries[0]?.index ?? this.#log.size;
      for (let i = 0; i < Math.max(leaves.length, block.leaves.length); i++) {
        const [own, given] = [leaves[i], block.leaves[i]].map((leaf) => leaf && leafHash(leaf));
        if (!sameHash(own, given)) this.#failHashes({ height, index: first + i, what: 'result' }, own, given);
      }
      if (certified && header !== undefined) {
        this.#expectHash({ height, what: 'state' }, header.stateRoot, stateRoot);
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
      this.#fail({ height, what: 'validators', expected, got: 'no set in the file' });
      return;
    }
    const hash = consensus.validatorsHash(next);
    if (!equalBytes(hash, header.nextValidatorsHash)) {
      this.#failHashes({ height, what: 'validators' }, header.nextValidatorsHash, hash);
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
      this.#fail({ ...at, expected: 'a checkpoint with a quorum of the epoch', got: reasonOf(error) });
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
    if (expected !== got) this.#fail({ ...at, expected, got });
  }

  #fail(failure: Failure): void {
    if (this.#failures.length < FAILURES_MAX) this.#failures.push(failure);
    else this.#moreFailures++;
  }

  #failHashes(at: Pick<Failure, 'height' | 'index' | 'what'>, expected?: Uint8Array, got?: Uint8Array): void {
    this.#fail({ ...at, expected: show(expected), got: show(got) });
  }

  #expectHash(at: Pick<Failure, 'height' | 'index' | 'what'>, expected: Uint8Array, got: Uint8Array): void {
    if (!equalBytes(expected, got)) this.#failHashes(at, expected, got);
  }

  /** Runs a step that others wrote; what it throws is a row. */
  async #guard(
    at: Pick<Failure, 'height' | 'index' | 'what'>,
    step: () => Promise<unknown>,
  ): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#fail({ ...at, expected: 'a block that executes', got: reasonOf(error) });
      return false;
    }
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

const show = (hash: Uint8Array | undefined): string => (hash === undefined ? 'nothing' : toHex(hash));

const sameHash = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && equalBytes(a, b);

const reasonOf = (error: unknown): string =>
  error instanceof CodedError ? `${error.code}: ${error.message}` : 'it cannot be read';
