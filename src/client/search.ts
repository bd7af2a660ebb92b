/**
 * Private search: the query stays on the client. Field keys are opened like records, keywords are blinded, and pages come
 * from the own node's copy of each index, checked against the ledger before anything is believed.
 */
import type { KeyRing } from '../abe/index.ts';
import { equalBytes, fromBase64url, fromHex, toBase64url, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { fieldRecordId } from '../ledger/entries/index.ts';
import type { Checkpoint } from '../ledger/verify/index.ts';
import {
  decodeFieldSpec,
  type Evaluation,
  type EvaluationRequest,
  type FederatedQuery,
  type FederatedResult,
  FederatedSearch,
  type FederationPorts,
  type FieldEpochName,
  type FieldRegistry,
  fieldRegistry,
  hashBlinded,
  type Outcome,
  openingOf,
  openMemo,
  openRistretto,
  type SearchJournal,
  sealMemo,
} from '../search/index.ts';
import type { Anchors } from './anchors.ts';
import type { Context } from './context.ts';
import { IndexCopies } from './index-copies.ts';
import { type OpenedSearch, type OpeningFile, openedSearch, openingToFile } from './openings.ts';
import type { Proven } from './proven.ts';
import type { Purpose, Records } from './records.ts';
import type { IndexFetch } from './segment-source.ts';
import type { Committed, RecordInfo } from './types.ts';

/** What a query meets when the index moved on under it: another epoch, or segments that were replaced. */
const OLD_INDEX: ReadonlySet<string> = new Set([
  'search.epoch_over',
  'search.epoch_stale',
  'search.segment_unavailable',
]);

/** What a query meets when the held list of fields is older than the ledger. */
const OLD_FIELDS: ReadonlySet<string> = new Set([
  'search.field_unknown',
  'search.field_unproven',
  'search.unsupported',
]);

/** Entries of one signed list. */
const SEARCHES_MAX = 64;

export interface SearchOptions {
  readonly unit?: 'patient' | 'record';
  readonly purpose?: Purpose;
  readonly custodians?: readonly string[];
  readonly limit?: number;
  /** How old the state of the indexes may be, instead of the client's `freshnessMs`; older is refused as `checkpoint.stale`. */
  readonly maxAgeMs?: number;
}

export interface SearchHit {
  readonly custodian: string;
  readonly indexNo: number;
  readonly record: string;
  readonly patient: string | null;
}

export interface SearchReport {
  readonly unit: 'patient' | 'record';
  /** Pseudonyms of the matching patients, sorted; empty in unit record. */
  readonly patients: readonly string[];
  /** Matching records; in unit patient those that support the match. */
  readonly records: readonly SearchHit[];
  readonly ranked: readonly (SearchHit & { readonly score: number })[];
  /** Custodians without an answer, and how far behind the others are. */
  readonly missing: FederatedResult['missing'];
  readonly lag: FederatedResult['lag'];
  readonly evaluated: number;
  readonly cost: FederatedResult['cost'];
  /** The Search entries that stand on the ledger for this query. */
  readonly committed: readonly Committed[];
  /** The state that the indexes were proven under: height and block time in milliseconds. */
  readonly asOf: { readonly height: number; readonly time: number };
}

interface FieldRow {
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
  readonly publicKey: string;
  readonly headerHash: string;
  readonly spec: string;
}

/** What this client reads of a field's state; docs/entries.md has the whole. */
interface FieldFacts {
  readonly epoch: number;
  readonly publicKey: Uint8Array;
  readonly spec: Uint8Array;
  /** The key of the epoch before. */
  readonly before: { readonly epoch: number; readonly publicKey: Uint8Array } | null;
}

export class Search {
  readonly #context: Context;
  readonly #records: Records;
  readonly #proven: Proven;
  readonly #anchors: Anchors;
  readonly #copies: IndexCopies;
  readonly #journal: SearchJournal;
  readonly #clientKey: Uint8Array;
  /** Proven VOPRF keys by custodian, field and epoch. */
  readonly #publicKeys = new Map<string, Uint8Array>();
  #fields: readonly FieldRow[] = [];
  #federated: FederatedSearch | undefined;
  #committed: Committed[] = [];
  #purpose: Purpose = 'research';

  constructor(
    context: Context,
    records: Records,
    proven: Proven,
    anchors: Anchors,
    journal: SearchJournal,
    policy: IndexFetch,
  ) {
    this.#context = context;
    this.#anchors = anchors;
    this.#records = records;
    this.#proven = proven;
    this.#journal = journal;
    this.#copies = new IndexCopies(context, proven, policy);
    this.#clientKey = context.hasDevice ? context.device.searchKey() : context.random(32);
  }

  /** Searchable fields of each custodian. */
  async fields(): Promise<readonly FieldRow[]> {
    const { fields } = await this.#context.gateway.json<{ fields: FieldRow[] }>('GET', '/v1/search/fields');
    return fields;
  }

  /** Forgets cached keyword secrets and field keys. */
  clear(): void {
    this.#federated?.clear();
    this.#federated = undefined;
    this.#fields = [];
  }

  /** Runs a query over the custodians (default: all members). Throws `search.*` codes. */
  async query(query: string, options: SearchOptions = {}): Promise<SearchReport> {
    this.#committed = [];
    this.#purpose = options.purpose ?? 'research';
    const { members } = await this.#context.members();
    const custodians = options.custodians ?? members.map((member) => member.id);
    const wanted = { query, unit: options.unit ?? 'patient', custodians, top: options.limit ?? 100 };
    const { found, checkpoint } = await this.#run(wanted, options.maxAgeMs);
    const asOf = { height: checkpoint.height, time: checkpoint.time };
    const hit = (custodian: string, indexNo: number): SearchHit => {
      const row = this.#copies.row(custodian, indexNo);
      if (row === undefined)
        throw new CodedError('search.unverified', 'the gateway named no record for a hit');
      return { custodian, indexNo, record: row.record, patient: row.patient };
    };
    return {
      unit: found.unit,
      patients: found.patients,
      records: found.records.flatMap(({ custodian, numbers }) =>
        Array.from(numbers, (n) => hit(custodian, n)),
      ),
      ranked: found.ranked.map((one) => ({ ...hit(one.custodian, one.indexNo), score: one.score })),
      missing: found.missing,
      lag: found.lag,
      evaluated: found.evaluated,
      cost: found.cost,
      committed: this.#committed,
      asOf,
    };
  }

  /**
   * The opening of a Search entry that this device made, for an auditor; with `only`, of these elements alone. Throws
   * `search.opening_unknown` for any other entry.
   */
  async opening(entryId: string, only?: readonly number[]): Promise<OpeningFile> {
    const { entry, receipt } = await this.#context.gateway.json<{
      entry: { type: string; body: { blindedHash?: string } };
      receipt: string | null;
    }>('GET', `/v1/ledger/entries/${entryId}`);
    if (receipt === null)
      throw new CodedError('ledger.behind', 'the entry has no receipt yet: try again shortly');
    const { blindedHash } = entry.body;
    if (entry.type !== 'Search' || blindedHash === undefined)
      throw new CodedError('search.opening_unknown', 'that entry is no search');
    const hash = fromHex(blindedHash, 32);
    const sealed = await this.#journal.get(hash);
    if (sealed === undefined)
      throw new CodedError('search.opening_unknown', 'nothing was kept of this search on this device');
    const memo = openMemo(this.#clientKey, hash, sealed);
    return openingToFile(receipt, memo.tx, openingOf(this.#clientKey, hash, memo, only));
  }

  /** What an opening proves, its receipt verified under the anchor. Throws `search.opening_wrong` and the receipt's codes. */
  async verifyOpening(file: OpeningFile): Promise<OpenedSearch> {
    if (typeof file?.receipt !== 'string' || typeof file.tx !== 'string')
      throw new CodedError('search.opening_wrong', 'expected an opening with receipt and transaction');
    const verdict = await this.#anchors.receipt(file.receipt);
    if (!verdict.ok) throw new CodedError(verdict.code, verdict.message);
    return openedSearch(verdict.entryId, verdict.leaf, file);
  }

  /**
   * Once more, and whole, if the query met an index that moved on meanwhile, or a field that was declared or changed. Never
   * a part of a query: that would tell its terms apart. The checkpoint is the one that the indexes were proven under, not
   * whatever was seen last: a gateway could show old indexes and new keys.
   */
  async #run(
    query: FederatedQuery,
    maxAgeMs: number | undefined,
  ): Promise<{ readonly found: FederatedResult; readonly checkpoint: Checkpoint }> {
    const refresh = (): Promise<Checkpoint> => this.#copies.refresh(query.custodians, maxAgeMs);
    const [search, checkpoint] = await Promise.all([this.#session(), refresh()]);
    const first = await attempt(() => search.query(query));
    if (!first.codes.some((code) => OLD_FIELDS.has(code) || OLD_INDEX.has(code)))
      return { found: first.result(), checkpoint };
    const later = await refresh();
    if (first.codes.some((code) => OLD_FIELDS.has(code))) {
      if (!(await this.#hasNewFields())) return { found: first.result(), checkpoint };
      return { found: await (await this.#session()).query(query), checkpoint: later };
    }
    return { found: await search.query(query), checkpoint: later };
  }

  /** Field keys and keyword secrets are held as long as the declared fields stay what they are. */
  async #session(): Promise<FederatedSearch> {
    const ristretto = openRistretto();
    if (this.#fields.length === 0) await this.#hasNewFields();
    const group = await ristretto;
    this.#federated ??= new FederatedSearch(
      this.#ports(),
      registryOf(this.#fields),
      this.#clientKey,
      this.#context.random,
      group,
    );
    return this.#federated;
  }

  async #hasNewFields(): Promise<boolean> {
    const fields = await this.fields();
    if (JSON.stringify(fields) === JSON.stringify(this.#fields)) return false;
    this.#fields = fields;
    this.#federated = undefined;
    this.#publicKeys.clear();
    return true;
  }

  #ports(): FederationPorts {
    return {
      index: (custodian) => this.#copies.index(custodian),
      publicKey: (name) => this.#publicKeys.get(nameOf(name)),
      fieldKeys: (names) => this.#fieldKeys(names),
      evaluate: (requests) => this.#evaluate(requests),
    };
  }

  /**
   * Has the ledger's key of each field proven, and that the keywords were made by the declaration that the ledger has:
   * the gateway's list only says what fields there are. The rest is refused as `search.field_unproven`.
   */
  async #provePublicKeys(names: readonly FieldEpochName[]): Promise<void> {
    const wanted = names.filter((name) => !this.#publicKeys.has(nameOf(name)));
    if (wanted.length === 0) return;
    const keys = wanted.map(({ custodian, field }) => `field/${custodian}/${field}`);
    const facts = (await this.#proven.states(keys)) as (FieldFacts | null)[];
    wanted.forEach((name, i) => {
      const fact = facts[i];
      // The declaration that the query was planned by, whoever it was told of.
      const planned = this.#fields.findLast(({ field }) => field === name.field);
      if (fact === null || planned === undefined || !equalBytes(fact.spec, fromBase64url(planned.spec)))
        return;
      // Until the segments of a new epoch are there, the manifest names the one before.
      const key = [fact, fact.before].find((one) => one?.epoch === name.epoch)?.publicKey;
      if (key !== undefined) this.#publicKeys.set(nameOf(name), key);
    });
  }

  async #fieldKeys(names: readonly FieldEpochName[]): Promise<readonly Outcome<Uint8Array>[]> {
    const infos = await Promise.all(
      names.map(({ custodian, field, epoch }) =>
        this.#records.get(toHex(fieldRecordId(custodian, field, epoch))),
      ),
    );
    const { verdicts, ring } = await this.#records.access(infos, this.#purpose);
    return Promise.all(infos.map((info, i) => this.#fieldKey(info, verdicts[i], ring)));
  }

  async #fieldKey(
    info: RecordInfo,
    verdict: { granted: boolean; reason: string },
    ring: KeyRing,
  ): Promise<Outcome<Uint8Array>> {
    if (!verdict.granted) {
      return { error: new CodedError('access.denied', `the ledger denied the field: ${verdict.reason}`) };
    }
    try {
      return { value: await this.#records.dataKey(info, ring, await this.#records.header(info)) };
    } catch (error) {
      if (error instanceof CodedError) return { error };
      throw error;
    }
  }

  async #evaluate(requests: readonly EvaluationRequest[]): Promise<readonly Outcome<Evaluation>[]> {
    const outcomes: Outcome<Evaluation>[] = [];
    for (let i = 0; i < requests.length; i += SEARCHES_MAX) {
      outcomes.push(...(await this.#evaluateList(requests.slice(i, i + SEARCHES_MAX))));
    }
    return outcomes;
  }

  /** Kept before it is asked: whatever the ledger holds can be opened. */
  async #note({ elements, salt, keywords }: EvaluationRequest, tx: Uint8Array): Promise<void> {
    const hash = hashBlinded(elements);
    const sealed = sealMemo(this.#clientKey, hash, { salt, keywords, tx }, this.#context.random);
    await this.#journal.put(hash, sealed);
  }

  async #evaluateList(requests: readonly EvaluationRequest[]): Promise<readonly Outcome<Evaluation>[]> {
    const { gateway } = this.#context;
    const isProven = this.#provePublicKeys(requests);
    isProven.catch(() => undefined);
    const signed = await this.#context.sign(
      'Search',
      requests.map(({ custodian, field, epoch, elements }) => ({
        custodian,
        field,
        epoch,
        count: elements.length,
        blindedHash: hashBlinded(elements),
        purpose: this.#purpose,
      })),
    );
    await Promise.all(requests.map((request) => this.#note(request, fromBase64url(signed.tx))));
    const { answers } = await gateway.json<{
      answers: {
        committed: Committed;
        evaluated: string[] | null;
        proof: string | null;
        code: string | null;
      }[];
    }>('POST', '/v1/search/tokens', {
      body: { ...signed, items: requests.map(({ elements }) => elements.map(toBase64url)) },
    });
    this.#committed.push(...answers.map((answer) => answer.committed));
    await isProven;
    return answers.map(({ evaluated, proof, code }, i): Outcome<Evaluation> => {
      if (!this.#publicKeys.has(nameOf(requests[i]))) {
        const { custodian, field } = requests[i];
        const message = `the ledger does not show the field "${field}" of ${custodian} as the gateway does`;
        return { error: new CodedError('search.field_unproven', message) };
      }
      if (evaluated === null || proof === null) {
        return {
          error: new CodedError(code ?? 'search.unverified', 'the custodian did not evaluate the keywords'),
        };
      }
      return { value: { elements: evaluated.map(fromBase64url), proof: fromBase64url(proof) } };
    });
  }
}

/** What came of a query: the codes of who is missing or of its failure, and the result or the failure itself. */
async function attempt(
  run: () => Promise<FederatedResult>,
): Promise<{ readonly codes: readonly string[]; result(): FederatedResult }> {
  try {
    const found = await run();
    return { codes: found.missing.map(({ code }) => code), result: () => found };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return {
      codes: [error.code],
      result: () => {
        throw error;
      },
    };
  }
}

const nameOf = ({ custodian, field, epoch }: FieldEpochName): string => `${custodian}/${field}/${epoch}`;

function registryOf(fields: readonly FieldRow[]): FieldRegistry {
  const specs = new Map(
    fields.map((row) => {
      const spec = decodeFieldSpec(fromBase64url(row.spec));
      return [spec.name, spec];
    }),
  );
  return fieldRegistry([...specs.values()]);
}
