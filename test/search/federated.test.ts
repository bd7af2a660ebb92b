/** One query over several custodians through the VOPRF, with custodians that fail or lie. */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import {
  auditOpening,
  type Evaluation,
  type EvaluationRequest,
  encodeKeyword,
  FederatedSearch,
  type FederationPorts,
  type FieldEpochName,
  hashBlinded,
  type Outcome,
  suppressedCount,
  verifyAuditOpening,
} from '../../src/search/index.ts';
import {
  CLIENT_KEY,
  Custodian,
  FIELDS,
  fieldKeys,
  REGISTRY,
  rejectionCode,
  seededRandom,
} from './support.ts';

const KINDS = FIELDS.filter(({ name }) => name === 'kind' || name === 'author');

async function custodian(name: string, authors: readonly string[]): Promise<Custodian> {
  const one = new Custodian(name, KINDS);
  authors.forEach((id, i) => {
    one.put(
      [
        { field: 'author', kind: 'reference', id },
        { field: 'kind', kind: 'type', resourceType: i % 2 === 0 ? 'Condition' : 'Observation' },
      ],
      `patient ${i}`,
    );
  });
  await one.flush();
  return one;
}

/** Ports over custodians in this process; `twist` may change what one of them answers. */
class Ports implements FederationPorts {
  readonly custodians: ReadonlyMap<string, Custodian>;
  readonly requests: EvaluationRequest[][] = [];
  opened = 0;
  twist: (request: EvaluationRequest, evaluation: Evaluation) => Evaluation = (_, evaluation) => evaluation;
  fieldKeyOf: (name: FieldEpochName, key: Uint8Array) => Uint8Array = (_, key) => key;

  constructor(custodians: readonly Custodian[]) {
    this.custodians = new Map(custodians.map((one) => [one.name, one]));
  }

  #custodian(name: string): Custodian {
    const one = this.custodians.get(name);
    if (one === undefined) throw new CodedError('index.unknown', 'no such custodian');
    return one;
  }

  async index(name: string) {
    const { secretOf: _, ...index } = this.#custodian(name).index();
    return index;
  }

  publicKey({ custodian, field, epoch }: FieldEpochName): Uint8Array | undefined {
    return this.#custodian(custodian).indexer.publicKey(field, epoch);
  }

  async fieldKeys(names: readonly FieldEpochName[]): Promise<readonly Outcome<Uint8Array>[]> {
    return names.map((name) => {
      this.opened++;
      const keys = this.#custodian(name.custodian).keys.find(
        ({ field, epoch }) => field === name.field && epoch === name.epoch,
      );
      if (keys === undefined) return { error: new CodedError('access.denied', 'no grant on the field') };
      return { value: this.fieldKeyOf(name, keys.fieldKey) };
    });
  }

  async evaluate(requests: readonly EvaluationRequest[]): Promise<readonly Outcome<Evaluation>[]> {
    this.requests.push([...requests]);
    return requests.map((request) => {
      const { indexer } = this.#custodian(request.custodian);
      return { value: this.twist(request, indexer.evaluate(request.field, request.epoch, request.elements)) };
    });
  }
}

const both = async () => [await custodian('mercy', ['a', 'b', 'a']), await custodian('clinic', ['b', 'a'])];
const search = (ports: Ports) => new FederatedSearch(ports, REGISTRY, CLIENT_KEY, seededRandom('federated'));
const asked = {
  query: 'author:a and kind:Condition',
  unit: 'record',
  custodians: ['mercy', 'clinic'],
} as const;
const numbers = (result: { records: readonly { custodian: string; numbers: Uint32Array }[] }) =>
  Object.fromEntries(result.records.map((one) => [one.custodian, [...one.numbers]]));

