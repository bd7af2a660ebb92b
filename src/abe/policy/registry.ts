/**
 * The registry of labels: what kind of value a label has. It is ledger state, and it only grows: a label's
 * type, width, sharing and finiteness are fixed for ever, and values are added, never removed, because keys
 * and headers that were made under it stay in the world. A value that is added later is missing from the
 * not-equal leaves of older keys, so that `!=` on it fails for them until they are re-issued: it fails closed.
 */
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { POLICY_ERRORS, policyError } from './errors.ts';
import { LABEL_VALUES_MAX, REGISTRY_BYTES_MAX, REGISTRY_LABELS_MAX } from './limits.ts';
import type { Width } from './prefix-tree.ts';
import { labelProblem, PSEUDONYM_LABELS, RESERVED_LABELS, textProblem } from './text.ts';

export interface LabelSpec {
  readonly label: string;
  readonly type: 'text' | 'int' | 'date' | 'level';
  /** Bits of an int or date; values are signed. 16-bit dates reach from 1880-04-14 to 2059-09-18. */
  readonly width?: Width;
  /** All values of a text label, which makes it finite: then `!=` and `not` are allowed on it. */
  readonly values?: readonly string[];
  /** True: stands without an issuer, granted by ledger rules. False or absent: always with an issuer. */
  readonly shared?: boolean;
}

/** Labels by name; never changed in place. */
export type Registry = ReadonlyMap<string, LabelSpec>;

const BUILT_IN: readonly LabelSpec[] = [...PSEUDONYM_LABELS].map((label) => ({
  label,
  type: 'text',
  shared: true,
}));

/** The registry that holds the built-in labels `patient` and `consent` only. */
export const EMPTY_REGISTRY: Registry = new Map(BUILT_IN.map((spec) => [spec.label, spec]));

const refuse = (message: string): never => {
  throw policyError(POLICY_ERRORS.registry, message);
};

/** A registry of `specs` and the built-in labels; throws `policy.registry` like `withLabel`, and on duplicates. */
export function makeRegistry(specs: readonly LabelSpec[]): Registry {
  let registry = EMPTY_REGISTRY;
  for (const spec of specs) {
    if (registry.has(spec.label)) refuse(`expected each label once, got "${spec.label}" again`);
    registry = withLabel(registry, spec);
  }
  return registry;
}

/**
 * `registry` with `spec` added, or with new values for a finite label that it has. Throws `policy.registry`
 * for a reserved or malformed label, a malformed spec, and any change of what is fixed for ever.
 */
export function withLabel(registry: Registry, spec: LabelSpec): Registry {
  const next = checkSpec(spec);
  const present = registry.get(next.label);
  if (present !== undefined) checkChange(present, next);
  else if (registry.size - EMPTY_REGISTRY.size >= REGISTRY_LABELS_MAX) {
    refuse(`expected at most ${REGISTRY_LABELS_MAX} labels`);
  }
  return new Map(registry).set(next.label, next);
}

function checkSpec(spec: LabelSpec): LabelSpec {
  const { label, type, width, values } = spec;
  const problem = labelProblem(label);
  if (problem !== undefined) refuse(`${problem}; got "${label}"`);
  if (RESERVED_LABELS.has(label) || PSEUDONYM_LABELS.has(label)) {
    refuse(`"${label}" is reserved: choose another name`);
  }
  if (type !== 'text' && type !== 'int' && type !== 'date' && type !== 'level') {
    refuse(`expected type text, int, date or level for "${label}"`);
  }
  const isNumber = type === 'int' || type === 'date';
  if (isNumber ? width !== 16 && width !== 32 && width !== 64 : width !== undefined) {
    refuse(`expected width 16, 32 or 64 for int and date labels, and none for others; see "${label}"`);
  }
  if (values !== undefined) {
    if (type !== 'text') refuse(`only a text label lists its values; "${label}" is ${type}`);
    if (values.length < 1 || values.length > LABEL_VALUES_MAX) {
      refuse(`expected 1 to ${LABEL_VALUES_MAX} values for "${label}", got ${values.length}`);
    }
    if (new Set(values).size < values.length) refuse(`expected each value of "${label}" once`);
    for (const value of values) {
      const valueProblem = textProblem(value);
      if (valueProblem !== undefined) refuse(`${valueProblem}; see the values of "${label}"`);
    }
  }
  return Object.freeze({
    label,
    type,
    ...(width === undefined ? {} : { width }),
    ...(values === undefined ? {} : { values: Object.freeze([...values]) }),
    ...(spec.shared === true ? { shared: true } : {}),
  });
}

