/**
 * Private search: the query stays on the client. Field keys are opened like records, keywords are blinded, and pages come
 * from the own node's copy of each index, checked against the ledger before anything is believed.
 */
import type { KeyRing } from '../abe/index.ts';
import { fromBase64url, toBase64url, toHex } from '../codec/bytes.ts';
import { decodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { fieldRecordId } from '../ledger/entries/index.ts';
import { decodeStateProof, verifyStateProof } from '../ledger/verify/index.ts';
import {
  type CustodianIndex,
  decodeFieldSpec,
  decodeManifest,
  type Evaluation,
  type EvaluationRequest,
  type FederatedResult,
  FederatedSearch,
  type FederationPorts,
  type FieldEpochName,
  type FieldRegistry,
  fieldRegistry,
  hashBlinded,
  type Manifest,
  type Outcome,
  SegmentReader,
  type SegmentSource,
} from '../search/index.ts';
import type { Anchors } from './anchors.ts';
import type { Context } from './context.ts';
import type { Purpose, Records } from './records.ts';
import type { Committed, RecordInfo } from './types.ts';

/** Entries of one signed list. */
const SEARCHES_MAX = 64;
const NUMBERS_PAGE = 1024;

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

interface NumberRow {
  readonly record: string;
  readonly patient: string | null;
  readonly dead: boolean;
}

interface HeldIndex {
  readonly manifest: Manifest;
  readonly readers: Map<string, SegmentReader>;
}

export class Search {
  readonly #context: Context;
  readonly #records: Records;
  readonly #anchors: Anchors;
  readonly #clientKey: Uint8Array;
  readonly #indexes = new Map<string, HeldIndex>();
  readonly #numbers = new Map<string, { readonly dead: string; readonly rows: readonly NumberRow[] }>();
  #fields: readonly FieldRow[] = [];
  #federated: FederatedSearch | undefined;
  #committed: Committed[] = [];
  #purpose: Purpose = 'research';

  constructor(context: Context, records: Records, anchors: Anchors) {
    this.#context = context;
    this.#records = records;
    this.#anchors = anchors;
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
  }

  /** Runs a query over the custodians (default: all members). Throws `search.*` codes. */
  async query(query: string, options: SearchOptions = {}): Promise<SearchReport> {
    this.#committed = [];
    this.#purpose = options.purpose ?? 'research';
    const search = await this.#session();
    const { members } = await this.#context.members();
    const custodians = options.custodians ?? members.map((member) => member.id);
    const found = await search.query({
      query,
      unit: options.unit ?? 'patient',
      custodians,
      top: options.limit ?? 100,
    });
    const hit = (custodian: string, indexNo: number): SearchHit => {
      const row = this.#numbers.get(custodian)?.rows[indexNo];
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

  async #session(): Promise<FederatedSearch> {
    const fields = await this.fields();
    const isSame = JSON.stringify(fields) === JSON.stringify(this.#fields);
    if (this.#federated !== undefined && isSame) return this.#federated;
    this.#fields = fields;
    this.#federated = new FederatedSearch(
      this.#ports(),
      registryOf(fields),
      this.#clientKey,
      this.#context.random,
    );
    return this.#federated;
  }

  #ports(): FederationPorts {
    return {
      index: (custodian) => this.#index(custodian),
      publicKey: ({ custodian, field, epoch }) => {
        const row = this.#fieldRow({ custodian, field, epoch });
        return row === undefined ? undefined : fromBase64url(row.publicKey);
      },
      fieldKeys: (names) => this.#fieldKeys(names),
      evaluate: (requests) => this.#evaluate(requests),
    };
  }

  #fieldRow({ custodian, field, epoch }: FieldEpochName): FieldRow | undefined {
    return this.#fields.find(
      (row) => row.custodian === custodian && row.field === field && row.epoch === epoch,
    );
  }

  /** The custodian's index: its manifest's hash is taken from the state under a quorum's checkpoint, with proof. */
  async #index(custodian: string): Promise<Omit<CustodianIndex, 'secretOf'>> {
    const { gateway } = this.#context;
    const [index, counter, dead] = (await Promise.all(
      ['index', 'counter', 'dead'].map((name) => this.#proven(`${name}/${custodian}`)),
    )) as [{ manifestHash: Uint8Array } | null, number | null, { digest: Uint8Array } | null];
    const records = counter ?? 0;
    const [manifest, rows] = await Promise.all([
      this.#manifest(custodian, index, records),
      this.#numberRows(custodian, records, dead === null ? '' : toHex(dead.digest)),
    ]);
    const held = this.#indexes.get(custodian);
    const readers = held?.manifest.seq === manifest.seq ? held.readers : new Map<string, SegmentReader>();
    this.#indexes.set(custodian, { manifest, readers });
    const source: SegmentSource = {
      fetchWhole: (name) => gateway.bytes('GET', `/v1/search/segments/${name}`),
      fetchRanges: (name, ranges) =>
        Promise.all(
          ranges.map(({ offset, length }) =>
            gateway.bytes('GET', `/v1/search/segments/${name}`, {
              headers: { range: `bytes=${offset}-${offset + length - 1}` },
            }),
          ),
        ),
    };
    return {
      manifest,
      records,
      dead: Uint32Array.from(rows.flatMap((row, number) => (row.dead ? [number] : []))),
      readerOf: (meta) => {
        const name = toHex(meta.id);
        const reader = readers.get(name) ?? new SegmentReader(meta, [source], 'pages');
        readers.set(name, reader);
        return reader;
      },
      patientOf: (indexNo) => rows[indexNo]?.patient ?? undefined,
    };
  }

  /** The manifest that the ledger names; an empty one where the ledger proves that there is none yet. */
  async #manifest(
    custodian: string,
    index: { readonly manifestHash: Uint8Array } | null,
    records: number,
  ): Promise<Manifest> {
    if (index === null) return { custodian, seq: 0, segments: [] };
    const path = `/v1/search/manifests/${custodian}`;
    const { manifest } = await this.#context.gateway.json<{ manifest: string }>('GET', path);
    return decodeManifest(fromBase64url(manifest), { hash: index.manifestHash, records });
  }

  /**
   * Numbers of a custodian. A number never changes its record, only whether that is dead: while the ledger's digest
   * of the dead stays, only new numbers are asked for.
   */
  async #numberRows(custodian: string, records: number, dead: string): Promise<readonly NumberRow[]> {
    const held = this.#numbers.get(custodian);
    const rows = held?.dead === dead ? [...held.rows] : [];
    while (rows.length < records) {
      const path = `/v1/search/numbers/${custodian}?from=${rows.length}&count=${NUMBERS_PAGE}`;
      const { numbers } = await this.#context.gateway.json<{ numbers: NumberRow[] }>('GET', path);
      if (numbers.length === 0) break;
      rows.push(...numbers);
    }
    this.#numbers.set(custodian, { dead, rows });
    return rows;
  }

  /** A state value that a quorum vouches for; throws `search.unverified` when its proof fails. */
  async #proven(key: string): Promise<unknown> {
    const floor = this.#anchors.newest;
    const answer = await this.#context.gateway.json<{
      value: string | null;
      proof: string;
      checkpoint: string;
    }>('GET', `/v1/ledger/state/${key}`);
    const checkpoint = await this.#anchors.checkpoint(answer.checkpoint, floor);
    const value = answer.value === null ? undefined : fromBase64url(answer.value);
    const proof = decodeStateProof(fromBase64url(answer.proof));
    if (!verifyStateProof(checkpoint.stateRoot, new TextEncoder().encode(key), value, proof)) {
      throw new CodedError(
        'search.unverified',
        `the gateway's proof of "${key.split('/')[0]}" does not verify`,
      );
    }
    return value === undefined ? null : decodeCbor(value);
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
    return answers.map(({ evaluated, proof, code }): Outcome<Evaluation> => {
      if (evaluated === null || proof === null) {
        return {
          error: new CodedError(code ?? 'search.unverified', 'the custodian did not evaluate the keywords'),
        };
      }
      return { value: { elements: evaluated.map(fromBase64url), proof: fromBase64url(proof) } };
    });
  }
}

function registryOf(fields: readonly FieldRow[]): FieldRegistry {
  const specs = new Map(
    fields.map((row) => {
      const spec = decodeFieldSpec(fromBase64url(row.spec));
      return [spec.name, spec];
    }),
  );
  return fieldRegistry([...specs.values()]);
}
