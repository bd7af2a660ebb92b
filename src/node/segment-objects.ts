/**
 * Index segments in the payload store, for a node whose payloads lie in a Kubo daemon: each segment is an object of its own,
 * pinned there like a payload, and this table says under which CID. What the table does not name is collected with the
 * payloads that no record names.
 */
import { concat, fromUtf8, utf8 } from '../codec/bytes.ts';
import { hasCode } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import type { ByteRange, KvStore, PayloadStore } from '../storage/index.ts';
import type { WriteGate } from '../storage/kubo/write-gate.ts';
import { noSegment, requireSegmentName, type SegmentFolder } from './segment-files.ts';

/** Table of the node's environment: `<custodian>/<segment name>` to the text of a CID. */
export const SEGMENTS_TABLE = 'segments';

export interface SegmentObjectsOptions {
  readonly store: KvStore;
  readonly payloads: PayloadStore;
  /** Held from the end of an object until its row is durable, so that no collection runs between the two. */
  readonly gate: WriteGate;
}

export class SegmentObjects implements SegmentFolder {
  readonly #custodian: MemberId;
  readonly #options: SegmentObjectsOptions;

  constructor(custodian: MemberId, options: SegmentObjectsOptions) {
    this.#custodian = custodian;
    this.#options = options;
  }

  async putSegment(name: string, bytes: Uint8Array): Promise<void> {
    const { gate, payloads, store } = this.#options;
    const key = this.#key(name);
    // Put again because it is damaged: the daemon would pass over a block that it thinks it has.
    const before = store.get(SEGMENTS_TABLE, key);
    if (before !== undefined) await payloads.discardDamaged(fromUtf8(before));
    await gate.writing(async () => {
      const { cid } = await payloads.put(bytes);
      await store.write([{ table: SEGMENTS_TABLE, key, value: utf8(cid) }]);
    });
  }

  getSegment(name: string): Promise<Uint8Array> {
    return this.#read(name, {});
  }

  async getRanges(name: string, ranges: Parameters<SegmentFolder['getRanges']>[1]): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    for (const { offset, length } of ranges)
      parts.push(await this.#read(name, { start: offset, end: offset + length }));
    return parts;
  }

  async deleteSegment(name: string): Promise<void> {
    await this.#options.store.write([{ table: SEGMENTS_TABLE, key: this.#key(name), remove: true }]);
  }

  async names(): Promise<string[]> {
    const prefix = `${this.#custodian}/`;
    const rows = this.#options.store.range(SEGMENTS_TABLE, {
      gte: utf8(prefix),
      lt: utf8(`${this.#custodian}0`),
    });
    return Array.from(rows, ([key]) => fromUtf8(key).slice(prefix.length));
  }

  async #read(name: string, range: ByteRange): Promise<Uint8Array> {
    const { payloads, store } = this.#options;
    const cid = store.get(SEGMENTS_TABLE, this.#key(name));
    if (cid === undefined) throw noSegment(undefined);
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of payloads.get(fromUtf8(cid), range)) chunks.push(chunk);
    } catch (cause) {
      throw hasCode(cause, 'storage.not_found') ? noSegment(cause) : cause;
    }
    return concat(...chunks);
  }

  #key(name: string): Uint8Array {
    return utf8(`${this.#custodian}/${requireSegmentName(name)}`);
  }
}

/** CIDs of all segments that are kept so, of every custodian. */
export function* segmentCids(store: KvStore): Generator<string> {
  for (const [, cid] of store.range(SEGMENTS_TABLE, {})) yield fromUtf8(cid);
}