function checkChange(present: LabelSpec, next: LabelSpec): void {
  const { label } = next;
  if (present.type !== next.type || present.width !== next.width) {
    refuse(`the type and width of "${label}" are fixed for ever: use a new label`);
  }
  if ((present.shared === true) !== (next.shared === true)) {
    refuse(`whether "${label}" is shared is fixed for ever: use a new label`);
  }
  if ((present.values === undefined) !== (next.values === undefined)) {
    refuse(`whether "${label}" is finite is fixed for ever: use a new label`);
  }
  const kept = new Set(next.values);
  for (const value of present.values ?? []) {
    if (!kept.has(value)) refuse(`values of "${label}" are added, never removed: keep all that it has`);
  }
}

const VERSION = 1;

/** Canonical bytes: dag-cbor `[1, [label, type, width or 0, values or null, shared] ...]`, labels ascending. */
export function encodeRegistry(registry: Registry): Uint8Array {
  const rows = [...registry.values()]
    .filter(({ label }) => !PSEUDONYM_LABELS.has(label))
    .sort((a, b) => (a.label < b.label ? -1 : 1))
    .map(({ label, type, width, values, shared }) => [
      label,
      type,
      width ?? 0,
      values ?? null,
      shared === true,
    ]);
  return encodeCbor([VERSION, ...rows]);
}

/** The registry that `bytes` encode; throws `policy.registry` for anything but the output of `encodeRegistry`. */
export function decodeRegistry(bytes: Uint8Array): Registry {
  let value: unknown;
  try {
    value = decodeCbor(bytes, REGISTRY_BYTES_MAX);
  } catch (cause) {
    throw new CodedError(POLICY_ERRORS.registry, 'expected a registry as canonical dag-cbor', { cause });
  }
  if (!Array.isArray(value) || value[0] !== VERSION) return refuse(`expected registry version ${VERSION}`);
  const specs = value.slice(1).map(decodeSpec);
  if (specs.some((spec, i) => i > 0 && spec.label <= specs[i - 1].label)) {
    return refuse('expected labels of a registry in ascending order');
  }
  return makeRegistry(specs);
}

function decodeSpec(row: unknown): LabelSpec {
  if (!Array.isArray(row) || row.length !== 5) {
    return refuse('expected [label, type, width, values, shared] for each label');
  }
  const [label, type, width, values, shared]: unknown[] = row;
  if (typeof label !== 'string') return refuse('expected a label as text');
  if (type !== 'text' && type !== 'int' && type !== 'date' && type !== 'level') {
    return refuse(`expected type text, int, date or level for "${label}"`);
  }
  if (width !== 0 && width !== 16 && width !== 32 && width !== 64) {
    return refuse(`expected width 0, 16, 32 or 64 for "${label}"`);
  }
  if (values !== null && !(Array.isArray(values) && values.every((v) => typeof v === 'string'))) {
    return refuse(`expected values of "${label}" as texts, or null`);
  }
  if (typeof shared !== 'boolean') return refuse(`expected shared as a boolean for "${label}"`);
  return {
    label,
    type,
    ...(width === 0 ? {} : { width }),
    ...(values === null ? {} : { values: values as string[] }),
    ...(shared ? { shared } : {}),
  };
}
