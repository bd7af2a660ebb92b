/**
 * A label's definition as it stands on the ledger: all five fields, `null` where the policy language leaves
 * them out. What the fields mean and which changes are allowed is the registry's (`src/abe/policy`).
 */
import type { LabelSpec } from '../../abe/policy/index.ts';
import { bool, type Decode, distinct, list, map, nullable, oneOf, text } from './fields.ts';

export interface LabelEntry {
  readonly label: string;
  readonly type: 'text' | 'int' | 'date' | 'level';
  /** Bits of an int or date. */
  readonly width: 16 | 32 | 64 | null;
  /** All values of a finite text label. */
  readonly values: readonly string[] | null;
  /** True: stands without an issuer and is granted by proposals only. */
  readonly shared: boolean;
}

/** Most values of a finite label, as in the policy language. */
const VALUES_MAX = 256;
const VALUE_CHARS_MAX = 256;

export const labelEntry: Decode<LabelEntry> = map<LabelEntry>({
  label: text(1, 64),
  type: oneOf('text', 'int', 'date', 'level'),
  width: nullable(oneOf(16, 32, 64)),
  values: nullable(distinct(list(text(1, VALUE_CHARS_MAX), 1, VALUES_MAX))),
  shared: bool,
});

/** The definition as the registry takes it. */
export function toLabelSpec(entry: LabelEntry): LabelSpec {
  const { label, type, width, values, shared } = entry;
  return {
    label,
    type,
    ...(width === null ? {} : { width }),
    ...(values === null ? {} : { values }),
    ...(shared ? { shared } : {}),
  };
}

/** The definition as the ledger holds it. */
export function toLabelEntry(spec: LabelSpec): LabelEntry {
  const { label, type, width, values, shared } = spec;
  return { label, type, width: width ?? null, values: values ?? null, shared: shared === true };
}
