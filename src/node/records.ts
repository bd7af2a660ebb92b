/**
 * Records on their way in and out of a gateway. In: payload and header durable, keywords staged, then RecordPut. Out:
 * header and payload from here or from the custodian. Custodial callers get the client's steps done for them.
 */
import { encodeKeyRing, headerHash, inspectHeader, parsePolicy, printPolicy } from '../abe/index.ts';
import type { CommittedEntry, PlainUpload, SealedUpload, Session } from '../api/ports.ts';
import { equalBytes, fromHex, fromUtf8, toHex, u32be, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hmacSha256 } from '../codec/hash.ts';
import { type MemberId, memberId, type RecordId, recordId, type SubjectId } from '../codec/ids.ts';
import { defaultPolicy, departmentOf, extractKeywords, type JsonObject, toKeywords } from '../fhir/index.ts';
import { decodeRequest, type Purpose, type RecordState, STATE } from '../ledger/index.ts';
import type { HeaderStore, PayloadStore } from '../storage/index.ts';
import type { Agent } from './agent.ts';
import type { NodeLedger } from './ledger.ts';
import type { Replicas } from './replicas.ts';
import type { StagedRecord, Staging } from './staging.ts';
import type { WorkPool } from './work/pool.ts';
import type { Parameters } from './work/tasks.ts';

/** A staged row outlives its transaction by this much before the start-up check may take it for an orphan. */
const STAGED_GRACE_MS = 60_000;
/** Records sealed by one task of a worker thread. */
const SEAL_BATCH = 16;

