/** Every resource of the shared FHIR data as the importer would index it, and random formulas over values that occur in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { toHex, utf8 } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { extractKeywords, type JsonObject } from '../../src/fhir/index.ts';
import { type FieldRegistry, type FieldValue, fieldOf } from '../../src/search/index.ts';
import { onGrid, wordsOf } from './columns.ts';
import type { Dice } from './support.ts';

export interface CorpusRecord {
  readonly patient: string | undefined;
  readonly values: readonly FieldValue[];
}

/** Files of the Synthea bundles and of the bulk export. */
const FOLDERS = ['fhir/synthea-bundles', 'fhir/bulk'];

/** Records of all types that are indexed, in file order. */
export function readCorpus(shared: string): CorpusRecord[] {
  const records: CorpusRecord[] = [];
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(shared, folder)).sort()) {
      if (!name.endsWith('.ndjson.gz')) continue;
      const text = gunzipSync(readFileSync(join(shared, folder, name))).toString('utf8');
      for (const line of text.split('\n')) if (line !== '') records.push(...recordsOf(JSON.parse(line)));
    }
  }
  return records;
}

function recordsOf(json: Record<string, unknown>): CorpusRecord[] {
  const entries = json.resourceType === 'Bundle' ? (json.entry as { resource: JsonObject }[]) : undefined;
  const resources = entries?.map((entry) => entry.resource) ?? [json as JsonObject];
  return resources.flatMap((resource) => {
    const patient = patientOf(resource);
    const values = extractKeywords(resource, patient === undefined ? {} : { patient });
    return values.length === 0 ? [] : [{ patient, values }];
  });
}

/** A pseudonym from whatever names the patient: the same for the resource and for what refers to it. */
function patientOf(resource: JsonObject): string | undefined {
  const referred = (resource.subject ?? resource.patient) as { reference?: string } | undefined;
  const name = resource.resourceType === 'Patient' ? String(resource.id) : referred?.reference;
  if (name === undefined) return undefined;
  return toHex(sha256(utf8(name.replace(/^.*[/:]/, '')))).slice(0, 32);
}

/** A formula of 1 to 6 terms over values of `records`, now and then one that nobody has. */
export function randomFormula(dice: Dice, registry: FieldRegistry, records: readonly CorpusRecord[]): string {
  const terms = Array.from({ length: 1 + dice.below(6) }, () => {
    const term = randomTerm(dice, registry, records);
    return dice.below(6) === 0 ? `not ${term}` : term;
  });
  while (terms.length > 1) {
    const at = dice.below(terms.length - 1);
    const joined = `(${terms[at]} ${dice.below(5) < 3 ? 'and' : 'or'} ${terms[at + 1]})`;
    terms.splice(at, 2, dice.below(8) === 0 ? `not ${joined}` : joined);
  }
  return terms[0];
}

const quoted = (text: string): string => `"${text.replace(/[\\"]/g, (one) => `\\${one}`)}"`;

function randomTerm(dice: Dice, registry: FieldRegistry, records: readonly CorpusRecord[]): string {
  const value = dice.pick(dice.pick(records).values);
  const other = sameField(dice, records, value);
  const { field } = value;
  const { index } = fieldOf(registry, field);
  const kind = dice.below(20);
  if (kind === 0) return `${field}:*`;
  if (kind === 1) return `${field}:missing`;
  const isAbsent = kind === 2;
  switch (value.kind) {
    case 'code': {
      if (isAbsent) return `${field}:no-such-code`;
      if (index.type === 'code' && index.hierarchy === 'ancestors' && kind < 8)
        return `${field}:${quoted(dice.pick([value.code, ...(value.ancestors ?? [])]))}*`;
      if (kind < 11 && value.system !== null) return `${field}:${quoted(value.system)}|${quoted(value.code)}`;
      if (kind < 14 && other.kind === 'code')
        return `${field} in {${quoted(value.code)}, ${quoted(other.code)}}`;
      return `${field}${kind === 19 ? ' != ' : ':'}${quoted(value.code)}`;
    }
    case 'text': {
      const words = wordsOf(value.text);
      if (words.length === 0 || isAbsent) return `${field}:zyzzyva`;
      const long = words.filter((word) => /^[a-z]{5,}$/.test(word));
      const hasPrefixes = index.type === 'text' && index.prefix !== null;
      if (kind < 7 && hasPrefixes && long.length > 0)
        return `${field}:${dice.pick(long).slice(0, 3 + dice.below(3))}*`;
      return `${field}:${quoted(Array.from({ length: 1 + dice.below(3) }, () => dice.pick(words)).join(' '))}`;
    }
    case 'date': {
      const [a, b] = [value.date, other.kind === 'date' ? other.date : value.date].map((date) =>
        date.slice(0, dice.pick([4, 7, 10])),
      );
      const [low, high] = [a, b].sort();
      if (isAbsent) return `${field}:1999-02-28`;
      if (kind < 8) return `${field}:${a}`;
      if (kind < 14) return `${field} in [${low}, ${high}]`;
      return `${field} ${dice.pick(['<', '<=', '>', '>='])} ${a}`;
    }
    case 'number': {
      const [a, b] = [value.value, other.kind === 'number' ? other.value : value.value];
      if (kind < 6 && index.type === 'number') return `${field} = ${onGrid(a, index.grid)}`;
      if (kind < 13)
        return `${field} in [${Number(a) < Number(b) ? a : b}, ${Number(a) < Number(b) ? b : a}]`;
      return `${field} ${dice.pick(['<', '<=', '>', '>='])} ${a}`;
    }
    case 'reference':
      return `${field}:${isAbsent ? 'ab'.repeat(16) : value.id}`;
    default:
      if (kind < 8 && other.kind === 'type')
        return `${field} in {${value.resourceType}, ${other.resourceType}}`;
      return `${field}${kind === 19 ? ' != ' : ':'}${isAbsent ? 'Nothing' : value.resourceType}`;
  }
}

/** Another value of the field, if a few looks find one. */
function sameField(dice: Dice, records: readonly CorpusRecord[], value: FieldValue): FieldValue {
  for (let look = 0; look < 40; look++) {
    const found = dice.pick(records).values.find((one) => one.field === value.field);
    if (found !== undefined) return found;
  }
  return value;
}
