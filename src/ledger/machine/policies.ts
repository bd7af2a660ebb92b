/**
 * The policy language as the state machine uses it: the registry out of the state, policies out of bytes, and
 * the verdict. Parsed policies and registries are remembered by their bytes or identity; both are pure functions
 * of them, so that a replica with a cold memory decides the same.
 */
import {
  type Attribute,
  type Condition,
  checkAttribute,
  checkOffline,
  checkPolicy,
  decodePolicy,
  evaluatePolicy,
  isCondition,
  makeRegistry,
  negate,
  type Policy,
  parseAttribute,
  type Registry,
} from '../../abe/policy/index.ts';
import type { GateMode } from '../entries/common.ts';
import { toLabelSpec } from '../entries/labels.ts';
import { STATE, type StateView } from './state.ts';

/** Parsed policies kept in memory; a consortium uses few distinct ones at a time. */
const POLICIES_KEPT_MAX = 4096;
const ATTRIBUTES_KEPT_MAX = 16_384;

const registries = new WeakMap<readonly string[], Registry>();
const policies = new Map<string, Policy>();
/** Names of byte arrays that stay, such as those of the state. */
const names = new WeakMap<Uint8Array, string>();
/** The registry under which a policy was found good last. */
const checked = new WeakMap<Policy, Registry>();
const attributes = new Map<string, Attribute>();

/** Forgets everything when full: rare, and simpler than an order of use. */
function remember<T>(memory: Map<string, T>, max: number, name: string, value: T): T {
  if (memory.size >= max) memory.clear();
  memory.set(name, value);
  return value;
}

/** The registry in force. The list of labels is written anew with every change, so its identity names it. */
export function registryOf(view: StateView): Registry {
  const labels = view.get(STATE.labels) ?? NO_LABELS;
  const known = registries.get(labels);
  if (known !== undefined) return known;
  const specs = labels.map((label) => {
    const entry = view.get(STATE.label(label));
    if (entry === undefined) throw new Error(`state damaged: label ${label} is listed and absent`);
    return toLabelSpec(entry);
  });
  const registry = makeRegistry(specs);
  registries.set(labels, registry);
  return registry;
}

const NO_LABELS: readonly string[] = [];

/** A text that is the policy's bytes, one character a byte: equal for equal policies, whoever parsed them when. */
export function policyName(bytes: Uint8Array): string {
  const known = names.get(bytes);
  if (known !== undefined) return known;
  let name = '';
  for (const byte of bytes) name += String.fromCharCode(byte);
  names.set(bytes, name);
  return name;
}

/** The policy of canonical `bytes`, which must not be written into. Throws `policy.*`. */
export function policyOf(bytes: Uint8Array): Policy {
  const name = policyName(bytes);
  return policies.get(name) ?? remember(policies, POLICIES_KEPT_MAX, name, decodePolicy(bytes));
}

/** The attribute that `text` prints. Throws `policy.syntax`. */
export function attributeOf(text: string): Attribute {
  return attributes.get(text) ?? remember(attributes, ATTRIBUTES_KEPT_MAX, text, parseAttribute(text));
}

/** Throws `policy.*` unless a record may stand under the policy of `bytes` with this kind of gate. */
export function checkRecordPolicy(bytes: Uint8Array, gate: GateMode, registry: Registry): void {
  const policy = policyOf(bytes);
  if (checked.get(policy) !== registry) {
    checkPolicy(policy, registry);
    checked.set(policy, registry);
  }
  if (gate === 'none') checkOffline(policy);
}

/** The attributes of `texts` that the registry knows; a right may stand outside it and then counts for no policy. */
export function registered(texts: readonly string[], registry: Registry): readonly Attribute[] {
  return texts.map(attributeOf).filter((attribute) => registry.has(attribute.label));
}

/**
 * Whether `policy` holds for a key that lists `listed`, whose subject holds or has held, in the key's generation,
 * also `against`. What is not listed satisfies nothing, but stands against `!=` and `not`: a key must not open
 * more by leaving an attribute out, nor by waiting for it to expire.
 */
export function satisfies(
  policy: Policy,
  listed: readonly Attribute[],
  against: readonly Attribute[],
  registry: Registry,
): boolean {
  if (against.length === 0 || !hasNegation(policy)) return evaluatePolicy(policy, listed, registry);
  return holdsUnder(policy, true, { listed, all: [...listed, ...against], registry });
}

interface Holder {
  readonly listed: readonly Attribute[];
  readonly all: readonly Attribute[];
  readonly registry: Registry;
}

/** Negation is carried down to the conditions, as `evaluatePolicy` does: absence of a label fails both ways. */
function holdsUnder(policy: Policy, wanted: boolean, holder: Holder): boolean {
  if (policy.kind === 'not') return holdsUnder(policy.of, !wanted, holder);
  if (isCondition(policy)) return conditionHolds(policy, wanted, holder);
  const n = policy.of.length;
  const k = policy.kind === 'and' ? n : policy.kind === 'or' ? 1 : policy.k;
  const needed = wanted ? k : n - k + 1;
  return policy.of.filter((child) => holdsUnder(child, wanted, holder)).length >= needed;
}

function conditionHolds(condition: Condition, wanted: boolean, { listed, all, registry }: Holder): boolean {
  const asked = wanted ? condition : negate(condition);
  const isAbout = ({ issuer, label }: Attribute): boolean =>
    issuer === condition.issuer && label === condition.label;
  if (!evaluatePolicy(asked, listed.filter(isAbout), registry)) return false;
  const isNotEqual = condition.kind === 'compare' && condition.relation === '!=';
  const isNegative = isNotEqual === wanted;
  return !isNegative || evaluatePolicy(asked, all.filter(isAbout), registry);
}

function hasNegation(policy: Policy): boolean {
  if (policy.kind === 'not') return true;
  if (policy.kind === 'compare') return policy.relation === '!=';
  return policy.kind === 'range' || policy.kind === 'set' ? false : policy.of.some(hasNegation);
}

export { type Attribute, checkAttribute, type Registry };
