/**
 * Attributes: what a subject holds, and the leaves an authority raises for them. Within one generation of a
 * key leaves are only added, and only monotonely: a changed number, date or level, or a new value of a finite
 * label, needs the next generation (`needsNewGeneration`), else the old and the new leaves add up to more.
 */
import { compareBytes } from '../../codec/bytes.ts';
import { DAY_MAX, DAY_MIN, dateOfDays } from './date.ts';
import { POLICY_ERRORS, policyError } from './errors.ts';
import { attributeLeaf, levelLeaf, notEqualLeaf, valuePathLeaf } from './leaf.ts';
import { ATTRIBUTES_MAX, LEVEL_MAX, LEVEL_WIDTH } from './limits.ts';
import { parseAttributeText } from './parser.ts';
import { numberBounds, pathOf } from './prefix-tree.ts';
import { printName, printText } from './print.ts';
import type { LabelSpec, Registry } from './registry.ts';
import { didYouMean } from './suggest.ts';
import { isBadPseudonym, issuerProblem, labelProblem, textProblem } from './text.ts';

/** `issuer` is '' for shared labels. `value` is a text, an integer, a level, or days since 1970-01-01. */
export interface Attribute {
  readonly issuer: string;
  readonly label: string;
  readonly value: string | number;
}

/**
 * The attribute that `text` says: `issuer/label:value` or `label:value`; a date becomes its day number.
 * Throws `policy.syntax` with the column. The registry is not asked: `checkAttribute` does.
 */
export function parseAttribute(text: string): Attribute {
  const { issuer, label, literal } = parseAttributeText(text);
  return { issuer, label, value: literal.value };
}

/** The text of `attribute`; with `registry`, days of a date label are printed as a date. */
export function printAttribute(attribute: Attribute, registry?: Registry): string {
  const { issuer, label, value } = attribute;
  const name = printName(issuer, label);
  if (typeof value === 'string') return `${name}:${printText(value)}`;
  const isDate = registry?.get(label)?.type === 'date' && value >= DAY_MIN && value <= DAY_MAX;
  return `${name}:${isDate ? dateOfDays(value) : value}`;
}

const refuse = (message: string): never => {
  throw policyError(POLICY_ERRORS.attribute, message);
};

/**
 * The spec of the label of `attribute`, whose issuer and value it allows. Throws `policy.unknown_label` or
 * `policy.attribute`. The message names the label, never the value.
 */
export function checkAttribute(attribute: Attribute, registry: Registry): LabelSpec {
  const { issuer, label, value } = attribute;
  const nameProblem = issuerProblem(issuer) ?? labelProblem(label);
  if (nameProblem !== undefined) refuse(nameProblem);
  const spec = registry.get(label);
  if (spec === undefined) {
    const hint = didYouMean(label, registry.keys());
    throw policyError(POLICY_ERRORS.unknownLabel, `the registry has no label "${label}"${hint}`, undefined, {
      label,
    });
  }
  if ((spec.shared === true) !== (issuer === '')) {
    refuse(spec.shared === true ? `"${label}" is shared and has no issuer` : `"${label}" needs an issuer`);
  }
  const problem = valueProblem(spec, value);
  if (problem !== undefined) refuse(`"${label}": ${problem}`);
  return spec;
}

function valueProblem(spec: LabelSpec, value: string | number): string | undefined {
  if (spec.type === 'text') {
    if (typeof value !== 'string') return 'expected a text: put it in quotes';
    if (spec.values !== undefined && !spec.values.includes(value))
      return 'expected one of the values of the registry';
    if (isBadPseudonym(spec.label, value)) return 'expected a pseudonym: 32 lower-case hexadecimal digits';
    return textProblem(value);
  }
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || Object.is(value, -0)) {
    return spec.type === 'date' ? 'expected days since 1970-01-01' : 'expected an integer';
  }
  const { min, max } =
    spec.type === 'level' || spec.width === undefined ? { min: 0, max: LEVEL_MAX } : numberBounds(spec.width);
  return value < min || value > max ? `expected ${min} to ${max}` : undefined;
}

/** All values that count for one label of one issuer. */
export interface Held {
  readonly issuer: string;
  readonly spec: LabelSpec;
  readonly values: readonly (string | number)[];
  /** Values of a finite label that the subject has beside: they satisfy nothing, but stand against `!=`. */
  readonly against: readonly (string | number)[];
}

