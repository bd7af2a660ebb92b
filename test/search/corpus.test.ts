/**
 * Answers over the shared FHIR data equal a plain walk over its values, for random formulas of 1 to 6 terms in both units,
 * while records are added, updated and erased, segments merged and purged, a second key epoch opened, and indexers restarted.
 * `node scripts/search-evidence.mjs` runs it over all of the data.
 */
import { expect, test } from 'vitest';
import { fieldSpecs } from '../../src/fhir/index.ts';
import {
  deriveFieldKeyPair,
  evaluateDirect,
  fieldRegistry,
  type KeywordSecret,
  keywordKey,
  keywordSecret,
  manifestEnd,
  openRistretto,
  parseQuery,
  planQuery,
  recordKeywords,
  runQuery,
} from '../../src/search/index.ts';
import { Columns, type Row } from './columns.ts';
import { type CorpusRecord, randomFormula, readCorpus } from './corpus.ts';
import { CLIENT_KEY, Custodian, Dice, fieldKeys, sharedFolder } from './support.ts';

const FORMULAS = Number(process.env.HIPPOCRYPT_SEARCH_CORPUS_FORMULAS ?? 120);
const RECORDS = Number(process.env.HIPPOCRYPT_SEARCH_CORPUS_RECORDS ?? 1500);
const SEED = Number(process.env.HIPPOCRYPT_SEARCH_SEED ?? 1);
const ROUNDS = 20;
const NAMES = ['mercy', 'st-luke', 'university'];

const SPECS = fieldSpecs();
const REGISTRY = fieldRegistry(SPECS);
const shared = sharedFolder();
if (shared === undefined)
  console.warn('no shared FHIR data: set HIPPOCRYPT_SHARED; the corpus is not compared');
const ristretto = await openRistretto();

/** A custodian of the corpus whose keywords are evaluated in bulk. */
class Hospital extends Custodian {
  readonly rows = new Map<number, CorpusRecord>();
  readonly #words = new Map<string, Uint8Array>();
  readonly #pairs = new Map<string, { readonly secretKey: Uint8Array; readonly fieldKey: Uint8Array }>();

  constructor(name: string) {
    super(name, SPECS, fieldKeys(name, 1, SPECS));
    this.#derive();
  }

  take(record: CorpusRecord): void {
    for (const keyword of recordKeywords(REGISTRY, record.values).keywords)
      this.#words.set(keywordKey(keyword), keyword);
    this.rows.set(this.put(record.values, record.patient), record);
  }

  kill(indexNo: number): void {
    this.dead.add(indexNo);
    this.rows.delete(indexNo);
  }

  /** New keys for some fields, as a revocation brings them; the rebuild comes before the next flush. */
  async rotate(fields: readonly string[]): Promise<void> {
    this.addKeys(fieldKeys(this.name, 2, SPECS).filter(({ field }) => fields.includes(field)));
    this.#derive();
    this.#learn();
    expect(await this.mergeAll()).toBeGreaterThan(0);
    for (const field of fields) this.indexer.dropKeys(field, 1);
  }

  restart(): void {
    this.indexer = this.open(this.indexer.manifest);
    expect(this.indexer.next).toBe(this.records);
  }

  override async flush(): Promise<void> {
    this.#learn();
    await super.flush();
  }

  #derive(): void {
    for (const { field, epoch, seed, fieldKey } of this.keys) {
      const { secretKey } = deriveFieldKeyPair(seed, this.name, field, epoch);
      this.#pairs.set(`${field}/${epoch}`, { secretKey, fieldKey });
    }
  }

  #learn(): void {
    for (const { keyword, field, epoch } of this.indexer.unknown(this.#words.values())) {
      this.indexer.learn([{ keyword, field, epoch, t: this.secretFor(keyword, field, epoch).t }]);
    }
  }

  secretFor(keyword: Uint8Array, field: string, epoch: number): KeywordSecret {
    if (!this.secrets.knows(keyword, field, epoch)) {
      const pair = this.#pairs.get(`${field}/${epoch}`);
      if (pair === undefined) throw new Error('no keys');
      const y = evaluateDirect(pair.secretKey, keyword, ristretto);
      this.secrets.remember(keyword, field, epoch, keywordSecret(y, pair.fieldKey));
    }
    return this.secrets.secretOf(keyword, field, epoch);
  }
}