describe('a federated query', () => {
  test('asks each custodian once for what is new, padded, and answers from all', async () => {
    const ports = new Ports(await both());
    const one = search(ports);
    const first = await one.query(asked);
    expect(numbers(first)).toEqual({ mercy: [0, 2], clinic: [] });
    expect(first).toMatchObject({ missing: [], evaluated: 8 });
    const names = ports.requests[0].map(
      ({ custodian, field, elements }) => `${custodian} ${field} ${elements.length}`,
    );
    expect(names.sort()).toEqual(['clinic author 2', 'clinic kind 2', 'mercy author 2', 'mercy kind 2']);
    expect((await one.query(asked)).evaluated).toBe(0);
    expect(ports.requests).toHaveLength(1);
    expect((await one.query({ ...asked, query: 'author:b' })).evaluated).toBe(2);
    expect(ports.opened).toBe(4);
    one.clear();
    expect((await one.query(asked)).evaluated).toBe(8);
  });

  test('covers both epochs of a field while two are live', async () => {
    const [mercy] = await both();
    mercy.addKeys(fieldKeys('mercy', 2, KINDS));
    mercy.put([{ field: 'author', kind: 'reference', id: 'a' }], 'patient 9');
    await mercy.flush();
    const ports = new Ports([mercy]);
    const result = await search(ports).query({ query: 'author:a', unit: 'record', custodians: ['mercy'] });
    expect(numbers(result)).toEqual({ mercy: [0, 2, 3] });
    expect(result.evaluated).toBe(4);
  });

  test('can be opened for an audit: keyword and scalar from client key and salt', async () => {
    const ports = new Ports(await both());
    await search(ports).query({ ...asked, query: 'author:a' });
    const keyword = encodeKeyword({ field: 'author', type: 'reference', value: 'a' });
    const other = encodeKeyword({ field: 'author', type: 'reference', value: 'b' });
    for (const { elements, salt } of ports.requests[0]) {
      const entry = hashBlinded(elements);
      expect(verifyAuditOpening(entry, elements, auditOpening(CLIENT_KEY, salt, keyword, 0))).toBe(true);
      expect(verifyAuditOpening(entry, elements, auditOpening(CLIENT_KEY, salt, other, 0))).toBe(false);
    }
  });

  test('forgets the secrets of an epoch that no segment uses any more', async () => {
    const [mercy] = await both();
    const ports = new Ports([mercy]);
    const one = search(ports);
    const query = { query: 'author:a', unit: 'record', custodians: ['mercy'] } as const;
    await one.query(query);
    mercy.addKeys(fieldKeys('mercy', 2, KINDS));
    await mercy.mergeAll();
    expect((await one.query(query)).evaluated).toBe(2);
    expect(ports.opened).toBe(2);
    expect((await one.query(query)).evaluated).toBe(0);
  });

  test('of more than 32 keywords goes in several batches', async () => {
    const ports = new Ports(await both());
    const set = Array.from({ length: 40 }, (_, i) => `x${i}`).join(', ');
    const result = await search(ports).query({
      ...asked,
      query: `author in {a, ${set}}`,
      custodians: ['clinic'],
    });
    expect(numbers(result)).toEqual({ clinic: [1] });
    expect(ports.requests[0].map(({ elements }) => elements.length).sort((a, b) => a - b)).toEqual([16, 32]);
  });
});

describe('a custodian that', () => {
  test('is unknown is named as missing, and the others answer', async () => {
    const result = await search(new Ports(await both())).query({ ...asked, custodians: ['mercy', 'nobody'] });
    expect(numbers(result)).toEqual({ mercy: [0, 2] });
    expect(result.missing).toMatchObject([{ custodian: 'nobody', code: 'index.unknown' }]);
  });

  test('evaluates with another key is named, never believed', async () => {
    const ports = new Ports(await both());
    const liar = new Custodian('clinic', KINDS, fieldKeys('other', 1, KINDS));
    ports.twist = (request, honest) =>
      request.custodian === 'clinic' ? liar.indexer.evaluate(request.field, 1, request.elements) : honest;
    const result = await search(ports).query(asked);
    expect(numbers(result)).toEqual({ mercy: [0, 2] });
    expect(result.missing).toMatchObject([{ custodian: 'clinic', code: 'search.oprf_proof' }]);
  });

  test('alone gives the error itself', async () => {
    const ports = new Ports(await both());
    ports.twist = (_, { elements, proof }) => ({ elements: elements.slice(1), proof });
    expect(await rejectionCode(search(ports).query({ ...asked, custodians: ['mercy'] }))).toBe(
      'search.oprf_count',
    );
  });

  test('hands out a wrong field key is told apart from an empty answer', async () => {
    const ports = new Ports(await both());
    ports.fieldKeyOf = ({ custodian: name }, key) => (name === 'clinic' ? sha256(utf8('wrong')) : key);
    expect(await rejectionCode(search(ports).query(asked))).toBe('search.keys_inconsistent');
  });

  test('grants no field key is named', async () => {
    const custodians = await both();
    custodians[1].keys.length = 0;
    const result = await search(new Ports(custodians)).query(asked);
    expect(result.missing).toMatchObject([{ custodian: 'clinic', code: 'access.denied' }]);
  });
});

describe('counts', () => {
  test.each([
    [0, null],
    [9, null],
    [10, 10],
    [12, 10],
    [13, 15],
    [1000, 1000],
  ])('%i is told as %s', (count, told) => {
    expect(suppressedCount(count)).toBe(told);
  });

  test('of fewer than ten people are not told, however many their records', () => {
    expect([suppressedCount(200, 9), suppressedCount(200, 10), suppressedCount(9, 200)]).toEqual([
      null,
      200,
      null,
    ]);
  });
});
