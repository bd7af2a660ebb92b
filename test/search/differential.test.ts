/**
 * Answers equal the plain reference over random formulas, both units, while records are added, updated, deleted,
 * merged, purged and rotated to a second key epoch.
 */
import { describe, expect, test } from 'vitest';
import { type FieldValue, parseQuery, planQuery, runQuery } from '../../src/search/index.ts';
import { type PlainRecord, plainPatients, plainRecords } from './reference.ts';
import { CLIENT_KEY, Custodian, Dice, FIELDS, fieldKeys, REGISTRY } from './support.ts';

const CODES = ['E11.9', 'E11.2', 'I10', 'J45', 'E1', 'Z99'];
const SYSTEMS = ['http://hl7.org/fhir/sid/icd-10', 'urn:local'];
const WORDS = ['diabetes', 'diabetic', 'chest', 'pain', 'asthma', 'stable', 'well', 'controlled', 'x9'];
const TREE: Record<string, string[]> = { '111': ['11', '1'], '112': ['11', '1'], '12': ['1'], '2': [] };
const DATES = [
  '2009-12-31',
  '2010-01-01',
  '2010',
  '2014-03',
  '2014-03-31',
  '2014-04-01',
  '2019-12-31',
  '2020-02-29',
];

function randomValues(dice: Dice): FieldValue[] {
  const values: FieldValue[] = [];
  const some = (chance: number) => dice.below(100) < chance;
  if (some(60)) {
    values.push({ field: 'condition', kind: 'code', system: dice.pick(SYSTEMS), code: dice.pick(CODES) });
  }
  if (some(30)) {
    const code = dice.pick(Object.keys(TREE));
    values.push({ field: 'procedure', kind: 'code', system: null, code, ancestors: TREE[code] ?? [] });
  }
  if (some(40)) {
    const text = Array.from({ length: 1 + dice.below(6) }, () => dice.pick(WORDS)).join(' ');
    values.push({ field: 'note', kind: 'text', text });
  }
  if (some(70)) values.push({ field: 'onset', kind: 'date', date: dice.pick(DATES) });
  if (some(30)) {
    values.push({
      field: 'glucose',
      kind: 'number',
      value: (dice.below(1024) / 10).toFixed(1),
      unit: 'mmol/L',
    });
  }
  if (some(20)) values.push({ field: 'author', kind: 'reference', id: dice.pick(['a1', 'b2']) });
  if (some(95))
    values.push({ field: 'kind', kind: 'type', resourceType: dice.pick(['Condition', 'Observation']) });
  return values;
}

function randomTerm(dice: Dice): string {
  const date = () => dice.pick(DATES);
  const sign = () => dice.pick(['<', '<=', '>', '>=']);
  const terms: (() => string)[] = [
    () => `condition:${dice.pick(CODES)}`,
    () => `condition:${dice.pick(SYSTEMS)}|${dice.pick(CODES)}`,
    () => `condition:${dice.pick(['e1', 'E11', 'i10', 'zz'])}*`,
    () => `condition in {${dice.pick(CODES)}, ${dice.pick(CODES)}}`,
    () => `procedure:${dice.pick(['1', '11', '111', '2'])}*`,
    () => `note:"${dice.pick(WORDS)} ${dice.pick(WORDS)}"`,
    () => `note:${dice.pick(['dia', 'che', 'cont'])}*`,
    () => `onset in [${date()}, ${date()}]`,
    () => `onset ${sign()} ${date()}`,
    () => `onset:${date()}`,
    () => `glucose ${sign()} ${(dice.below(1024) / 10).toFixed(1)}`,
    () => `glucose in [${dice.below(60)}, ${40 + dice.below(60)}]`,
    () => `author:${dice.pick(['a1', 'b2', 'c3'])}`,
    () => `kind != Condition`,
    () => `${dice.pick(FIELDS).name}:missing`,
    () => `${dice.pick(FIELDS).name}:*`,
  ];
  return dice.pick(terms)();
}

