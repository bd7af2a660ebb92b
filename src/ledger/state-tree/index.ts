/** The state's Merkle tree: 16-ary, radix by key hash, one root for every set of pairs. */
export { STATE_NODE_TABLE, STATE_TABLE } from './node.ts';
export {
  decodeStateProof,
  encodeStateProof,
  proveState,
  type StateProof,
  verifyStateProof,
} from './proof.ts';
export {
  readState,
  STATE_KEY_BYTES_MAX,
  STATE_VALUE_BYTES_MAX,
  type StateUpdate,
  stateRoot,
  updateState,
} from './update.ts';
