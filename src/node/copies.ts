/**
 * Headers and payloads among members: serves what this node holds, and fetches what it lacks from the record's holders in
 * turn. Nothing that comes is trusted: a header is kept under the hash of the ledger, a payload under its CID and
 * at most as long as the ledger says. What was erased while it came is not kept.
 */
import { headerHash } from '../abe/index.ts';
import type { MemberLink } from '../authority/link.ts';
import { equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { type MemberId, memberId, type RecordId } from '../codec/ids.ts';
import { type RecordState, STATE } from '../ledger/index.ts';
import {
  type BlockPeer,
  CHUNK_BYTES,
  fetchFromPeers,
  type HeaderStore,
  handleIpfsRequest,
  type PayloadStore,
} from '../storage/index.ts';
import {
  decodeCopies,
  decodeCopiesRequest,
  decodePieceRequest,
  PAYLOAD_TIMEOUT_MS,
  PIECE_BYTES,
  pieces,
  type Wanted,
} from './copies-messages.ts';
import { sourcesOf } from './holders.ts';
import type { NodeLedger } from './ledger.ts';

const HEADER_TIMEOUT_MS = 5_000;
const RAW_QUERY = '?format=raw';
const BLOCK_PATH_MAX = 256;
/** Faults of this node's own stores, which no other source can mend. */
const OWN_FAULTS = ['storage.full', 'storage.failed', 'storage.closed', 'storage.locked'];

export interface CopiesOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly link: MemberLink;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  /** Members that keep each record. */
  readonly copies: number;
}

/** A record and what of it this node lacks. */
interface Lack {
  readonly id: RecordId;
  readonly record: RecordState;
  readonly header: boolean;
  readonly payload: boolean;
}

export class Copies {
  readonly #options: CopiesOptions;

