/**
 * The policy language: text, tree, canonical bytes, registry, verdict by meaning, and the sharing matrix for
 * the scheme. Pure and synchronous, no pairings, the same in Node and in a browser.
 *
 * It decides nothing by itself: whether a subject really holds an attribute is the ledger's to say. A verdict
 * of `evaluatePolicy` is no proof that a header opens or stays shut; the matrix and the scheme are.
 */
export {
  allOf,
  anyOf,
  atLeast,
  type Compare,
  type Condition,
  canonicalPolicy,
  conditionsOf,
  hasAttribute,
  isCondition,
  type Literal,
  negate,
  type OneOf,
  type Policy,
  policyLabels,
  type Range,
  type Relation,
} from './ast.ts';
export {
  type Attribute,
  attributeLeaves,
  checkAttribute,
  holdings,
  needsNewGeneration,
  parseAttribute,
  printAttribute,
} from './attribute.ts';
export { dateOfDays, daysOfDate } from './date.ts';
export { decodePolicy, encodePolicy } from './encoding.ts';
export { POLICY_ERRORS } from './errors.ts';
export { evaluatePolicy, type VerdictOptions } from './evaluate.ts';
export { checkPolicy, policyLeafCount } from './expand.ts';
export { type Clause, type Explanation, explainPolicy } from './explain.ts';
export {
  attributeLeaf,
  bLeaf,
  emergencyLeaf,
  epochLeaf,
  gateLeaf,
  LEAF_TYPE,
  levelLeaf,
  notEqualLeaf,
  RECORD_ID_BYTES,
  type TreeNode,
  valuePathLeaf,
  windowCoverLeaf,
} from './leaf.ts';
export * from './limits.ts';
export {
  type CompiledPolicy,
  type CompileOptions,
  checkOffline,
  compilePolicy,
  type Entry,
  type RecordVersion,
  type Row,
  type ShareNode,
} from './lsss.ts';
export { parsePolicy } from './parser.ts';
export type { Width } from './prefix-tree.ts';
export { printPolicy } from './print.ts';
export { reconstruct, type UsedRow } from './reconstruct.ts';
export {
  decodeRegistry,
  EMPTY_REGISTRY,
  encodeRegistry,
  type LabelSpec,
  makeRegistry,
  type Registry,
  withLabel,
} from './registry.ts';
