/**
 * Payloads that came ahead of their RecordPut, because they do not fit its request. Who may not put records may not send
 * any; what no record names within an hour is collected. The bytes are ciphertext and are named by their CID alone.
 */
import type { Session } from '../api/ports.ts';
import { concat, fromHex, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { SubjectId } from '../codec/ids.ts';
import type { KvOp, KvStore, PayloadStore, StoredObject } from '../storage/index.ts';
import type { WriteGate } from '../storage/kubo/write-gate.ts';

export const UPLOADS_TABLE = 'uploads';
/** Largest payload: 64 GiB. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 ** 3;
/** Uploads under way, of one subject and of all. */
const AT_ONCE_MAX = { subject: 4, node: 32 } as const;
/** How long a payload waits for the record that names it. */
const KEPT_MS = 60 * 60_000;
/** Payloads of one subject that wait for their record. */
const WAITING_MAX = 1_000;

export interface UploadsOptions {
  readonly store: KvStore;
  readonly payloads: PayloadStore;
  /** Keeps removals away while a stored payload is noted. */
  readonly gate: WriteGate;
  readonly mayPut: (subject: SubjectId) => boolean;
  readonly clock: () => number;
}

interface Row {
  readonly cid: string;
  readonly bytes: number;
  /** By this node's clock, ms. */
  readonly expiresAt: number;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #underWay = new Map<SubjectId, number>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /**
   * Stores a payload in bounded memory. Throws `right.missing`, `payload.too_many`, `payload.too_large`, `storage.full`; nothing of a
   * payload that breaks off is kept.
   */
  async receive(by: Session, source: AsyncIterable<Uint8Array>): Promise<StoredObject> {
    const { payloads, mayPut } = this.#options;
    if (!mayPut(by.subject)) {
      throw new CodedError('right.missing', 'only who may put records ("author") may send payloads', {
        details: { right: 'author' },
      });
    }
    const leave = this.#enter(by.subject);
    try {
      const stored = await payloads.put(bounded(source));
      await this.#note(by.subject, stored);
      return stored;
    } finally {
      leave();
    }
  }

  /**
   * Notes what was stored, if it is still there: a removal may have come between. The gate is not held while the sender
   * sends, because a removal in the gate waits for the store, and the store for the sender.
   */
  #note(subject: SubjectId, { cid, size }: StoredObject): Promise<void> {
    const { store, payloads, gate, clock } = this.#options;
    return gate.writing(async () => {
      if (!(await payloads.has(cid))) {
        throw new CodedError('payload.cut', 'the payload was removed while it was stored: send it again');
      }
      const row: Row = { cid, bytes: size, expiresAt: clock() + KEPT_MS };
      await store.write([{ table: UPLOADS_TABLE, key: rowKey(subject, cid), value: encodeCbor(row) }]);
    });
  }

  /** Whether `subject` has sent this payload and it is still kept. */
  holds(subject: SubjectId, cid: string, bytes: number): boolean {
    const row = this.#row(subject, cid);
    return row !== undefined && row.bytes === bytes;
  }

  /** The records that name these payloads are durable. */
  async settle(subject: SubjectId, cids: readonly string[]): Promise<void> {
    const ops = cids.map((cid): KvOp => ({ table: UPLOADS_TABLE, key: rowKey(subject, cid), remove: true }));
    if (ops.length > 0) await this.#options.store.write(ops);
  }

  /** CIDs that wait for their record. */
  cids(): string[] {
    return this.#rows().map(([, { cid }]) => cid);
  }

  /** Forgets what has waited too long; the next collection takes its blocks. */
  async sweep(): Promise<number> {
    const { store, clock } = this.#options;
    const now = clock();
    const ops = this.#rows().flatMap(([key, { expiresAt }]): KvOp[] =>
      expiresAt < now ? [{ table: UPLOADS_TABLE, key, remove: true }] : [],
    );
    if (ops.length > 0) await store.write(ops);
    return ops.length;
  }

  /** Counts an upload in; throws `payload.too_many`. */
  #enter(subject: SubjectId): () => void {
    const own = this.#underWay.get(subject) ?? 0;
    const all = [...this.#underWay.values()].reduce((sum, count) => sum + count, 0);
    const prefix = fromHex(subject);
    const waiting = [
      ...this.#options.store.range(UPLOADS_TABLE, { gte: prefix, lt: after(prefix), limit: WAITING_MAX }),
    ];
    if (own >= AT_ONCE_MAX.subject || all >= AT_ONCE_MAX.node || waiting.length >= WAITING_MAX) {
      throw new CodedError(
        'payload.too_many',
        `at most ${AT_ONCE_MAX.subject} payloads at once, and ${WAITING_MAX} that no record names yet: put their records first`,
        { details: { atOnce: AT_ONCE_MAX.subject, waiting: WAITING_MAX } },
      );
    }
    this.#underWay.set(subject, own + 1);
    return () => {
      const rest = (this.#underWay.get(subject) ?? 1) - 1;
      if (rest > 0) this.#underWay.set(subject, rest);
      else this.#underWay.delete(subject);
    };
  }

  #row(subject: SubjectId, cid: string): Row | undefined {
    const value = this.#options.store.get(UPLOADS_TABLE, rowKey(subject, cid));
    return value === undefined ? undefined : (decodeCbor(value) as unknown as Row);
  }

  #rows(): [Uint8Array, Row][] {
    return Array.from(this.#options.store.range(UPLOADS_TABLE, {}), ([key, value]) => [
      key,
      decodeCbor(value) as unknown as Row,
    ]);
  }
}

async function* bounded(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > PAYLOAD_BYTES_MAX) {
      throw new CodedError('payload.too_large', `a payload has at most ${PAYLOAD_BYTES_MAX} bytes`, {
        details: { max: PAYLOAD_BYTES_MAX },
      });
    }
    yield chunk;
  }
}

function rowKey(subject: SubjectId, cid: string): Uint8Array {
  return concat(fromHex(subject), utf8(cid));
}

/** The first key behind all that begin with `prefix`; CIDs are ASCII. */
function after(prefix: Uint8Array): Uint8Array {
  return concat(prefix, Uint8Array.of(0xff));
}
