/**
 * Records on the client: sealed before they leave, opened after they arrive. An opening is one Access entry; only what
 * the ledger granted comes with gates; header and payload are checked against the ledger before a key is used.
 */
import {
  encodePolicy,
  headerHash,
  type KeyRing,
  openDataKey,
  openRecordPayload,
  parsePolicy,
  sealRecord,
  wrapRecord,
} from '../abe/index.ts';
import { fromBase64url, fromHex, toBase64url, toHex } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { cidOf } from '../codec/cid.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { hpkeSeal } from '../codec/hpke.ts';
import { keywordsInfo } from '../codec/hpke-info.ts';
import { memberId } from '../codec/ids.ts';
import { defaultPolicy, departmentOf, extractKeywords, type JsonObject, toKeywords } from '../fhir/index.ts';
import type { Context } from './context.ts';
import type { Keys, PartsJson } from './keys.ts';
import type { Proven } from './proven.ts';
import { openedStream, sealedStream } from './record-streams.ts';
import type { Committed, RecordInfo } from './types.ts';

/** Sealed payloads up to here travel inside the request of their record; longer ones go ahead of it as a stream. */
const INLINE_PAYLOAD_MAX = 1024 * 1024;

export type Purpose = 'treatment' | 'payment' | 'operations' | 'research' | 'patient' | 'audit';

export interface NewRecord {
  /** Exact bytes to be sealed. A FHIR resource in JSON gets default policy and keywords from its type. */
  readonly content: Uint8Array;
  /** Patient pseudonym, or null for a record about no patient. */
  readonly patient: string | null;
  /** Policy text; the default policy of the resource type when it is left out. */
  readonly policy?: string;
}

export interface NewRecordStream extends Omit<NewRecord, 'content'> {
  /** Bytes of any length, read once. They are not searched for keywords. */
  readonly source: AsyncIterable<Uint8Array>;
}

export interface PutReport {
  readonly records: readonly string[];
  readonly committed: Committed;
}

export interface Verdict {
  readonly granted: boolean;
  readonly reason: string;
}

export interface AccessReport {
  readonly committed: Committed;
  readonly verdicts: readonly Verdict[];
  readonly parts: PartsJson;
  /** The subject's key with the gates of what was granted. */
  readonly ring: KeyRing;
}

export interface Opened {
  readonly record: RecordInfo;
  readonly plaintext: Uint8Array;
  readonly access: Committed;
}

export interface OpenedStream extends Omit<Opened, 'plaintext'> {
  /**
   * The plaintext in order, each chunk authentic. That nothing is missing is known at its end only: a cut or swapped
   * payload throws there (`abe.payload_rejected`, `payload.cid_mismatch`).
   */
  readonly plaintext: AsyncIterable<Uint8Array>;
}

export class Records {
  readonly #context: Context;
  readonly #keys: Keys;
  readonly #proven: Proven;

  constructor(context: Context, keys: Keys, proven: Proven) {
    this.#context = context;
    this.#keys = keys;
    this.#proven = proven;
  }

  get(record: string): Promise<RecordInfo> {
    return this.#context.gateway.json('GET', `/v1/records/${record}`);
  }