test.skipIf(shared === undefined)(
  `${FORMULAS} random formulas over the shared FHIR data, seed ${SEED}${shared === undefined ? ' (no shared data)' : ''}`,
  { timeout: 7_200_000 },
  async () => {
    const dice = new Dice(SEED);
    const all = readCorpus(shared ?? '');
    const corpus = all.length <= RECORDS ? all : sample(dice, all, RECORDS);
    const hospitals = NAMES.map((name) => new Hospital(name));
    const homes = new Map<string, Hospital>();
    const homeOf = ({ patient }: CorpusRecord): Hospital => {
      const home = patient === undefined ? undefined : homes.get(patient);
      // Now and then a patient is seen elsewhere.
      const chosen = home === undefined || dice.below(12) === 0 ? dice.pick(hospitals) : home;
      if (patient !== undefined && home === undefined) homes.set(patient, chosen);
      return chosen;
    };
    const counts = {
      records: corpus.length,
      formulas: 0,
      hits: 0,
      updates: 0,
      erased: 0,
      merges: 0,
      rebuilt: 0,
      restarts: 0,
    };
    let next = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const until = Math.ceil((corpus.length * (round + 1)) / ROUNDS);
      for (; next < until; next++) homeOf(corpus[next]).take(corpus[next]);
      for (const hospital of hospitals) {
        const numbers = [...hospital.rows.keys()];
        for (let i = 2 + dice.below(6); i > 0 && numbers.length > 0; i--) {
          const old = dice.pick(numbers);
          const record = hospital.rows.get(old);
          if (record === undefined) continue;
          hospital.kill(old);
          if (dice.below(2) === 0) {
            counts.erased++;
            continue;
          }
          // A new version: some values go, some of another record come.
          const values = record.values.filter(() => dice.below(5) > 0);
          hospital.take({ ...record, values: [...values, ...dice.pick(corpus).values.slice(0, 3)] });
          counts.updates++;
        }
        await hospital.flush();
        counts.merges += await hospital.mergeAll(dice.below(3) === 0);
        if (round === ROUNDS / 2) {
          const fields = SPECS.map(({ name }) => name).filter(() => dice.below(2) === 0);
          await hospital.rotate(fields);
          counts.rebuilt += hospital.indexer.manifest.segments.length;
        }
        if (dice.below(4) === 0) {
          hospital.restart();
          counts.restarts++;
        }
        expect(manifestEnd(hospital.indexer.manifest)).toBe(hospital.records);
      }
      await compare(dice, hospitals, corpus, Math.ceil(FORMULAS / ROUNDS), counts);
      if (FORMULAS >= 1000) console.info(`round ${round + 1} of ${ROUNDS}: ${JSON.stringify(counts)}`);
    }
    expect(counts.formulas).toBeGreaterThanOrEqual(FORMULAS);
    expect(counts.hits).toBeGreaterThan(counts.formulas);
    console.info(`search corpus: ${JSON.stringify({ seed: SEED, ...counts })}`);
  },
);

async function compare(
  dice: Dice,
  hospitals: readonly Hospital[],
  corpus: readonly CorpusRecord[],
  formulas: number,
  counts: { formulas: number; hits: number },
): Promise<void> {
  const rows = hospitals.flatMap(({ name, rows }) =>
    [...rows].map(([indexNo, record]): Row => ({ custodian: name, indexNo, ...record })),
  );
  const columns = new Columns(REGISTRY, rows);
  const custodians = hospitals.map((hospital) =>
    hospital.index((keyword, field, epoch) => hospital.secretFor(keyword, field, epoch)),
  );
  for (let i = 0; i < formulas; i++) {
    const text = randomFormula(dice, REGISTRY, corpus);
    const query = parseQuery(text);
    const plan = planQuery(query, REGISTRY);
    const input = { plan, custodians, clientKey: CLIENT_KEY };
    const byRecord = await runQuery({ ...input, unit: 'record' });
    const expected = columns.records(query);
    for (const { custodian, numbers } of byRecord.records) {
      expect([...numbers], `${text} at ${custodian}`).toEqual(expected.get(custodian) ?? []);
      counts.hits += numbers.length;
    }
    const byPatient = await runQuery({ ...input, unit: 'patient' });
    expect(byPatient.patients, text).toEqual(columns.patients(query));
    counts.hits += byPatient.patients.length;
    counts.formulas++;
  }
}

/** `count` records, the records of a patient together, so that patients have several. */
function sample(dice: Dice, all: readonly CorpusRecord[], count: number): CorpusRecord[] {
  const chosen: CorpusRecord[] = [];
  while (chosen.length < count) {
    const from = dice.below(all.length);
    chosen.push(...all.slice(from, from + 50));
  }
  return chosen.slice(0, count);
}
