/**
 * Private search: the query stays on the client. Field keys are opened like records, keywords are blinded, and pages come
 * from the own node's copy of each index, checked against the ledger before anything is believed.
 */
import type { KeyRing } from '../abe/index.ts';
import { equalBytes, fromBase64url, toBase64url, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { fieldRecordId } from '../ledger/entries/index.ts';
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
  openRistretto,
} from '../search/index.ts';
import type { Context } from './context.ts';
import { IndexCopies } from './index-copies.ts';
import type { Proven } from './proven.ts';
import type { Purpose, Records } from './records.ts';
import type { Committed, RecordInfo } from './types.ts';

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
  readonly #copies: IndexCopies;
  readonly #clientKey: Uint8Array;
  /** Proven VOPRF keys by custodian, field and epoch. */
  readonly #publicKeys = new Map<string, Uint8Array>();
  #fields: readonly FieldRow[] = [];
  #federated: FederatedSearch | undefined;
  #committed: Committed[] = [];
  #purpose: Purpose = 'research';

  constructor(context: Context, records: Records, proven: Proven) {
    this.#context = context;
    this.#records = records;
    this.#proven = proven;
    this.#copies = new IndexCopies(context, proven);
    this.#clientKey = context.random(32);
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
    const found = await this.#run({
      query,
      unit: options.unit ?? 'patient',
      custodians,
      top: options.limit ?? 100,
    });
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
    };
  }

  /** Once more with the fields of now, if the query met a field that was declared or changed meanwhile. */
  async #run(query: FederatedQuery): Promise<FederatedResult> {
    const [search] = await Promise.all([this.#session(), this.#copies.refresh(query.custodians)]);
    let failure: CodedError | undefined;
    const found = await search.query(query).catch((error: unknown) => {
      if (!(error instanceof CodedError)) throw error;
      failure = error;
      return undefined;
    });
    const codes = found === undefined ? [failure?.code] : found.missing.map(({ code }) => code);
    const mayBeOld = codes.some((code) => code !== undefined && OLD_FIELDS.has(code));
    const renewed = mayBeOld && (await this.#hasNewFields()) ? await this.#session() : undefined;
    if (renewed !== undefined) return renewed.query(query);
    if (found === undefined) throw failure;
    return found;
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
      const row = this.#fields.find(
        ({ custodian, field }) => custodian === name.custodian && field === name.field,
      );
      if (fact === null || row === undefined || !equalBytes(fact.spec, fromBase64url(row.spec))) return;
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
