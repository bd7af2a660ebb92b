/**
 * The policy language as the state machine uses it: the registry out of the state, policies out of bytes, and
 * the verdict. Parsed policies and registries are remembered by their bytes or identity; both are pure functions
 * of them, so that a replica with a cold memory decides the same.
 */
import {
  type Attribute,
  checkAttribute,
  checkOffline,
  checkPolicy,
  decodePolicy,
  makeRegistry,
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
const policiesByIdentity = new WeakMap<Uint8Array, Policy>();
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

/** The policy of canonical `bytes`, which must not be written into. Throws `policy.*`. */
export function policyOf(bytes: Uint8Array): Policy {
  const seen = policiesByIdentity.get(bytes);
  if (seen !== undefined) return seen;
  let name = '';
  for (const byte of bytes) name += String.fromCharCode(byte);
  const policy = policies.get(name) ?? remember(policies, POLICIES_KEPT_MAX, name, decodePolicy(bytes));
  policiesByIdentity.set(bytes, policy);
  return policy;
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

export { type Attribute, checkAttribute, type Registry };