function randomFormula(dice: Dice, depth: number): string {
  if (depth === 0 || dice.below(3) === 0) return randomTerm(dice);
  const parts = Array.from({ length: 2 + dice.below(2) }, () => randomFormula(dice, depth - 1));
  const joined = `(${parts.join(dice.below(2) === 0 ? ' and ' : ' or ')})`;
  return dice.below(4) === 0 ? `not ${joined}` : joined;
}

/** A world of custodians with what the reference needs to know. */
class World {
  readonly custodians: Custodian[];
  readonly live = new Map<string, PlainRecord>();
  readonly dice: Dice;
  epoch = 1;

  constructor(seed: number, names: readonly string[]) {
    this.dice = new Dice(seed);
    this.custodians = names.map((name) => new Custodian(name));
  }

  put(custodian: Custodian): void {
    const values = this.dice.below(20) === 0 ? [] : randomValues(this.dice);
    const patient = this.dice.below(12) === 0 ? undefined : `p${this.dice.below(25)}`;
    const indexNo = custodian.put(values, patient);
    this.live.set(`${custodian.name} ${indexNo}`, { custodian: custodian.name, indexNo, patient, values });
  }

  kill(custodian: Custodian): void {
    const indexNo = this.dice.below(custodian.records);
    custodian.dead.add(indexNo);
    this.live.delete(`${custodian.name} ${indexNo}`);
  }

  async step(number: number): Promise<void> {
    const custodian = this.custodians[number] ?? this.dice.pick(this.custodians);
    const records = 1 + this.dice.below(30);
    for (let i = 0; i < records; i++) this.put(custodian);
    for (let i = this.dice.below(4); i > 0; i--) this.kill(custodian);
    await custodian.flush();
    if (this.dice.below(3) === 0) await custodian.mergeAll(this.dice.below(2) === 0);
  }

  rotate(): void {
    this.epoch++;
    for (const custodian of this.custodians) {
      const field = this.dice.pick(FIELDS).name;
      custodian.addKeys(fieldKeys(custodian.name, this.epoch).filter((one) => one.field === field));
    }
  }

  async check(text: string): Promise<void> {
    const query = parseQuery(text);
    const plan = planQuery(query, REGISTRY);
    const all = [...this.live.values()];
    const begun = this.custodians.filter((one) => one.indexer.manifest.seq > 0);
    const custodians = begun.map((one) => one.index());
    const byRecord = await runQuery({ plan, unit: 'record', custodians, clientKey: CLIENT_KEY });
    for (const [i, custodian] of begun.entries()) {
      const covered = custodians[i].manifest.segments.at(-1)?.hi ?? 0;
      const own = all.filter((one) => one.custodian === custodian.name && one.indexNo < covered);
      expect([...byRecord.records[i].numbers], text).toEqual(plainRecords(query, REGISTRY, own));
    }
    const byPatient = await runQuery({ plan, unit: 'patient', custodians, clientKey: CLIENT_KEY });
    expect(byPatient.patients, text).toEqual(plainPatients(query, REGISTRY, all));
  }
}

/** Formulas a step; 270 makes more than 10,000 in all. */
const FORMULAS = Number(process.env.HIPPOCRYPT_SEARCH_FORMULAS ?? 20);

describe(`random formulas on a changing index, ${FORMULAS} a step`, () => {
  test.each([1, 2, 3])('world %i: 12 steps, both units', { timeout: 600_000 }, async (seed) => {
    const world = new World(seed, seed === 3 ? ['mercy'] : ['mercy', 'clinic']);
    for (let step = 0; step < 12; step++) {
      await world.step(step);
      if (step === 6) world.rotate();
      for (let i = 0; i < FORMULAS; i++) await world.check(randomFormula(world.dice, 3));
    }
    for (const custodian of world.custodians) await custodian.mergeAll(true);
    for (let i = 0; i < FORMULAS; i++) await world.check(randomFormula(world.dice, 3));
  });
});
