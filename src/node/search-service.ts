/** Search at a gateway: evaluations behind committed Search entries, copies of indexes, and plain queries for custodial callers. */
import { encodeKeyRing } from '../abe/index.ts';
import type { CommittedEntry, Session } from '../api/ports.ts';
import type { MemberLink } from '../authority/link.ts';
import { FRESHNESS_MS, requireFresh } from '../client/freshness.ts';
import { concat, fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type EntryId, type MemberId, memberId, recordId } from '../codec/ids.ts';
import { fieldRecordId, type Purpose, STATE, type StateView } from '../ledger/index.ts';
import {
  type ByteRange,
  type CustodianIndex,
  decodeFieldSpec,
  decodeManifest,
  type Evaluation,
  type EvaluationRequest,
  FederatedSearch,
  type FederationPorts,
  type FieldRegistry,
  fieldRegistry,
  hashBlinded,
  type Outcome,
  openingOf,
  openMemo,
  openRistretto,
  type PatientMap,
  PatientNumbers,
  parseQuery,
  patientMap,
  planQuery,
  type SearchJournal,
  type SearchOpening,
  SegmentReader,
  type SegmentSource,
  sealMemo,
} from '../search/index.ts';
import type { Agent } from './agent.ts';
import type { Copies } from './copies.ts';
import { decodeEvaluation, encodeEvaluateRequest } from './index-messages.ts';
import type { IndexService } from './index-service.ts';
import type { NodeLedger } from './ledger.ts';
import type { Replicas } from './replicas.ts';
import { countOf, countsOnly, type Tellings, tellingOf, tellingsOf, whomToAsk } from './search-answers.ts';
import type { SegmentFolder } from './segment-files.ts';
import type { WorkPool } from './work/pool.ts';
import type { Parameters } from './work/tasks.ts';

const EVALUATE_TIMEOUT_MS = 10_000;
/** How long a reader waits for this node's copy of an index to reach the ledger. */
const MANIFEST_WAIT_MS = 5_000;
const RECEIPT_WAIT_MS = 1_000;

export interface SearchServiceOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly state: () => StateView;
  readonly link: MemberLink;
  readonly replicas: Replicas;
  readonly copies: Copies;
  readonly indexes: () => IndexService;
  readonly segments: (custodian: MemberId) => Promise<SegmentFolder>;
  readonly agent: Agent;
  readonly pool: WorkPool;
  readonly parameters: (shareEpoch?: number) => Parameters;
  readonly commit: (
    subject: Session['subject'],
    type: string,
    body: unknown,
  ) => Promise<readonly CommittedEntry[]>;
  readonly random: (length: number) => Uint8Array;
  readonly clock: () => number;
  /** What is kept to open the searches of custodial subjects for an auditor. */
  readonly journal: SearchJournal;
  /** 32 secret bytes of this gateway; each custodial subject's client key comes from them. */
  readonly clientSecret: Uint8Array;
  /** The signed bytes of the transaction whose list holds an entry. */
  readonly transactionOf: (id: EntryId) => Uint8Array | undefined;
}

interface SearchBody {
  readonly custodian: string;
}

/** An opening with what it takes to verify it offline. */
export interface OpenedEntry extends SearchOpening {
  readonly receipt: Uint8Array;
  readonly tx: Uint8Array;
}

export class SearchService {
  readonly #options: SearchServiceOptions;

  readonly #patientNumbers = new PatientNumbers();
  readonly #patients = new Map<MemberId, PatientMap>();

  constructor(options: SearchServiceOptions) {
    this.#options = options;
  }

