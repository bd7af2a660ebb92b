/**
 * Records on their way in and out of a gateway. In: payload and header durable, keywords staged, then RecordPut. Out:
 * header and payload from here or from the custodian. Custodial callers get the client's steps done for them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeKeyRing, headerHash, inspectHeader, parsePolicy, printPolicy } from '../abe/index.ts';
import type { CommittedEntry, PlainUpload, SealedUpload, Session } from '../api/ports.ts';
import { concat, equalBytes, fromHex, fromUtf8, toHex, u32be, utf8 } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { hmacSha256, sha256 } from '../codec/hash.ts';
import { type MemberId, type RecordId, recordId, type SubjectId, subjectId } from '../codec/ids.ts';
import { defaultPolicy, departmentOf, extractKeywords, type JsonObject, toKeywords } from '../fhir/index.ts';
import { decodeRequest, type Purpose, type RecordState, STATE } from '../ledger/index.ts';
import type { HeaderStore, PayloadStore } from '../storage/index.ts';
import type { WriteGate } from '../storage/kubo/write-gate.ts';
import type { Agent } from './agent.ts';
import type { Copies } from './copies.ts';
import type { NodeLedger } from './ledger.ts';
import type { StagedHeader, StagedPolicy, StagedRecord, Staging } from './staging.ts';
import type { Uploads } from './uploads.ts';
import type { WorkPool } from './work/pool.ts';
import type { Parameters } from './work/tasks.ts';

/** Records whose state is read between two turns of the event loop. */
const LIVE_ROWS = 100;
/** Records sealed by one task of a worker thread. */
const SEAL_BATCH = 16;
/** Largest payload that a gateway opens for a subject in its custody: the answer is one JSON text. */
const CUSTODIAL_OPEN_MAX = 24 * 1024 * 1024;

export interface RecordsOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  readonly staging: Staging;
  readonly uploads: Uploads;
  /** CIDs of what else is kept among the payloads: index segments, where a daemon keeps them. */
  readonly segments: () => Iterable<string>;
  /** A payload is stored before it is staged: a collection without grace runs between, never inside the two. */
  readonly gate: WriteGate;
  readonly copies: Copies;
  readonly pool: WorkPool;
  readonly agent: Agent;
  /** Of the share epoch in force, or of the one that a ring is of. */
  readonly parameters: (shareEpoch?: number) => Parameters;
  readonly random: (length: number) => Uint8Array;
  /** 32 bytes: record ids under an Idempotency-Key are derived from it. */
  readonly idempotencySecret: Uint8Array;
  readonly sign: (subject: SubjectId, type: string, body: unknown) => Promise<Uint8Array>;
  readonly submit: (request: Uint8Array) => Promise<readonly CommittedEntry[]>;
}

interface Row {
  readonly record: Uint8Array;
  readonly version: number;
  readonly cid: string;
  readonly bytes: number;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly gate: 'record' | 'none';
  readonly patient: Uint8Array | null;
  readonly commitment: Uint8Array;
  readonly indexed: boolean;
}

