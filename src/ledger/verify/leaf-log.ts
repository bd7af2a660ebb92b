/**
 * The log, recomputed from the leaves of a file. Each block's root tells whether its leaves are the true ones; where they are
 * not, the hashes listed beside them tell which of them were changed, and the log goes on with those hashes.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { Frontier } from '../log/frontier.ts';
import type { BlockHeader } from './consensus.ts';
import type { Entry } from './entries.ts';
import type { BlockRecord } from './export.ts';
import type { Failures } from './report.ts';
import { HASH_BYTES, leafHash } from './rfc6962.ts';

/** A block's leaves at their places; `header` only when it is certified. */
export interface LeavesAt {
  readonly height: number;
  readonly header: BlockHeader | undefined;
}

export class LeafLog {
  readonly #failures: Failures;
  #log: Frontier;
  /** Height from which no root could be recomputed any more. */
  lostAt: number | undefined;

  constructor(genesisEntry: Uint8Array, failures: Failures) {
    this.#log = Frontier.EMPTY.append([genesisEntry]);
    this.#failures = failures;
  }

  /** Appends the block's leaves and says which of them are what the log root commits to. */
  take({ leaves, leafHashes: listed }: BlockRecord, { height, header }: LeavesAt): Entry[] {
    const computed = leaves.map(leafHash);
    const count = Math.max(listed.length, computed.length);
    const own = this.#log.append(computed);
    if (this.lostAt === undefined && header !== undefined && fits(own, header)) {
      const first = this.#log.size;
      this.#log = own;
      for (let i = 0; i < count; i++) {
        this.#failures.unlessEqual({ height, index: first + i, what: 'record' }, computed[i], listed[i]);
      }
      return leaves.map((leaf, i) => ({ leaf, index: first + i, damaged: false }));
    }
    // A place in the log is what a certified header says, else what the entries so far add up to.
    const first = header === undefined ? this.#log.size : header.treeSize - count;
    const isListed = listed.every((hash) => hash.length === HASH_BYTES);
    this.#log = isListed ? this.#log.append(listed) : own;
    // Only a certified root proves that leaves are missing or wrong; of another its own row tells.
    if (this.lostAt === undefined && header !== undefined && !fits(this.#log, header)) {
      this.#failures.hashes({ height, what: 'log' }, header.logRoot, own.root());
      this.lostAt = height;
    }
    return Array.from({ length: count }, (_, i) => {
      const index = first + i;
      const [named, hash] = [listed[i], computed[i]];
      const damaged = !isListed || named === undefined || hash === undefined || !equalBytes(named, hash);
      if (isListed && damaged) this.#failures.hashes({ height, index, what: 'leaf' }, named, hash);
      return { leaf: leaves[i] ?? new Uint8Array(), index, damaged };
    });
  }
}

const fits = (log: Frontier, header: BlockHeader): boolean =>
  log.size === header.treeSize && equalBytes(log.root(), header.logRoot);
