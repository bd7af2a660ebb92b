/**
 * History above the tip: blocks, entries and log of heights that this member has not executed, written where execution
 * would write them. Nobody sees them before the tip moves over them. What is stored is verified, and how far is stored with it, so a
 * start goes on where the last one ended.
 *
 * Verified here: the entries are those of the requests and of the log root in the header, and the log is the beginning of
 * the one whose root a certified header names. That the headers hang together is the caller's to see.
 */
import { equalBytes, fromHex } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import type { DecidedBlock } from '../engine/application.ts';
import { blockOps } from '../engine/blocks.ts';
import { leafOps, requestOps } from '../engine/execution.ts';
import { META_TABLE } from '../engine/tables.ts';
import { entryId, joinLeaf } from '../entries/leaf.ts';
import { decodeRequest, type ParsedRequest } from '../entries/transaction.ts';
import { FRONTIER_KEY, LOG_TABLE, LogTree } from '../log/index.ts';
import type { KvOp, KvReader, KvStore } from '../ports.ts';
import { verifyConsistency } from '../verify/rfc6962.ts';
import type { Facts } from './facts.ts';
import { clearTable, FACT_TABLE, META_HISTORY } from './tables.ts';

/** A block whose header is certified, with the results that somebody says its entries had. */
export interface HistoryBlock extends Omit<DecidedBlock, 'resume'> {
  readonly results: readonly Uint8Array[];
}

/** A certified log: what `append` proves itself against. */
export interface CertifiedLog {
  readonly treeSize: number;
  readonly logRoot: Uint8Array;
}

/** How far history is stored. `rotatedHeight` and `rotatedTime` are the ordering engine's. */
export interface HistoryEnd {
  readonly height: number;
  /** Of the header of `height`, 32 bytes; of the genesis description at height 0. */
  readonly hash: Uint8Array;
  readonly rotatedHeight: number;
  readonly rotatedTime: number;
}

interface Stored extends HistoryEnd {
  /** Height of the tip above which it stands. */
  readonly base: number;
  readonly frontier: Uint8Array;
}

const refuse = (message: string): never => {
  throw new CodedError('snapshot.bad_history', message);
};

export class History {
  readonly #store: KvStore;
  #stored: Stored;
  #tree: LogTree;

  private constructor(store: KvStore, stored: Stored) {
    this.#store = store;
    this.#stored = stored;
    this.#tree = LogTree.open(this.#reader());
  }

  /** Goes on with what is stored above the tip, or begins at the tip, of which `tip` says the rest. */
  static async open(store: KvStore, tip: HistoryEnd): Promise<History> {
    const bytes = store.get(META_TABLE, META_HISTORY);
    const stored = bytes === undefined ? undefined : (decodeCbor(bytes) as Stored);
    // Blocks that were executed since may have cut back tiles of the log: then it begins again.
    if (stored?.base === tip.height) return new History(store, stored);
    if (stored !== undefined) await forget(store);
    const frontier = store.get(LOG_TABLE, FRONTIER_KEY) ?? new Uint8Array(8);
    return new History(store, { ...tip, base: tip.height, frontier });
  }

  get end(): HistoryEnd {
    return this.#stored;
  }

  /** The log's frontier after `end`, as the log stores it. */
  get frontier(): Uint8Array {
    return this.#stored.frontier;
  }

  /**
   * Stores `blocks`, which follow `end` and whose headers and certificates are verified. `proof` leads from the log after the last of
   * them to `certified`. Throws `snapshot.bad_history` when entries and log do not fit the headers; then nothing is stored.
   */
  async append(
    blocks: readonly HistoryBlock[],
    certified: CertifiedLog,
    proof: readonly Uint8Array[],
    facts: Facts,
    end: HistoryEnd,
  ): Promise<void> {
    const ops: KvOp[] = [];
    const ids: Uint8Array[] = [];
    for (const block of blocks) {
      const firstIndex = this.#tree.size + ids.length;
      const { requests, outcomes } = entriesOf(block, firstIndex);
      const leaves = outcomes.flatMap((one) => one.leaves);
      if (firstIndex + leaves.length !== block.header.treeSize)
        refuse(`block ${block.height} has another number of entries than its header says`);
      for (const { transaction } of requests) facts.follow(transaction);
      for (const { id } of leaves) ids.push(id);
      ops.push(
        ...leafOps(leaves, firstIndex),
        ...requestOps(facts, outcomes, requests, firstIndex),
        ...blockOps(block, fromHex(block.headerHash, 32), requests, firstIndex, leaves.length),
      );
    }
    const { tree, root, ops: logOps } = this.#tree.append(ids);
    const isLog = equalBytes(root, fromHex(blocks[blocks.length - 1].header.logRoot, 32));
    if (!isLog) refuse(`the entries up to block ${end.height} give another log root than its header has`);
    if (!verifyConsistency(tree.size, certified.treeSize, proof, root, certified.logRoot))
      refuse(`the log after block ${end.height} is no beginning of the certified one`);
    const frontier = logOps.find(({ key }) => equalBytes(key, FRONTIER_KEY));
    const stored: Stored = {
      height: end.height,
      hash: end.hash,
      rotatedHeight: end.rotatedHeight,
      rotatedTime: end.rotatedTime,
      base: this.#stored.base,
      frontier: frontier !== undefined && 'value' in frontier ? frontier.value : this.#stored.frontier,
    };
    await this.#store.write([
      ...ops,
      ...logOps.filter((op) => op !== frontier),
      ...facts.take(),
      { table: META_TABLE, key: META_HISTORY, value: encodeCbor(stored) },
    ]);
    this.#stored = stored;
    this.#tree = tree.settled(this.#reader());
  }

  /** The store, with the frontier of the stored history instead of the tip's. */
  #reader(): KvReader {
    return {
      get: (table, key) =>
        table === LOG_TABLE && equalBytes(key, FRONTIER_KEY)
          ? this.#stored.frontier
          : this.#store.get(table, key),
      range: (table, range) => this.#store.range(table, range),
    };
  }
}

/** Forgets how far history is stored: it begins again at the tip. */
export async function forget(store: KvStore): Promise<void> {
  await store.write([{ table: META_TABLE, key: META_HISTORY, remove: true }]);
  await clearTable(store, FACT_TABLE);
}

/** A leaf with its hash. */
interface Entry {
  readonly bytes: Uint8Array;
  readonly id: Uint8Array;
}

/** The block's entries as executing it would have made them. */
function entriesOf(
  { height, header, batch, results }: HistoryBlock,
  firstIndex: number,
): {
  requests: readonly ParsedRequest[];
  outcomes: readonly { readonly ok: true; readonly leaves: readonly Entry[] }[];
} {
  const requests = batch.map(decodeRequest);
  let at = 0;
  const outcomes = requests.map(({ tx, id, transaction }) => {
    const leaves = transaction.bodies.map((_, item): Entry => {
      const result = results[at] ?? refuse(`block ${height} lacks results`);
      const index = firstIndex + at++;
      const bytes = joinLeaf({ height, index, time: header.time, tx: item === 0 ? tx : id, item }, result);
      return { bytes, id: entryId(bytes) };
    });
    return { ok: true as const, leaves };
  });
  if (at !== results.length) refuse(`block ${height} has more results than entries`);
  return { requests, outcomes };
}
