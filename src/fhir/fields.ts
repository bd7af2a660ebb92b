/**
 * The field registry that follows from a keyword map: each field's index, budget and whether it is declared by default.
 * A consortium registers these at genesis (FieldKeyPut carries one spec each); src/search says what a spec means.
 */
import { DEFAULT_BUDGET, type FieldIndex, type FieldSpec } from '../search/fields.ts';
import { KEYWORD_MAP, type KeywordMap, type RuleKind } from './keyword-map.ts';

/** Fields that say who somebody is rather than what ails them: declared by a registry or not indexed. */
const QUASI_IDENTIFIERS = ['gender', 'marital-status', 'region', 'birth-decade'] as const;
/** Fields whose slots are fetched in groups, so that a node that serves pages learns less of what was asked. */
const SENSITIVE = new Set(['condition', 'medication', 'note', 'text', 'patient', 'reason', 'result']);
/** Codes with ancestors, so that `E11*` finds E11.9: ICD-10 and ATC by structure, others from a table. */
const HIERARCHICAL = new Set(['condition', 'medication', 'procedure', 'reason', 'allergy']);

const FIRST_YEAR = 1900;
const LAST_YEAR = 2199;

function spec(name: string, index: FieldIndex): FieldSpec {
  return { name, index, sensitive: SENSITIVE.has(name), budget: DEFAULT_BUDGET };
}

function indexOf(kind: RuleKind, field: string): FieldIndex {
  switch (kind) {
    case 'code':
      return { type: 'code', hierarchy: HIERARCHICAL.has(field) ? 'ancestors' : 'none', prefix: null };
    case 'date':
      return { type: 'date', fromYear: FIRST_YEAR, toYear: LAST_YEAR };
    case 'text':
    case 'attachment':
      return { type: 'text', weights: true, prefix: field === 'text' ? { min: 3, max: 8 } : null };
  }
}

/** Every field the map feeds, quasi-identifiers included, in the map's order. */
function allFields(map: KeywordMap): FieldSpec[] {
  const fields = new Map<string, FieldSpec>([
    ['type', spec('type', { type: 'type' })],
    ['patient', spec('patient', { type: 'reference' })],
  ]);
  for (const { field, kind } of map.types.flatMap(({ rules }) => rules)) {
    if (!fields.has(field)) fields.set(field, spec(field, indexOf(kind, field)));
  }
  for (const { field, unit, min, step, bits } of map.numbers) {
    fields.set(field, spec(field, { type: 'number', grid: { min, step, bits, unit } }));
  }
  return [...fields.values()];
}

const isQuasiIdentifier = ({ name }: FieldSpec): boolean => QUASI_IDENTIFIERS.some((quasi) => quasi === name);

/** The field registry of a new consortium: what is indexed by default. */
export function fieldSpecs(map: KeywordMap = KEYWORD_MAP): FieldSpec[] {
  return allFields(map).filter((field) => !isQuasiIdentifier(field));
}

/** Fields about who somebody is. A registry may add them, one by one, knowing that they enumerate in hours. */
export function quasiIdentifierSpecs(map: KeywordMap = KEYWORD_MAP): FieldSpec[] {
  return allFields(map).filter(isQuasiIdentifier);
}