  /** Has every granted Search of `entries` evaluated by its custodian. */
  evaluate(
    entries: readonly CommittedEntry[],
    blinded: readonly (readonly Uint8Array[])[],
  ): Promise<readonly (Evaluation | { code: string })[]> {
    if (entries.length !== blinded.length) {
      throw new CodedError(
        'search.blinded_mismatch',
        `expected blinded elements for ${entries.length} searches`,
      );
    }
    return Promise.all(
      entries.map(async (entry, i) => {
        if (entry.result.granted !== true) return { code: `search.${String(entry.result.reason)}` };
        try {
          return await this.#ask(
            memberId((entry.body as unknown as SearchBody).custodian),
            entry,
            blinded[i],
          );
        } catch (error) {
          return { code: error instanceof CodedError ? error.code : 'link.fault' };
        }
      }),
    );
  }

  /** A custodian's manifest, as the ledger names it when this node's copy gets there in time. */
  async manifest(custodian: MemberId): Promise<Uint8Array> {
    await this.#options.replicas.current(custodian, MANIFEST_WAIT_MS);
    return this.#options.replicas.manifestBytes(custodian);
  }

  /** A segment file of any custodian that this node holds: whole, or the ranges one after the other. */
  async segment(name: string, ranges?: readonly ByteRange[]): Promise<Uint8Array> {
    const { ledger, segments } = this.#options;
    for (const custodian of ledger.members()) {
      try {
        const files = await segments(custodian);
        return ranges === undefined
          ? await files.getSegment(name)
          : concat(...(await files.getRanges(name, ranges)));
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'index.unknown') throw error;
      }
    }
    throw new CodedError('index.unknown', 'this node holds no segment of that name');
  }

  /** Numbers [from, from + count) of a custodian: record, patient, dead. */
  numbers(
    custodian: MemberId,
    from: number,
    count: number,
  ): readonly { record: string; patient: string | null; dead: boolean }[] {
    return this.#options.ledger.book
      .rows(custodian)
      .slice(from, from + count)
      .flatMap((row) =>
        row === undefined ? [] : [{ record: row.record, patient: row.patient, dead: row.dead }],
      );
  }

  /** Dead numbers of a custodian in the order of death, from the `from`th on. */
  deaths(custodian: MemberId, from: number, count: number): readonly number[] {
    return this.#options.ledger.book.deaths(custodian).slice(from, from + count);
  }

  /** A custodial subject's query: this gateway does the client's steps and sees the query. */
  async query(
    by: Session,
    query: string,
    options: {
      unit: 'patient' | 'record';
      purpose: string;
      custodians?: readonly MemberId[];
      limit: number;
      answer?: 'hits' | 'count';
      maxAgeMs?: number;
    },
  ): Promise<Record<string, unknown>> {
    const { ledger, random, clock } = this.#options;
    // What the indexes are read from is at least as new.
    const asOf = { height: ledger.tip().height, time: ledger.tipTimeMs() };
    requireFresh(asOf, clock(), options.maxAgeMs ?? FRESHNESS_MS);
    const registry = await this.#fieldRegistry();
    const fields = [...new Set(planQuery(parseQuery(query), registry).keywords.map(({ field }) => field))];
    const tellings = (custodians: readonly MemberId[]): Tellings => this.#tellings(by, custodians, fields);
    const { unit, answer = 'hits', limit } = options;
    const to = whomToAsk(tellings(options.custodians ?? ledger.members()), answer);
    const committed: { entryId: EntryId }[] = [];
    const search = new FederatedSearch(
      this.#ports(by, options.purpose as Purpose, committed),
      registry,
      this.#clientKey(by),
      random,
      await openRistretto(),
    );
    const top = answer === 'hits' ? { top: limit } : {};
    const found = await search.query({ query, unit, custodians: to.asked, ...top });
    // Asked again: what was granted when the query began may have ended meanwhile.
    const isCounted = tellings(to.asked).count.length > 0;
    const rowOf = (custodian: string, indexNo: number) => ledger.book.rows(memberId(custodian))[indexNo];
    const { lag, evaluated } = found;
    const missing = [...to.missing, ...found.missing];
    if (answer === 'count') {
      const count = countOf(found, !isCounted, (custodian, indexNo) => rowOf(custodian, indexNo)?.patient);
      return { unit, custody: 'gateway', ...count, lag, missing, evaluated, committed, asOf };
    }
    if (isCounted) throw countsOnly();
    const named = (custodian: string, indexNo: number): string | undefined =>
      rowOf(custodian, indexNo)?.record;
    return {
      unit,
      custody: 'gateway',
      patients: found.patients,
      records: found.records.flatMap(({ custodian, numbers }) =>
        Array.from(numbers, (indexNo) => ({ custodian, indexNo, record: named(custodian, indexNo) })),
      ),
      ranked: found.ranked.map((hit) => ({ ...hit, record: named(hit.custodian, hit.indexNo) })),
      lag,
      missing,
      evaluated,
      committed,
      asOf,
    };
  }

  /** Which custodians let the session's subject be told what of a search over `fields`, by the state of now. */
  #tellings(by: Session, custodians: readonly MemberId[], fields: readonly string[]): Tellings {
    const { ledger, state } = this.#options;
    const [view, time] = [state(), ledger.tipTimeMs()];
    return tellingsOf(custodians, (custodian) => tellingOf(view, by.subject, custodian, fields, time));
  }

  /** The opening of a Search entry that this gateway wrote for the session's subject. Throws `search.opening_unknown`. */
  async opening(by: Session, id: EntryId): Promise<OpenedEntry> {
    const { journal, ledger, transactionOf } = this.#options;
    const entry = ledger.entry(id);
    const tx = transactionOf(id);
    const hash = (entry?.body as Partial<{ blindedHash: Uint8Array }> | undefined)?.blindedHash;
    const sealed =
      entry?.type === 'Search' && entry.subject === by.subject && hash !== undefined
        ? await journal.get(hash)
        : undefined;
    if (sealed === undefined || hash === undefined || tx === undefined)
      throw new CodedError('search.opening_unknown', 'this gateway made no such search for you');
    const key = this.#clientKey(by);
    const receipt = await ledger.receipt(id, RECEIPT_WAIT_MS);
    if (receipt === null)
      throw new CodedError('ledger.behind', 'no quorum has cosigned the entry yet: try again shortly');
    return { receipt, tx, ...openingOf(key, hash, openMemo(key, hash, sealed)) };
  }

  #clientKey({ subject }: Session): Uint8Array {
    return hkdfSha256(this.#options.clientSecret, fromHex(subject), 'hippocrypt/gateway-search/1', 32);
  }

  /** Kept before it is asked: whatever the ledger holds can be opened. */
  async #note(by: Session, { elements, salt, keywords }: EvaluationRequest): Promise<void> {
    const { journal, random } = this.#options;
    const hash = hashBlinded(elements);
    const memo = { salt, keywords, tx: new Uint8Array() };
    await journal.put(hash, sealMemo(this.#clientKey(by), hash, memo, random));
  }

  async #fieldRegistry(): Promise<FieldRegistry> {
    const rows = await this.#options.ledger.list('field/', { limit: 10_000 });
    const specs = new Map(
      rows.map(([, value]) => {
        const spec = decodeFieldSpec((value as { spec: Uint8Array }).spec);
        return [spec.name, spec];
      }),
    );
    return fieldRegistry([...specs.values()]);
  }

  #ports(by: Session, purpose: Purpose, committed: { entryId: EntryId }[]): FederationPorts {
    const { ledger, commit } = this.#options;
    return {
      index: (custodian) => this.#index(memberId(custodian)),
      publicKey: ({ custodian, field, epoch }) => {
        const state = ledger.state(STATE.field(custodian, field));
        return [state, state?.before].find((one) => one?.epoch === epoch)?.publicKey;
      },
      fieldKeys: (names) => this.#fieldKeys(by, names, purpose),
      evaluate: async (requests) => {
        const outcomes: Outcome<Evaluation>[] = [];
        // One signed list holds 64 entries.
        for (let i = 0; i < requests.length; i += 64) {
          const batch = requests.slice(i, i + 64);
          await Promise.all(batch.map((request) => this.#note(by, request)));
          const entries = await commit(by.subject, 'Search', searchBodies(batch, purpose));
          committed.push(...entries.map(({ entryId }) => ({ entryId })));
          const answers = await this.evaluate(
            entries,
            batch.map((request) => request.elements),
          );
          outcomes.push(...answers.map(outcomeOf));
        }
        return outcomes;
      },
    };
  }

  /** Kept, and taken on when there are more rows: a number never changes its patient. */
  #patientsOf(custodian: MemberId, rows: ReturnType<NodeLedger['book']['rows']>): PatientMap {
    const held = this.#patients.get(custodian);
    if (held?.of.length === rows.length) return held;
    const more = rows.slice(held?.of.length);
    const map = patientMap(
      this.#patientNumbers,
      more.map((row) => row?.patient),
      held,
    );
    // A hole is a block that is being taken in.
    if (!more.includes(undefined)) this.#patients.set(custodian, map);
    return map;
  }

  async #index(custodian: MemberId): Promise<Omit<CustodianIndex, 'secretOf'>> {
    const { ledger, replicas, segments } = this.#options;
    await replicas.current(custodian, MANIFEST_WAIT_MS);
    const records = ledger.state(STATE.counter(custodian)) ?? 0;
    const manifest =
      ledger.state(STATE.index(custodian)) === undefined
        ? { custodian, seq: 0, segments: [] }
        : decodeManifest(replicas.manifestBytes(custodian));
    const files = await segments(custodian);
    const source: SegmentSource = {
      fetchWhole: (name) => files.getSegment(name),
      fetchRanges: (name, ranges) => files.getRanges(name, ranges),
    };
    const rows = ledger.book.rows(custodian);
    return {
      manifest,
      records,
      dead: ledger.deadNumbers(custodian),
      readerOf: (meta) => new SegmentReader(meta, [source], 'whole'),
      patients: this.#patientsOf(custodian, rows),
    };
  }

  async #fieldKeys(
    by: Session,
    names: readonly { custodian: string; field: string; epoch: number }[],
    purpose: Purpose,
  ): Promise<readonly Outcome<Uint8Array>[]> {
    const { agent, copies, ledger, parameters, pool } = this.#options;
    const records = names.map(({ custodian, field, epoch }) => {
      const id = fieldRecordId(custodian, field, epoch);
      return { id: recordId(toHex(id)), state: ledger.state(STATE.record(toHex(id))) };
    });
    try {
      const granted = await agent.access(
        by.subject,
        records.map(({ id, state }) => ({ id, version: state?.version ?? 0 })),
        purpose,
      );
      const ring = encodeKeyRing(granted.ring);
      return await Promise.all(
        records.map(async ({ id, state }): Promise<Outcome<Uint8Array>> => {
          if (state === undefined) return { error: new CodedError('field.unknown', 'no such search field') };
          const header = await copies.header(id);
          const expected = {
            recordId: fromHex(id),
            version: state.version,
            policyBytes: state.policy,
            gate: state.gate,
          };
          const item = { ring, header, expected, payload: null, commitment: null };
          return {
            value: (await pool.run({ task: 'open', parameters: parameters(granted.ring.shareEpoch), item }))
              .dataKey,
          };
        }),
      );
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return names.map(() => ({ error }));
    }
  }

  async #ask(
    custodian: MemberId,
    entry: CommittedEntry,
    blinded: readonly Uint8Array[],
  ): Promise<Evaluation> {
    const { indexes, link, member } = this.#options;
    if (custodian === member) return indexes().evaluate(entry.entryId, blinded);
    const request = encodeEvaluateRequest(entry.entryId, blinded);
    return decodeEvaluation(await link.request(custodian, 'oprf', 'evaluate', request, EVALUATE_TIMEOUT_MS));
  }
}

/** Bodies of the Search entries that stand before `requests`. */
export function searchBodies(requests: readonly EvaluationRequest[], purpose: Purpose): readonly unknown[] {
  return requests.map(({ custodian, field, epoch, elements }) => ({
    custodian,
    field,
    epoch,
    count: elements.length,
    blindedHash: hashBlinded(elements),
    purpose,
  }));
}

function outcomeOf(answer: Evaluation | { code: string }): Outcome<Evaluation> {
  if ('code' in answer)
    return { error: new CodedError(answer.code, 'the custodian did not evaluate the keywords') };
  return { value: answer };
}