export class Records {
  readonly #options: RecordsOptions;
  /** Puts under way by their Idempotency-Key, so that the same request sent twice at once is one. */
  readonly #puts = new Map<string, Promise<unknown>>();

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /**
   * Stores what a client sealed and signed. The uploads must be those that the RecordPut names. Nothing is stored for
   * a request that the ledger would refuse.
   */
  async putSealed(request: Uint8Array, uploads: readonly SealedUpload[]): Promise<CommittedEntry> {
    const { payloads, ledger, uploads: sent, gate } = this.#options;
    const before = await ledger.admit(request);
    if (before !== undefined) return before[0];
    const { transaction } = decodeRequest(request);
    const rows = transaction.type === 'RecordPut' ? transaction.bodies[0].records : [];
    if (rows.length !== uploads.length) {
      throw new CodedError(
        'record.uploads',
        `expected one upload for each of ${rows.length} records, got ${uploads.length}`,
      );
    }
    for (let i = 0; i < rows.length; i++) checkHeader(rows[i], uploads[i].header);
    const author = subjectId(toHex(transaction.subject));
    const staged = await gate.writing(async () => {
      const inline = uploads.flatMap(({ payload }, i) => (payload === null ? [] : [{ i, payload }]));
      const stored = await payloads.putMany(inline.map(({ payload }) => payload));
      for (const [at, { i, payload }] of inline.entries()) {
        if (stored[at].cid !== rows[i].cid || payload.length !== rows[i].bytes) {
          throw new CodedError(
            'record.cid_mismatch',
            `record ${i}: the payload has CID ${stored[at].cid}, not the signed one`,
          );
        }
      }
      for (const [i, { cid, bytes }] of rows.entries()) {
        if (uploads[i].payload !== null || sent.holds(author, cid, bytes)) continue;
        throw new CodedError(
          'record.payload_unknown',
          `record ${i}: its author has sent no payload with this CID and length, or too long ago: POST /v1/payloads first`,
        );
      }
      const staging = rows.map(({ record, version, cid, headerHash: hash }, i) => ({
        record,
        version,
        cid,
        headerHash: hash,
        expiresAt: transaction.expiresAt,
        keywords: sealedKeywords(uploads[i].keywords),
      }));
      await this.#options.staging.put(staging);
      return staging;
    });
    const entry = await this.#commitStaged(
      request,
      staged,
      uploads.map((upload) => upload.header),
    );
    await sent.settle(
      author,
      rows.flatMap(({ cid }, i) => (uploads[i].payload === null ? [cid] : [])),
    );
    return entry;
  }

  /**
   * Seals, stores and commits plaintext for an author in this gateway's custody. With an Idempotency-Key the same list
   * again answers with what the first call committed; another list under it is `record.idempotency`.
   */
  async putPlain(
    by: Session,
    uploads: readonly PlainUpload[],
    idempotencyKey?: string,
  ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] }> {
    if (idempotencyKey === undefined) {
      const { random } = this.#options;
      return this.#putPlain(
        by,
        uploads,
        uploads.map(() => random(32)),
      );
    }
    const name = `${by.subject} ${idempotencyKey}`;
    const earlier = this.#puts.get(name) ?? Promise.resolve();
    const run = earlier.catch(() => undefined).then(() => this.#putOnce(by, uploads, idempotencyKey));
    this.#puts.set(name, run);
    try {
      return await run;
    } finally {
      if (this.#puts.get(name) === run) this.#puts.delete(name);
    }
  }

  async #putOnce(
    by: Session,
    uploads: readonly PlainUpload[],
    idempotencyKey: string,
  ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] }> {
    const ids = this.#recordIds(by, uploads, idempotencyKey);
    const before = await this.#putBefore(ids);
    if (before !== undefined) return before;
    try {
      return await this.#putPlain(by, uploads, ids);
    } catch (error) {
      // A first attempt that a crash cut off may have been ordered while this one was sealed.
      const after = hasCode(error, 'record.version') ? await this.#putBefore(ids) : undefined;
      if (after === undefined) throw error;
      return after;
    }
  }

  async #putPlain(
    by: Session,
    uploads: readonly PlainUpload[],
    ids: readonly Uint8Array[],
  ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] }> {
    const { member, payloads, parameters, pool, sign, ledger } = this.#options;
    const prepared = uploads.map((upload) => ({ ...upload, ...this.#describe(upload, member) }));
    for (const { policy } of prepared) ledger.checkPolicy(policy);
    const items = prepared.map(({ content, policy }, i) => ({
      recordId: ids[i],
      version: 0,
      policy,
      gate: 'record' as const,
      plaintext: content,
    }));
    const batches = [];
    for (let i = 0; i < items.length; i += SEAL_BATCH) {
      batches.push(
        pool.run({ task: 'seal', parameters: parameters(), items: items.slice(i, i + SEAL_BATCH) }),
      );
    }
    const sealed = (await Promise.all(batches)).flat();
    const { rows, request, staged } = await this.#options.gate.writing(async () => {
      const stored = await payloads.putMany(sealed.map((one) => one.payload));
      const rows: Row[] = sealed.map((one, i) => ({
        record: items[i].recordId,
        version: 0,
        cid: stored[i].cid,
        bytes: one.payload.length,
        headerHash: one.headerHash,
        policy: one.policy,
        gate: 'record',
        patient: prepared[i].patient === null ? null : fromHex(prepared[i].patient ?? ''),
        commitment: one.commitment,
        indexed: prepared[i].keywords !== null,
      }));
      const request = await sign(by.subject, 'RecordPut', { records: rows });
      const { expiresAt } = decodeRequest(request).transaction;
      const staged = rows.map(({ record, version, cid, headerHash: hash }, i) => ({
        record,
        version,
        cid,
        headerHash: hash,
        expiresAt,
        keywords: prepared[i].keywords,
      }));
      await this.#options.staging.put(staged);
      return { rows, request, staged };
    });
    const entry = await this.#commitStaged(
      request,
      staged,
      sealed.map((one) => one.header),
    );
    return { entry, records: rows.map((row) => recordId(toHex(row.record))) };
  }

  /** Stores a client's new header and commits its PolicyChange. */
  async changePolicySealed(request: Uint8Array, header: Uint8Array): Promise<CommittedEntry> {
    const { transaction } = decodeRequest(request);
    if (transaction.type !== 'PolicyChange')
      throw new CodedError('tx.mismatch', 'expected a signed PolicyChange');
    const before = await this.#options.ledger.admit(request);
    if (before !== undefined) return before[0];
    const [{ record, version, headerHash: hash }] = transaction.bodies;
    checkHeader(transaction.bodies[0], header);
    const staged = { record, version, headerHash: hash, expiresAt: transaction.expiresAt, cid: null };
    await this.#options.staging.put([staged]);
    return this.#commitStaged(request, [staged], [header]);
  }

  /** Rewraps the data key under another policy for an author in custody; the payload is not touched. */
  async changePolicy(by: Session, id: RecordId, policy: string): Promise<CommittedEntry> {
    const { ledger, pool, parameters, sign } = this.#options;
    ledger.checkPolicy(policy);
    const record = this.#live(id);
    const { dataKey } = await this.#openKey(by.subject, id, record, 'operations');
    const version = record.version + 1;
    const item = { recordId: fromHex(id), version, policy, gate: record.gate, dataKey };
    const made = await pool.run({ task: 'rewrap', parameters: parameters(), item });
    const request = await sign(by.subject, 'PolicyChange', {
      record: fromHex(id),
      version,
      headerHash: made.headerHash,
      policy: made.policy,
      gate: record.gate,
      cid: null,
      bytes: null,
      commitment: null,
    });
    const { expiresAt } = decodeRequest(request).transaction;
    const staged = { record: fromHex(id), version, headerHash: made.headerHash, expiresAt, cid: null };
    await this.#options.staging.put([staged]);
    return this.#commitStaged(request, [staged], [made.header]);
  }

  async header(id: RecordId): Promise<Uint8Array> {
    return this.#options.copies.header(id);
  }

  async payload(id: RecordId): Promise<{ size: number; stream: AsyncIterable<Uint8Array> }> {
    return this.#options.copies.payload(id);
  }

  /** Custodial open: Access, gates, decryption, in that order. */
  async open(
    by: Session,
    id: RecordId,
    purpose: Purpose,
  ): Promise<{ plaintext: Uint8Array; access: CommittedEntry }> {
    const record = this.#live(id);
    if (record.bytes > CUSTODIAL_OPEN_MAX) {
      throw new CodedError(
        'record.too_large',
        `a gateway opens at most ${CUSTODIAL_OPEN_MAX} bytes; larger records open with keys of your own (SDK or CLI)`,
        { details: { bytes: record.bytes, max: CUSTODIAL_OPEN_MAX } },
      );
    }
    const { size, stream } = await this.payload(id);
    const payload = new Uint8Array(size);
    let offset = 0;
    for await (const chunk of stream) {
      payload.set(chunk, offset);
      offset += chunk.length;
    }
    const { plaintext, access } = await this.#openKey(by.subject, id, record, purpose, payload);
    if (plaintext === null) throw new CodedError('record.no_payload', 'this record has a header only');
    return { plaintext, access };
  }

  /**
   * Removes the headers of what was staged and never committed, once its transaction has expired by the ledger's own
   * time; the payloads go with the next collection. Answers how many were orphans.
   */
  async sweep(): Promise<number> {
    const { staging, uploads, ledger, headers } = this.#options;
    await uploads.sweep();
    const now = ledger.tipTimeMs();
    const orphans: StagedHeader[] = [];
    const settled: StagedHeader[] = [];
    for (const row of staging.all()) {
      if (now <= row.expiresAt) continue;
      const isCommitted = ledger
        .headersOf(recordId(toHex(row.record)))
        .some((hash) => equalBytes(hash, row.headerHash));
      if (!isCommitted) orphans.push(row);
      else if (row.cid === null || this.#isIndexed(row)) settled.push(row);
    }
    for (const { headerHash: hash } of orphans) await headers.delete(hash);
    await staging.remove([...orphans, ...settled]);
    return orphans.length;
  }

  /** Whether the index covers a committed record, or never will: then its staged keywords are of no use. */
  #isIndexed({ record }: StagedHeader): boolean {
    const { ledger, member } = this.#options;
    const state = ledger.state(STATE.record(toHex(record)));
    const covered = ledger.state(STATE.index(member))?.covered ?? 0;
    return state === undefined || state.erased || state.indexNo === null || state.indexNo < covered;
  }

  /** Removes payloads that neither a live record nor anything staged names; see `PayloadStore.collect` for `graceMs`. */
  async collect(graceMs: number, nowMs: number): Promise<number> {
    return (await this.#options.payloads.collect(this.#liveCids(), graceMs, nowMs)).removed;
  }

  /** Removes payloads of erased records at once: nobody may need them any more. Answers how many blocks went. */
  removeNow(cids: readonly string[]): Promise<number> {
    const { gate, payloads } = this.#options;
    return gate.alone(() => payloads.remove(cids, this.#liveCids()));
  }

  /** CIDs that a live record, a staged one, an upload or a segment names. */
  async *#liveCids(): AsyncGenerator<string> {
    const { staging, uploads, segments, ledger } = this.#options;
    for (const { cid } of staging.all()) if (cid !== null) yield cid;
    yield* uploads.cids();
    yield* segments();
    let looked = 0;
    for (const member of ledger.members()) {
      for (const row of [...ledger.book.rows(member)]) {
        // The node has votes to answer in between.
        if (++looked % LIVE_ROWS === 0) await nextTurn();
        const state = row === undefined ? undefined : ledger.state(STATE.record(row.record));
        if (state !== undefined && state.cid !== null && !state.erased) yield state.cid;
      }
    }
  }

  /**
   * Record ids that are always the same for this caller, key and list: the first half names the key and the place in the
   * list, the second half the whole list's content, so that a key that comes with another list is seen on the ledger.
   */
  #recordIds(by: Session, uploads: readonly PlainUpload[], idempotencyKey: string): Uint8Array[] {
    const { idempotencySecret: secret } = this.#options;
    const name = concat(utf8(by.subject), Uint8Array.of(0), utf8(idempotencyKey));
    const list = encodeCbor(
      uploads.map(({ content, patient, policy }) => [sha256(content), patient, policy ?? null]),
    );
    return uploads.map((_, i) =>
      concat(
        hmacSha256(secret, Uint8Array.of(0), name, u32be(i)).subarray(0, 16),
        hmacSha256(secret, Uint8Array.of(1), name, u32be(i), list).subarray(0, 16),
      ),
    );
  }

  /** What an earlier call with the same ids committed. */
  async #putBefore(
    ids: readonly Uint8Array[],
  ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] } | undefined> {
    const { ledger } = this.#options;
    const records = ids.map((id) => recordId(toHex(id)));
    const prefix = `record/${records[0].slice(0, 32)}`;
    const [known] = await ledger.list(prefix, { limit: 1 });
    if (known === undefined) return undefined;
    if (known[0] !== `record/${records[0]}`) {
      throw new CodedError('record.idempotency', 'this Idempotency-Key was used for another list of records');
    }
    const { entries } = ledger.entries({ record: records[0], kind: 'RecordPut', limit: 1000 });
    const entry = entries.at(-1);
    return entry === undefined ? undefined : { entry, records };
  }

  #live(id: RecordId): RecordState {
    const record = this.#options.ledger.state(STATE.record(id));
    if (record === undefined) throw new CodedError('record.unknown', 'no record on the ledger has this id');
    if (record.erased) throw new CodedError('record.erased', 'the record was erased');
    return record;
  }

  async #openKey(
    subject: SubjectId,
    id: RecordId,
    record: RecordState,
    purpose: Purpose,
    payload: Uint8Array | null = null,
  ): Promise<{ dataKey: Uint8Array; plaintext: Uint8Array | null; access: CommittedEntry }> {
    const { agent, parameters, pool } = this.#options;
    const header = await this.header(id);
    const granted = await agent.access(subject, [{ id, version: record.version }], purpose);
    const opened = await pool.run({
      task: 'open',
      parameters: parameters(granted.ring.shareEpoch),
      item: {
        ring: encodeKeyRing(granted.ring),
        header,
        expected: {
          recordId: fromHex(id),
          version: record.version,
          policyBytes: record.policy,
          gate: record.gate,
        },
        payload,
        commitment: record.commitment,
        ...(purpose === 'audit' && { verify: 'full' as const }),
      },
    });
    return { ...opened, access: granted.access };
  }

  /** Policy and keywords of a plaintext; FHIR resources get both from their type, other JSON and text a policy only. */
  #describe(upload: PlainUpload, member: MemberId): { policy: string; keywords: StagedRecord['keywords'] } {
    const json = parseResource(upload.content);
    const patient = upload.patient ?? undefined;
    const patientOption = patient === undefined ? {} : { patient };
    const policy =
      upload.policy ??
      defaultPolicy(String(json?.resourceType ?? ''), {
        member,
        ...patientOption,
        ...(json === undefined ? {} : { department: departmentOf(json) }),
      });
    printPolicy(parsePolicy(policy));
    if (json === undefined) return { policy, keywords: null };
    const values = extractKeywords(json, patientOption);
    if (values.length === 0) return { policy, keywords: null };
    const { keywords, weights } = toKeywords(values);
    return { policy, keywords: { plain: keywords, weights: weights ?? null } };
  }

  /** Keeps the headers of what is staged, and submits. What the ledger refuses is an orphan for the sweep. */
  async #commitStaged(
    request: Uint8Array,
    staged: readonly (StagedRecord | StagedPolicy)[],
    headers: readonly Uint8Array[],
  ): Promise<CommittedEntry> {
    await this.#options.headers.putMany(
      staged.map(({ headerHash: hash }, i) => ({ hash, bytes: headers[i] })),
    );
    return (await this.#options.submit(request))[0];
  }
}

function sealedKeywords(keywords: Uint8Array | null): StagedRecord['keywords'] {
  return keywords === null ? null : { sealed: keywords };
}

/** A header must be the signed one, and say of itself what the ledger will say of it. */
function checkHeader(
  row: {
    record: Uint8Array;
    version: number;
    headerHash: Uint8Array;
    policy: Uint8Array;
    gate: 'record' | 'none';
  },
  header: Uint8Array,
): void {
  if (!equalBytes(headerHash(header), row.headerHash)) {
    throw new CodedError('record.header_mismatch', 'the header is not the one whose hash was signed');
  }
  const seen = inspectHeader(header);
  const same =
    toHex(seen.recordId) === toHex(row.record) &&
    seen.version === row.version &&
    equalBytes(seen.policyBytes, row.policy) &&
    seen.gate === row.gate;
  if (!same)
    throw new CodedError(
      'record.header_mismatch',
      'the header speaks of another record, version, policy or gate',
    );
}

function parseResource(content: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(content));
    const isResource =
      value !== null && typeof value === 'object' && typeof (value as JsonObject).resourceType === 'string';
    return isResource ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