  list(filter: { patient?: string; custodian?: string; cursor?: string; limit?: number } = {}): Promise<{
    records: readonly RecordInfo[];
    next: string | null;
  }> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter))
      if (value !== undefined) query.set(name, String(value));
    return this.#context.gateway.json('GET', `/v1/records?${query}`);
  }

  /** Seals records here and puts them; the gateway sees ciphertext and sealed keywords only. */
  async put(records: readonly NewRecord[]): Promise<PutReport> {
    const context = this.#context;
    const { member } = context.device;
    const [group, keys, registry, { chainId }, indexerKey] = await Promise.all([
      context.group(),
      this.#proven.authorityKeys(),
      this.#proven.registry(),
      context.members(),
      this.#proven.indexerKey(member),
    ]);
    const prepared = await Promise.all(
      records.map(async ({ content, patient, policy: wanted }) => {
        const json = parseResource(content);
        const about = patient === null ? {} : { patient };
        const text =
          wanted ??
          defaultPolicy(String(json?.resourceType ?? ''), {
            member: memberId(member),
            ...about,
            ...(json === undefined ? {} : { department: departmentOf(json) }),
          });
        const recordId = context.random(32);
        const sealed = sealRecord({
          group,
          mpk: keys.mpk,
          registry,
          recordId,
          version: 0,
          policy: parsePolicy(text),
          gate: 'record',
          plaintext: content,
          random: context.random,
        });
        const values = json === undefined ? [] : extractKeywords(json, about);
        const { keywords, weights } = toKeywords(values);
        const sealedKeywords =
          keywords.length === 0
            ? null
            : await hpkeSeal(
                indexerKey,
                keywordsInfo(chainId, member, recordId, 0),
                encodeCbor([keywords, weights ?? null]),
              );
        const row = {
          record: recordId,
          version: 0,
          cid: await cidOf(sealed.payload),
          bytes: sealed.payload.length,
          headerHash: sealed.headerHash,
          policy: sealed.policyBytes,
          gate: 'record' as const,
          patient: patient === null ? null : fromHex(patient),
          commitment: sealed.commitment,
          indexed: sealedKeywords !== null,
        };
        const upload = {
          header: toBase64url(sealed.header),
          payload: sealed.payload,
          keywords: sealedKeywords === null ? null : toBase64url(sealedKeywords),
        };
        return { row, upload };
      }),
    );
    // One after the other: a gateway takes few payloads of a subject at once.
    const uploads: Record<string, unknown>[] = [];
    for (const { upload } of prepared)
      uploads.push({ ...upload, payload: await this.#inline(upload.payload) });
    const signed = await context.sign('RecordPut', { records: prepared.map((one) => one.row) });
    const answer = await context.gateway.json<{ records: string[]; committed: Committed }>(
      'POST',
      '/v1/records',
      {
        body: { ...signed, uploads },
      },
    );
    return { records: answer.records, committed: answer.committed };
  }

  /** Seals and puts one record of any length in bounded memory. */
  async putStream(options: NewRecordStream): Promise<PutReport> {
    const context = this.#context;
    const [group, keys, registry] = await Promise.all([
      context.group(),
      this.#proven.authorityKeys(),
      this.#proven.registry(),
      context.members(),
    ]);
    const { member } = context.device;
    const { patient, source } = options;
    const { random } = context;
    const recordId = random(32);
    const about = patient === null ? {} : { patient };
    const policy = parsePolicy(options.policy ?? defaultPolicy('', { member: memberId(member), ...about }));
    const { row, header } = await sealedStream(
      { group, mpk: keys.mpk, registry, recordId, policy, random },
      source,
      (payload) => context.gateway.upload('/v1/payloads', payload),
    );
    const pseudonym = patient === null ? null : fromHex(patient);
    const signed = await context.sign('RecordPut', {
      records: [{ ...row, patient: pseudonym, indexed: false }],
    });
    const uploads = [{ header: toBase64url(header), payload: null, keywords: null }];
    return context.gateway.json('POST', '/v1/records', { body: { ...signed, uploads } });
  }

  /** Asks for access to records: one entry, a verdict for each, gates for what was granted. */
  async access(records: readonly RecordInfo[], purpose: Purpose): Promise<AccessReport> {
    return this.#access(records, purpose, await this.#keys.current());
  }

  /** With `mayRenew` a key of an earlier share epoch is renewed, and access asked for once more. */
  async #access(
    records: readonly RecordInfo[],
    purpose: Purpose,
    ring: KeyRing,
    mayRenew = true,
  ): Promise<AccessReport> {
    const context = this.#context;
    const signed = await context.sign('Access', {
      keyId: ring.keyId,
      generation: ring.generation,
      records: records.map(({ record, version }) => ({ record: fromHex(record), version })),
      purpose,
    });
    const answer = await context.gateway.json<{
      committed: Committed;
      verdicts: Verdict[];
      parts: PartsJson;
    }>('POST', '/v1/access', { body: signed });
    if (mayRenew && answer.verdicts.some((verdict) => verdict.reason === 'share_epoch'))
      return this.#access(records, purpose, await this.#keys.renewed(), false);
    // Where everything is denied there are no gates to open.
    if (!answer.verdicts.some((verdict) => verdict.granted)) return { ...answer, ring };
    const entry = fromHex(answer.committed.entryId);
    try {
      const { ring: gated } = await this.#keys.openParts(ring, answer.parts, entry);
      return { ...answer, ring: gated };
    } catch (error) {
      if (!mayRenew || !hasCode(error, 'authority.too_few')) throw error;
      if (!(await this.#keys.isOutdated(ring.shareEpoch))) throw error;
      return this.#access(records, purpose, await this.#keys.renewed(), false);
    }
  }

  /**
   * Opens a record: Access, gates, header, payload. Throws `access.denied` with the ledger's reason. For the purpose of
   * audit every row of the header is re-encrypted, also those that this reader does not use.
   */
  async open(id: string, purpose: Purpose = 'treatment'): Promise<Opened> {
    // Key and record do not wait for each other; the ciphertext is public among members, so it is fetched while the ledger decides.
    const ring = this.#keys.current();
    ring.catch(() => undefined);
    const record = await this.get(id);
    const ciphertext = this.#ciphertext(record);
    ciphertext.catch(() => undefined);
    const isProven = this.#proven.requireRecord(record);
    isProven.catch(() => undefined);
    const access = await this.#access([record], purpose, await ring);
    denyUnless(access.verdicts[0], access.committed);
    await isProven;
    const { header, payload } = await ciphertext;
    const dataKey = await this.dataKey(record, access.ring, header, purpose);
    const commitment = fromHex(record.commitment ?? '');
    const plaintext = openRecordPayload(dataKey, fromHex(id), payload, commitment);
    dataKey.fill(0);
    return { record, plaintext, access: access.committed };
  }

  /** Opens a record of any length in bounded memory. Throws as `open` does; see `OpenedStream` for the rest. */
  async openStream(id: string, purpose: Purpose = 'treatment'): Promise<OpenedStream> {
    const record = await this.get(id);
    const [header] = await Promise.all([this.header(record), this.#proven.requireRecord(record)]);
    const access = await this.access([record], purpose);
    denyUnless(access.verdicts[0], access.committed);
    const dataKey = await this.dataKey(record, access.ring, header, purpose);
    const sealed = this.#context.gateway.stream('GET', `/v1/records/${id}/payload`);
    const commitment = fromHex(record.commitment ?? '');
    const plaintext = openedStream({ dataKey, recordId: fromHex(id), cid: record.cid, commitment }, sealed);
    return { record, plaintext, access: access.committed };
  }

  /** The data key of a header, from a ring that holds its gate. */
  async dataKey(
    record: RecordInfo,
    ring: KeyRing,
    header: Uint8Array,
    purpose: Purpose = 'treatment',
  ): Promise<Uint8Array> {
    const context = this.#context;
    const [group, keys, registry] = await Promise.all([
      context.group(),
      context.keysOfEpoch(ring.shareEpoch),
      this.#proven.registry(),
    ]);
    return openDataKey({
      group,
      keys,
      ring,
      registry,
      header,
      expected: {
        recordId: fromHex(record.record),
        version: record.version,
        policyBytes: encodePolicy(parsePolicy(record.policy)),
        gate: record.gate,
      },
      random: context.random,
      ...(purpose === 'audit' && { verify: 'full' as const }),
    });
  }

  /** The sealed header of a record, checked against its hash on the ledger. */
  async header(record: Pick<RecordInfo, 'record' | 'headerHash'>): Promise<Uint8Array> {
    const { header } = await this.#context.gateway.json<{ header: string }>(
      'GET',
      `/v1/records/${record.record}/header`,
    );
    const bytes = fromBase64url(header);
    if (toHex(headerHash(bytes)) !== record.headerHash) {
      throw new CodedError(
        'abe.header_mismatch',
        'the gateway sent a header that is not the one on the ledger',
      );
    }
    return bytes;
  }

  /** The sealed payload of a record, checked against its CID when it is small enough for one block. */
  async payload(record: RecordInfo): Promise<Uint8Array> {
    const bytes = await this.#context.gateway.bytes('GET', `/v1/records/${record.record}/payload`);
    const cid = await cidOf(bytes);
    if (cid !== record.cid) {
      throw new CodedError(
        'payload.cid_mismatch',
        'the gateway sent a payload that is not the one on the ledger',
      );
    }
    return bytes;
  }

  /** Rewraps the data key under another policy. The payload and its CID stay as they are. */
  async changePolicy(id: string, policy: string): Promise<Committed> {
    const context = this.#context;
    const record = await this.get(id);
    const [header] = await Promise.all([this.header(record), this.#proven.requireRecord(record)]);
    const access = await this.access([record], 'operations');
    denyUnless(access.verdicts[0], access.committed);
    const dataKey = await this.dataKey(record, access.ring, header);
    const [group, keys, registry] = await Promise.all([
      context.group(),
      this.#proven.authorityKeys(),
      this.#proven.registry(),
    ]);
    const parsed = parsePolicy(policy);
    const version = record.version + 1;
    const rewrapped = wrapRecord({
      group,
      mpk: keys.mpk,
      registry,
      recordId: fromHex(id),
      version,
      policy: parsed,
      gate: record.gate,
      dataKey,
      random: context.random,
    });
    dataKey.fill(0);
    const signed = await context.sign('PolicyChange', {
      record: fromHex(id),
      version,
      headerHash: headerHash(rewrapped),
      policy: encodePolicy(parsed),
      gate: record.gate,
      cid: null,
      bytes: null,
      commitment: null,
    });
    const body = { ...signed, header: toBase64url(rewrapped) };
    return context.gateway.json('PUT', `/v1/records/${id}/policy`, { body });
  }

  explain(id: string): Promise<{ granted: boolean; reason: string; explanation: string }> {
    return this.#context.gateway.json('GET', `/v1/records/${id}/explain`);
  }

  /** A payload for the body of a request, or null once it was sent ahead of it. */
  async #inline(payload: Uint8Array): Promise<string | null> {
    if (payload.length <= INLINE_PAYLOAD_MAX) return toBase64url(payload);
    const whole = async function* (): AsyncGenerator<Uint8Array> {
      yield payload;
    };
    await this.#context.gateway.upload('/v1/payloads', whole());
    return null;
  }

  async #ciphertext(record: RecordInfo): Promise<{ header: Uint8Array; payload: Uint8Array }> {
    const [header, payload] = await Promise.all([this.header(record), this.payload(record)]);
    return { header, payload };
  }
}

function denyUnless(verdict: Verdict, committed: Committed): void {
  if (verdict.granted) return;
  throw new CodedError('access.denied', `the ledger denied access: ${verdict.reason}`, {
    details: { reason: verdict.reason, entryId: committed.entryId, index: committed.index },
  });
}

function parseResource(content: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
    const isResource =
      value !== null && typeof value === 'object' && typeof (value as JsonObject).resourceType === 'string';
    return isResource ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
