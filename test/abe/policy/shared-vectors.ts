/**
 * CIRCL's tkn20 conformance cases (policy, attributes, expected result), and the registry that gives them their
 * meaning here: shared labels, whose values are all those that the case mentions; a label with integer values
 * only is a 16-bit integer. The file lies beside the checkout or where HIPPOCRYPT_SHARED says.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type Attribute,
  conditionsOf,
  type LabelSpec,
  makeRegistry,
  type Policy,
  parsePolicy,
  type Registry,
} from '../../../src/abe/policy/index.ts';

export interface Tkn20Case {
  readonly text: string;
  readonly expected: boolean;
  readonly policy: Policy;
  readonly attributes: readonly Attribute[];
  readonly registry: Registry;
}

const FILE = join(
  process.env.HIPPOCRYPT_SHARED ?? resolve(import.meta.dirname, '../../../../shared'),
  'vectors/tkn20/policies.json',
);

/** All cases, or undefined (with a warning) where the vectors are not there. */
export function tkn20Cases(): readonly Tkn20Case[] | undefined {
  if (!existsSync(FILE)) {
    console.warn('tkn20 policy vectors not found: set HIPPOCRYPT_SHARED to the folder that holds vectors/');
    return undefined;
  }
  const cases: { policy: string; success: boolean; attributes: Record<string, string> }[] = JSON.parse(
    readFileSync(FILE, 'utf8'),
  );
  return cases.map(({ policy: text, success: expected, attributes }) => {
    const policy = parsePolicy(text);
    const registry = registryOfCase(policy, attributes);
    const held = Object.entries(attributes).map(([label, value]) => ({
      issuer: '',
      label,
      value: registry.get(label)?.type === 'int' ? Number(value) : value,
    }));
    return { text, expected, policy, attributes: held, registry };
  });
}

/** The registry in which `policy` and `attributes` (label to value) have a meaning. */
export function registryOfCase(policy: Policy, attributes: Readonly<Record<string, string>>): Registry {
  const values = new Map<string, Set<string>>();
  const add = (label: string, value: string): void => {
    values.set(label, (values.get(label) ?? new Set()).add(value));
  };
  for (const condition of conditionsOf(policy)) {
    if (condition.kind === 'compare') add(condition.label, String(condition.literal.value));
  }
  for (const [label, value] of Object.entries(attributes)) add(label, value);
  const specs = [...values].map(([label, all]): LabelSpec => {
    const isInteger = [...all].every((value) => /^(0|[1-9][0-9]*)$/.test(value));
    return isInteger
      ? { label, type: 'int', width: 16, shared: true }
      : { label, type: 'text', values: [...all].sort(), shared: true };
  });
  return makeRegistry(specs);
}