/** The key of `holdings` for a label of an issuer. */
export function holdingKey(issuer: string, label: string): string {
  return `${issuer}/${label}`;
}

/**
 * `attributes` by label and issuer, each checked. Throws like `checkAttribute`, and `policy.attribute` for two
 * different values of a number, date or level of one issuer (their paths together satisfy what neither does)
 * or more than `ATTRIBUTES_MAX` attributes. The same attribute twice counts once.
 *
 * `others` is whatever else the subject holds, or held within this generation: what is left out of a key must
 * not read as "has it not". Only values of finite labels matter in it; the rest is ignored, unchecked.
 */
export function holdings(
  attributes: readonly Attribute[],
  registry: Registry,
  others: readonly Attribute[] = [],
): ReadonlyMap<string, Held> {
  if (attributes.length > ATTRIBUTES_MAX) {
    refuse(`expected at most ${ATTRIBUTES_MAX} attributes, got ${attributes.length}`);
  }
  type Building = Held & { readonly values: (string | number)[]; readonly against: (string | number)[] };
  const held = new Map<string, Building>();
  for (const attribute of attributes) {
    const { issuer, label, value } = attribute;
    const spec = checkAttribute(attribute, registry);
    const present = held.get(holdingKey(issuer, label));
    if (present === undefined) {
      held.set(holdingKey(issuer, label), { issuer, spec, values: [value], against: [] });
    } else if (!present.values.includes(value)) {
      if (spec.type !== 'text') refuse(`"${printName(issuer, label)}" has one value: end the old one first`);
      present.values.push(value);
    }
  }
  for (const { issuer, label, value } of others) {
    const present = held.get(holdingKey(issuer, label));
    if (present?.spec.values === undefined || present.values.includes(value)) continue;
    if (!present.against.includes(value)) present.against.push(value);
  }
  return held;
}

/**
 * The leaves of a key for `attributes`, sorted by bytes, each once: attributes, not-equal leaves of finite
 * labels, "at least" levels, and the paths of numbers and dates. A 16-bit number costs 17 leaves, a finite
 * label as many as it has values. Throws like `holdings`.
 *
 * An authority passes as `others` everything that the subject holds or held within the generation: without it,
 * a doctor who is a nurse too gets "is no nurse" by asking for a key with `role:doctor` alone.
 */
export function attributeLeaves(
  attributes: readonly Attribute[],
  registry: Registry,
  others: readonly Attribute[] = [],
): Uint8Array[] {
  const leaves: Uint8Array[] = [];
  for (const { issuer, spec, values, against } of holdings(attributes, registry, others).values()) {
    for (const value of values) leaves.push(...valueLeaves(issuer, spec, value));
    for (const absent of spec.values ?? []) {
      if (values.includes(absent) || against.includes(absent)) continue;
      leaves.push(notEqualLeaf(issuer, spec.label, absent));
    }
  }
  return leaves.sort(compareBytes);
}

function valueLeaves(issuer: string, spec: LabelSpec, value: string | number): Uint8Array[] {
  const { label, type, width } = spec;
  if (typeof value === 'string') return [attributeLeaf(issuer, label, value)];
  if ((type === 'int' || type === 'date') && width !== undefined) {
    return pathOf(width, value).map((node) => valuePathLeaf(issuer, label, type, width, node));
  }
  return Array.from({ length: value + 1 }, (_, level) => levelLeaf(issuer, label, LEVEL_WIDTH, level));
}

/**
 * True when a key issued for `before` must not simply be extended to `after`: a value was taken away or changed,
 * or a finite label gained a value whose not-equal leaf the key holds already. A re-added attribute also needs
 * a new generation; that is history, which the caller knows. Throws like `holdings`.
 */
export function needsNewGeneration(
  before: readonly Attribute[],
  after: readonly Attribute[],
  registry: Registry,
): boolean {
  const later = holdings(after, registry);
  for (const [key, { spec, values }] of holdings(before, registry)) {
    const next = later.get(key)?.values ?? [];
    if (values.some((value) => !next.includes(value))) return true;
    if (spec.values !== undefined && next.length > values.length) return true;
  }
  return false;
}
