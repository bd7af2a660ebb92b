/**
 * Chooses from an import whom the tour follows: a patient with a record of some department at its hospital, and a query
 * by two conditions and a medication whose answer a plain scan of the same resources knows.
 */
import { CodedError } from '../../codec/errors.ts';
import {
  departmentOf,
  extractKeywords,
  isRefusal,
  type JsonObject,
  policyGroupOf,
} from '../../fhir/index.ts';
import { identifiersOfBatch, type Plan } from '../import.ts';

export interface Cast {
  /** Hospital of the patient, its doctor and its clerk. */
  readonly home: string;
  /** Another hospital: the doctor who asks for consent. */
  readonly other: string;
  /** Where the researcher works. */
  readonly research: string;
  readonly patientKey: string;
  readonly identifiers: readonly string[];
  readonly department: string;
  readonly query: string;
  /** Keys of the patients that the plain scan finds. */
  readonly matches: readonly string[];
}

interface Facts {
  readonly custodian: string;
  readonly conditions: Set<string>;
  readonly medications: Set<string>;
}

interface Star {
  readonly home: string;
  readonly patientKey: string;
  readonly identifiers: readonly string[];
  readonly department: string;
}

const PREFERRED = 'cardiology';

/** Reads the whole plan once. Throws `import.empty` when nothing in it can carry the tour. */
export async function chooseCast(plan: Plan, members: readonly string[]): Promise<Cast> {
  const patients = new Map<string, Facts>();
  let star: Star | undefined;
  for await (const batch of plan.batches) {
    if (isRefusal(batch) || batch.patientKey === undefined) continue;
    const key = batch.patientKey;
    const facts: Facts = patients.get(key) ?? {
      custodian: batch.custodian,
      conditions: new Set(),
      medications: new Set(),
    };
    patients.set(key, facts);
    for (const { resource, patientKey } of batch.resources) {
      if (patientKey !== key) continue;
      codes(resource.json, facts);
      const clinical = policyGroupOf(resource.resourceType).name === 'clinical';
      const department = departmentOf(resource.json);
      if (!clinical || (star !== undefined && (star.department === PREFERRED || department !== PREFERRED)))
        continue;
      star = { home: batch.custodian, patientKey: key, identifiers: identifiersOfBatch(batch), department };
    }
  }
  if (star === undefined)
    throw new CodedError('import.empty', 'no clinical record of any patient could be read');
  const { home } = star;
  const others = members.filter((member) => member !== home);
  return { ...star, other: others[0], research: others[others.length - 1], ...chooseQuery(patients) };
}

/** Adds the bare codes of conditions and medications. */
function codes(json: JsonObject, facts: Facts): void {
  for (const value of extractKeywords(json)) {
    if (value.kind !== 'code') continue;
    if (value.field === 'condition') facts.conditions.add(value.code);
    if (value.field === 'medication') facts.medications.add(value.code);
  }
}

/**
 * The two conditions and medication that most patients have together, over the most hospitals, but not everybody. Counted
 * plainly, without the index.
 */
function chooseQuery(patients: ReadonlyMap<string, Facts>): { query: string; matches: readonly string[] } {
  const groups = new Map<string, { keys: string[]; custodians: Set<string> }>();
  for (const [key, { custodian, conditions, medications }] of patients) {
    const sorted = [...conditions].filter(isPlain).sort();
    for (let i = 0; i < sorted.length; i++) {
      for (let j = i + 1; j < sorted.length; j++) {
        for (const medication of medications) {
          if (!isPlain(medication)) continue;
          const name = `condition:${sorted[i]} and condition:${sorted[j]} and medication:${medication}`;
          const group = groups.get(name) ?? { keys: [], custodians: new Set() };
          group.keys.push(key);
          group.custodians.add(custodian);
          groups.set(name, group);
        }
      }
    }
  }
  let best: { query: string; matches: string[]; score: number } | undefined;
  for (const [query, { keys, custodians }] of groups) {
    const score = keys.length === patients.size ? 0 : 100 * custodians.size + keys.length;
    const isBetter = best === undefined || score > best.score || (score === best.score && query < best.query);
    if (isBetter) best = { query, matches: keys, score };
  }
  if (best === undefined) {
    throw new CodedError(
      'import.empty',
      'no patient has two conditions and a medication: import more records',
    );
  }
  return { query: best.query, matches: best.matches };
}

/** Codes that stand in a query without quotes. */
const isPlain = (code: string): boolean => /^[A-Za-z0-9][A-Za-z0-9.-]{0,40}$/.test(code);
