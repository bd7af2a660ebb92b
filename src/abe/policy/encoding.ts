/**
 * Canonical bytes of a policy: dag-cbor `[1, node]`, described with examples in docs/format/policy.md. These
 * bytes, not the text, are what is hashed into a header's context and what the ledger keeps.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { canonicalPolicy, isCondition, type Literal, type Policy, type Relation } from './ast.ts';
import { POLICY_ERRORS, policyError } from './errors.ts';
import { POLICY_DEPTH_MAX, POLICY_TEXT_BYTES_MAX } from './limits.ts';
import { printPolicy } from './print.ts';

const VERSION = 1;
const RELATIONS: readonly string[] = ['=', '!=', '<', '<=', '>', '>='] satisfies Relation[];

/**
 * Canonical bytes of `policy`, which is brought to canonical form first. Throws like `canonicalPolicy`, and
 * `policy.too_large` when the bytes or the printed text pass `POLICY_TEXT_BYTES_MAX`.
 */
export function encodePolicy(policy: Policy): Uint8Array {
  const canonical = canonicalPolicy(policy);
  // Every policy that has bytes has a text: what cannot be shown must not be signed.
  printPolicy(canonical);
  const bytes = encodeCbor([VERSION, encodeNode(canonical)]);
  checkSize(bytes);
  return bytes;
}

/**
 * The policy that `bytes` encode. Throws `policy.malformed` unless `bytes` are exactly what `encodePolicy`
 * gives for it, and the bounds of `canonicalPolicy`.
 */
export function decodePolicy(bytes: Uint8Array): Policy {
  checkSize(bytes);
  let value: unknown;
  try {
    value = decodeCbor(bytes, POLICY_TEXT_BYTES_MAX);
  } catch (cause) {
    return malformed('one canonical dag-cbor value', cause);
  }
  if (!Array.isArray(value) || value.length !== 2) return malformed('[version, node]');
  if (value[0] !== VERSION) return malformed(`policy version ${VERSION}`);
  const policy = canonicalPolicy(decodeNode(value[1], 0));
  if (!equalBytes(encodePolicy(policy), bytes))
    return malformed('canonical form: bytes equal to their re-encoding');
  return policy;
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length <= POLICY_TEXT_BYTES_MAX) return;
  throw policyError(
    POLICY_ERRORS.tooLarge,
    `expected at most ${POLICY_TEXT_BYTES_MAX} bytes of policy, got ${bytes.length}`,
    undefined,
    { max: POLICY_TEXT_BYTES_MAX, got: bytes.length },
  );
}

function malformed(expected: string, cause?: unknown): never {
  throw new CodedError(POLICY_ERRORS.malformed, `expected ${expected} in an encoded policy`, { cause });
}

function encodeNode(policy: Policy): unknown {
  if (isCondition(policy)) {
    const { issuer, label } = policy;
    switch (policy.kind) {
      case 'compare':
        return [policy.relation, issuer, label, encodeLiteral(policy.literal)];
      case 'range':
        return ['range', issuer, label, encodeLiteral(policy.low), encodeLiteral(policy.high)];
      case 'set':
        return ['in', issuer, label, ...policy.members.map(encodeLiteral)];
    }
  }
  if (policy.kind === 'not') return ['not', encodeNode(policy.of)];
  const children = policy.of.map(encodeNode);
  return policy.kind === 'threshold' ? ['of', policy.k, ...children] : [policy.kind, ...children];
}

/** Text as text, an integer as an integer, a date as an array of its day number. */
const encodeLiteral = (literal: Literal): unknown =>
  literal.type === 'date' ? [literal.value] : literal.value;

function decodeNode(value: unknown, depth: number): Policy {
  if (depth > POLICY_DEPTH_MAX) {
    throw policyError(POLICY_ERRORS.tooDeep, `expected at most ${POLICY_DEPTH_MAX} levels`, undefined, {
      max: POLICY_DEPTH_MAX,
    });
  }
  if (!Array.isArray(value)) return malformed('an array for each node');
  const [tag, ...fields]: unknown[] = value;
  switch (tag) {
    case 'and':
    case 'or':
      return { kind: tag, of: fields.map((field) => decodeNode(field, depth + 1)) };
    case 'of': {
      const [k, ...children] = fields;
      if (typeof k !== 'number') return malformed('a number k in "of"');
      return { kind: 'threshold', k, of: children.map((child) => decodeNode(child, depth + 1)) };
    }
    case 'not':
      if (fields.length !== 1) return malformed('one node under "not"');
      return { kind: 'not', of: decodeNode(fields[0], depth + 1) };
  }
  const [issuer, label, ...literals] = fields;
  if (typeof issuer !== 'string' || typeof label !== 'string') return malformed('issuer and label as text');
  const members = literals.map(decodeLiteral);
  if (tag === 'in') return { kind: 'set', issuer, label, members };
  if (tag === 'range' && members.length === 2)
    return { kind: 'range', issuer, label, low: members[0], high: members[1] };
  if (typeof tag === 'string' && RELATIONS.includes(tag) && members.length === 1) {
    return { kind: 'compare', issuer, label, relation: tag as Relation, literal: members[0] };
  }
  return malformed('a known node with its number of fields');
}

function decodeLiteral(value: unknown): Literal {
  if (typeof value === 'string') return { type: 'text', value };
  if (typeof value === 'number') return { type: 'int', value };
  if (Array.isArray(value) && value.length === 1 && typeof value[0] === 'number') {
    return { type: 'date', value: value[0] };
  }
  return malformed('a text, an integer or a date as literal');
}