  constructor(options: CopiesOptions) {
    this.#options = options;
    const { link, headers, payloads } = options;
    link.serve('headers', 'header', async (_from, hash) => {
      const bytes = await headers.get(hash);
      if (bytes === undefined)
        throw new CodedError('storage.not_found', 'this node holds no header of that hash');
      return bytes;
    });
    link.serve('headers', 'payload', async (_from, body) => {
      const { cid, start } = decodePieceRequest(body);
      const { size } = await payloads.stat(cid);
      const end = Math.min(size, start + PIECE_BYTES);
      const bytes = start >= size ? new Uint8Array() : await read(payloads, cid, start, end);
      return encodeCbor({ size, bytes });
    });
    link.serve('headers', 'block', async (_from, body) => {
      const { path, query } = blockPath(fromUtf8(body));
      const { status, body: block } = await handleIpfsRequest(payloads, { path, query, headers: {} });
      if (status === 200 && block instanceof Uint8Array) return block;
      throw new CodedError('storage.not_found', 'this node does not hold that block');
    });
    link.serve('headers', 'copies', (_from, body) => this.#answerCopies(decodeCopiesRequest(body)));
  }

  /** The header in force: the own copy, else the first that a holder gives, checked and kept. */
  async header(id: RecordId, avoid: ReadonlySet<MemberId> = new Set()): Promise<Uint8Array> {
    const { headers, link } = this.#options;
    const record = this.#record(id);
    const own = await this.#ownHeader(record.headerHash);
    if (own !== undefined) return own;
    const bytes = await this.#first(record, avoid, async (from) => {
      const answer = await link.request(from, 'headers', 'header', record.headerHash, HEADER_TIMEOUT_MS);
      requireHeader(answer, record, from);
      return answer;
    });
    await headers.put(record.headerHash, bytes);
    await this.#dropVoid(id);
    return bytes;
  }

  /** The payload in force, fetched from a holder if this node lacks it; a damaged one is mended on the way. */
  async payload(
    id: RecordId,
    avoid: ReadonlySet<MemberId> = new Set(),
  ): Promise<{ size: number; stream: AsyncIterable<Uint8Array> }> {
    const { payloads } = this.#options;
    const { cid } = this.#record(id);
    if (cid === null) throw new CodedError('record.no_payload', 'this record has a header only');
    if (!(await this.#holds(cid))) await this.mendPayload(id, avoid);
    const { size } = await payloads.stat(cid);
    return { size, stream: this.#mendingStream(id, cid) };
  }

  /** Fetches the payload in force from a holder and stores it, whatever lies here. Throws what the first one asked threw. */
  async mendPayload(id: RecordId, avoid: ReadonlySet<MemberId> = new Set()): Promise<void> {
    const { payloads, link } = this.#options;
    const record = this.#record(id);
    const { cid, bytes } = record;
    if (cid === null) return;
    await payloads.discardDamaged(cid);
    if (await this.#mendBlocks(record, cid, avoid)) return;
    await this.#first(record, avoid, async (from) => {
      const stored = await payloads.put(pieces(link, from, cid, bytes));
      if (stored.cid !== cid)
        throw new CodedError('storage.hash_mismatch', `${from} sent a payload with another CID`);
    });
  }

  /** Where most of an object is whole, fetches the few blocks that are not; false when that did not make it whole. */
  async #mendBlocks(record: RecordState, cid: string, avoid: ReadonlySet<MemberId>): Promise<boolean> {
    const { payloads, ledger, copies, member } = this.#options;
    if (record.bytes === null || record.bytes <= CHUNK_BYTES) return false;
    if ((await payloads.getBlock(cid)) === undefined) return false;
    const peers = sourcesOf(record, ledger.members(), copies, member)
      .filter((from) => !avoid.has(from))
      .map((from) => this.#blockPeer(from));
    try {
      await fetchFromPeers(payloads, peers, cid, record.bytes);
      return true;
    } catch (error) {
      if (isOwnFault(error)) throw error;
      return false;
    }
  }

  /** A member's trustless gateway over the member link: single blocks, which is what mending asks for. */
  #blockPeer(from: MemberId): BlockPeer {
    return {
      name: from,
      get: async (path) => {
        if (!path.endsWith(RAW_QUERY)) return { status: 501, body: bodyOf(new Uint8Array()) };
        const block = await this.#options.link.request(
          from,
          'headers',
          'block',
          utf8(path),
          PAYLOAD_TIMEOUT_MS,
        );
        return { status: 200, body: bodyOf(block) };
      },
    };
  }

  /** The same for the header. */
  async mendHeader(id: RecordId): Promise<void> {
    await this.header(id);
  }

  /** Goes on, where a block does not match its CID, with what a holder gives. */
  async *#mendingStream(id: RecordId, cid: string): AsyncGenerator<Uint8Array> {
    const { payloads } = this.#options;
    let sent = 0;
    try {
      for await (const chunk of payloads.get(cid)) {
        yield chunk;
        sent += chunk.length;
      }
      return;
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    await this.mendPayload(id);
    yield* payloads.get(cid, { start: sent });
  }

  /** Whether the object is here; one of which an inner block is damaged is not. */
  async #holds(cid: string): Promise<boolean> {
    try {
      return await this.#options.payloads.has(cid);
    } catch (error) {
      if (isDamage(error)) return false;
      throw error;
    }
  }

  /** Whether header and payload of a record are here. */
  async isComplete(record: RecordState): Promise<boolean> {
    const { headers } = this.#options;
    return headers.has(record.headerHash) && (record.cid === null || (await this.#holds(record.cid)));
  }

  /**
   * Makes records complete here: in one request to each custodian, and one by one from others where that does not give
   * everything. Answers those that are complete, and why the first of the others is not. At most as many as one request takes.
   */
  async pull(ids: readonly RecordId[]): Promise<{ complete: RecordId[]; error?: unknown }> {
    const { ledger, member } = this.#options;
    const avoid = new Set<MemberId>();
    const byCustodian = new Map<MemberId, Lack[]>();
    for (const lack of await this.#lacks(ids)) {
      const custodian = memberId(lack.record.custodian);
      byCustodian.set(custodian, [...(byCustodian.get(custodian) ?? []), lack]);
    }
    let firstError: unknown;
    for (const [custodian, lacks] of byCustodian) {
      if (custodian === member) continue;
      try {
        await this.#pullFrom(custodian, lacks);
      } catch (error) {
        if (isOwnFault(error)) throw error;
        firstError ??= error;
        if (hasCode(error, 'link.unreachable') || hasCode(error, 'link.timeout')) avoid.add(custodian);
      }
    }
    for (const { id, header, payload } of await this.#lacks(ids)) {
      try {
        if (header) await this.header(id, avoid);
        if (payload) await this.payload(id, avoid);
      } catch (error) {
        if (isOwnFault(error)) throw error;
        firstError ??= error;
      }
    }
    const complete: RecordId[] = [];
    for (const id of ids) {
      const record = ledger.state(STATE.record(id));
      await this.#dropVoid(id);
      if (record !== undefined && !record.erased && (await this.isComplete(record))) complete.push(id);
    }
    return complete.length === ids.length ? { complete } : { complete, error: firstError };
  }

  async #pullFrom(custodian: MemberId, lacks: readonly Lack[]): Promise<void> {
    const { link, headers, payloads } = this.#options;
    const wanted = lacks.map(({ record, header, payload }) => [
      header ? record.headerHash : null,
      payload ? record.cid : null,
    ]);
    const answer = await link.request(custodian, 'headers', 'copies', encodeCbor(wanted), PAYLOAD_TIMEOUT_MS);
    const given = decodeCopies(custodian, answer, lacks.length);
    const newHeaders: { hash: Uint8Array; bytes: Uint8Array }[] = [];
    const newPayloads: { cid: string; bytes: Uint8Array }[] = [];
    for (const [i, { record, header, payload }] of lacks.entries()) {
      const { header: headerBytes, payload: payloadBytes } = given[i];
      if (header && headerBytes !== null) {
        requireHeader(headerBytes, record, custodian);
        newHeaders.push({ hash: record.headerHash, bytes: headerBytes });
      }
      if (payload && payloadBytes !== null && record.cid !== null && payloadBytes.length === record.bytes)
        newPayloads.push({ cid: record.cid, bytes: payloadBytes });
    }
    // A payload under another CID than the wanted one is met as still lacking; nobody names it, so it is collected.
    if (newPayloads.length > 0) await payloads.putMany(newPayloads.map(({ bytes }) => bytes));
    if (newHeaders.length > 0) await headers.putMany(newHeaders);
  }

  async #lacks(ids: readonly RecordId[]): Promise<Lack[]> {
    const { ledger, headers } = this.#options;
    const lacks: Lack[] = [];
    for (const id of ids) {
      const record = ledger.state(STATE.record(id));
      if (record === undefined || record.erased) continue;
      const header = !headers.has(record.headerHash);
      const payload = record.cid !== null && !(await this.#holds(record.cid));
      if (header || payload) lacks.push({ id, record, header, payload });
    }
    return lacks;
  }

  async #answerCopies(wanted: readonly Wanted[]): Promise<Uint8Array> {
    const { headers, payloads } = this.#options;
    let room = PIECE_BYTES;
    const answers: (Uint8Array | null)[][] = [];
    for (const { hash, cid } of wanted) {
      const header = hash === null ? undefined : await headers.get(hash);
      let payload: Uint8Array | null = null;
      if (cid !== null && (await payloads.has(cid))) {
        const { size } = await payloads.stat(cid);
        // What finds no room is asked for again in pieces.
        if (size <= room) payload = await read(payloads, cid, 0, size);
        room -= payload?.length ?? 0;
      }
      answers.push([header ?? null, payload]);
    }
    return encodeCbor(answers);
  }

  #record(id: RecordId): RecordState {
    const record = this.#options.ledger.state(STATE.record(id));
    if (record === undefined) throw new CodedError('record.unknown', 'no record on the ledger has this id');
    if (record.erased) throw new CodedError('record.erased', 'the record was erased');
    return record;
  }

  /** The own header; a damaged one is removed, so that a good one can take its place. */
  async #ownHeader(hash: Uint8Array): Promise<Uint8Array | undefined> {
    const { headers } = this.#options;
    try {
      return await headers.get(hash);
    } catch (error) {
      if (!hasCode(error, 'storage.corrupt')) throw error;
      await headers.delete(hash);
      return undefined;
    }
  }

  async #first<T>(
    record: RecordState,
    avoid: ReadonlySet<MemberId>,
    ask: (from: MemberId) => Promise<T>,
  ): Promise<T> {
    const { ledger, copies, member } = this.#options;
    let firstError: unknown;
    for (const from of sourcesOf(record, ledger.members(), copies, member)) {
      if (avoid.has(from)) continue;
      try {
        return await ask(from);
      } catch (error) {
        if (isOwnFault(error)) throw error;
        firstError ??= error;
      }
    }
    throw (
      firstError ?? new CodedError('storage.not_found', 'no member that can be reached holds this record')
    );
  }

  /** An erasure or policy change that was applied while a header came has found nothing to delete. */
  async #dropVoid(id: RecordId): Promise<void> {
    const { ledger, headers } = this.#options;
    const record = ledger.state(STATE.record(id));
    if (record === undefined || (!record.erased && record.version === 0)) return;
    for (const hash of ledger.voidHeaders(id)) if (headers.has(hash)) await headers.delete(hash);
  }
}

/** The path of a request for one block: `/ipfs/<cid>?format=raw`. */
function blockPath(text: string): { path: string; query: URLSearchParams } {
  const cid = text.slice(0, -RAW_QUERY.length);
  if (text.length <= BLOCK_PATH_MAX && text.endsWith(RAW_QUERY))
    return { path: cid, query: new URLSearchParams(RAW_QUERY) };
  throw new CodedError('link.malformed', 'expected the path of one raw block');
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function isDamage(error: unknown): boolean {
  return hasCode(error, 'storage.corrupt') || hasCode(error, 'storage.not_found');
}

function isOwnFault(error: unknown): boolean {
  return OWN_FAULTS.some((code) => hasCode(error, code));
}

function requireHeader(bytes: Uint8Array, record: RecordState, from: MemberId): void {
  if (equalBytes(headerHash(bytes), record.headerHash)) return;
  throw new CodedError('storage.hash_mismatch', `${from} sent a header with another hash`);
}

async function read(payloads: PayloadStore, cid: string, start: number, end: number): Promise<Uint8Array> {
  const out = new Uint8Array(end - start);
  let offset = 0;
  for await (const chunk of payloads.get(cid, { start, end })) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