export interface RecordsOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  readonly staging: Staging;
  readonly replicas: Replicas;
  readonly pool: WorkPool;
  readonly agent: Agent;
  readonly parameters: () => Parameters;
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

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** Stores what a client sealed and signed. The uploads must be those that the RecordPut names. */
  async putSealed(request: Uint8Array, uploads: readonly SealedUpload[]): Promise<CommittedEntry> {
    const { payloads } = this.#options;
    const { transaction } = decodeRequest(request);
    const rows = transaction.type === 'RecordPut' ? transaction.bodies[0].records : [];
    if (rows.length !== uploads.length) {
      throw new CodedError(
        'record.uploads',
        `expected one upload for each of ${rows.length} records, got ${uploads.length}`,
      );
    }
    for (let i = 0; i < rows.length; i++) checkHeader(rows[i], uploads[i].header);
    const stored = await payloads.putMany(uploads.map((upload) => upload.payload));
    for (let i = 0; i < rows.length; i++) {
      if (stored[i].cid !== rows[i].cid || uploads[i].payload.length !== rows[i].bytes) {
        throw new CodedError(
          'record.cid_mismatch',
          `record ${i}: the payload has CID ${stored[i].cid}, not the signed one`,
        );
      }
    }
    await this.#stage(
      rows.map((row, i) => ({
        row,
        header: uploads[i].header,
        keywords: sealedKeywords(uploads[i].keywords),
      })),
      transaction.expiresAt,
    );
    return (await this.#options.submit(request))[0];
  }

  /** Seals, stores and commits plaintext for an author in this gateway's custody. */
  async putPlain(
    by: Session,
    uploads: readonly PlainUpload[],
    idempotencyKey?: string,
  ): Promise<{ entry: CommittedEntry; records: readonly RecordId[] }> {
    const ids = this.#recordIds(by, uploads.length, idempotencyKey);
    const before = idempotencyKey === undefined ? undefined : this.#putBefore(ids);
    if (before !== undefined) return before;
    const { member, payloads, parameters, pool, sign, submit, ledger } = this.#options;
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
    await this.#stage(
      rows.map((row, i) => ({ row, header: sealed[i].header, keywords: prepared[i].keywords })),
      decodeRequest(request).transaction.expiresAt,
    );
    const [entry] = await submit(request);
    return { entry, records: rows.map((row) => recordId(toHex(row.record))) };
  }

  /** Stores a client's new header and commits its PolicyChange. */
  async changePolicySealed(request: Uint8Array, header: Uint8Array): Promise<CommittedEntry> {
    const { headers, submit } = this.#options;
    const { transaction } = decodeRequest(request);
    if (transaction.type !== 'PolicyChange')
      throw new CodedError('tx.mismatch', 'expected a signed PolicyChange');
    const [body] = transaction.bodies;
    checkHeader(body, header);
    await headers.put(body.headerHash, header);
    return (await submit(request))[0];
  }

  /** Rewraps the data key under another policy for an author in custody; the payload is not touched. */
  async changePolicy(by: Session, id: RecordId, policy: string): Promise<CommittedEntry> {
    const { headers, ledger, pool, parameters, sign, submit } = this.#options;
    ledger.checkPolicy(policy);
    const record = this.#live(id);
    const { dataKey } = await this.#openKey(by.subject, id, record, 'operations');
    const version = record.version + 1;
    const item = { recordId: fromHex(id), version, policy, gate: record.gate, dataKey };
    const made = await pool.run({ task: 'rewrap', parameters: parameters(), item });
    await headers.put(made.headerHash, made.header);
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
    const [entry] = await submit(request);
    return entry;
  }

  async header(id: RecordId): Promise<Uint8Array> {
    const record = this.#live(id);
    return this.#options.replicas.header(record.headerHash, memberId(record.custodian));
  }

  async payload(id: RecordId): Promise<{ size: number; stream: AsyncIterable<Uint8Array> }> {
    const record = this.#live(id);
    if (record.cid === null) throw new CodedError('record.no_payload', 'this record has a header only');
    return this.#options.replicas.payload(record.cid, memberId(record.custodian));
  }

  /** Custodial open: Access, gates, decryption, in that order. */
  async open(
    by: Session,
    id: RecordId,
    purpose: Purpose,
  ): Promise<{ plaintext: Uint8Array; access: CommittedEntry }> {
    const record = this.#live(id);
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

  /** The data key of a header-only record (a search field key), for a custodial subject. */
  async openKey(by: Session, id: RecordId, purpose: Purpose): Promise<Uint8Array> {
    return (await this.#openKey(by.subject, id, this.#live(id), purpose)).dataKey;
  }

  /** Removes what a crash left between storing and committing. Answers how many records were orphans. */
  async sweep(nowMs: number): Promise<number> {
    const { staging, ledger, headers } = this.#options;
    const orphans: StagedRecord[] = [];
    for (const staged of staging.all()) {
      const state = ledger.state(STATE.record(toHex(staged.record)));
      const isCommitted = state !== undefined && state.version >= staged.version;
      if (!isCommitted && nowMs > staged.expiresAt + STAGED_GRACE_MS) orphans.push(staged);
    }
    for (const { headerHash: hash } of orphans) await headers.delete(hash);
    await staging.remove(orphans);
    return orphans.length;
  }

  /** Random ids, or under an idempotency key always the same ones for this caller. */
  #recordIds(by: Session, count: number, idempotencyKey: string | undefined): Uint8Array[] {
    const { random, idempotencySecret } = this.#options;
    return Array.from({ length: count }, (_, i) =>
      idempotencyKey === undefined
        ? random(32)
        : hmacSha256(idempotencySecret, utf8(by.subject), Uint8Array.of(0), utf8(idempotencyKey), u32be(i)),
    );
  }

  /** What an earlier call with the same ids committed. */
  #putBefore(
    ids: readonly Uint8Array[],
  ): { entry: CommittedEntry; records: readonly RecordId[] } | undefined {
    const { ledger } = this.#options;
    const records = ids.map((id) => recordId(toHex(id)));
    if (records.length === 0 || ledger.state(STATE.record(records[0])) === undefined) return undefined;
    const { entries } = ledger.entries({ record: records[0], kind: 'RecordPut', limit: 1000 });
    const entry = entries.at(-1);
    if (entry === undefined) return undefined;
    const put = (entry.body.records as readonly { record: Uint8Array }[]).map((row) => toHex(row.record));
    if (put.length !== records.length) {
      throw new CodedError('record.idempotency', 'this Idempotency-Key was used for another list of records');
    }
    return { entry, records };
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
      parameters: parameters(),
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

  async #stage(
    items: readonly {
      row: Row | { record: Uint8Array; version: number; cid: string; headerHash: Uint8Array };
      header: Uint8Array;
      keywords: StagedRecord['keywords'];
    }[],
    expiresAt: number,
  ): Promise<void> {
    const { staging, headers } = this.#options;
    await staging.put(
      items.map(({ row: { record, version, cid, headerHash: hash }, keywords }) => ({
        record,
        version,
        cid,
        headerHash: hash,
        expiresAt,
        keywords,
      })),
    );
    await headers.putMany(items.map(({ row, header }) => ({ hash: row.headerHash, bytes: header })));
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
