/** The first block: the document that all members signed becomes the state of height 0. */

import { makeRegistry } from '../../abe/policy/index.ts';
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { checkPublicKey } from '../../codec/signature.ts';
import { toLabelEntry, toLabelSpec } from '../entries/labels.ts';
import { encodeLeaf, entryId, type Leaf } from '../entries/leaf.ts';
import { decodeGenesis, type GenesisDocument } from '../entries/members.ts';
import { genesisMessage } from '../entries/proofs.ts';
import type { BlockOutcome } from './apply.ts';
import { enrolMember } from './membership.ts';
import { quorumOf } from './quorum.ts';
import type { MachineHost } from './rule.ts';
import { EMPTY_STATE, Overlay, STATE } from './state.ts';

function refused(expected: string): never {
  throw new CodedError('genesis.invalid', `expected a genesis with ${expected}`);
}

function checkDocument(document: GenesisDocument): void {
  const { members, operators, threshold, chainId } = document;
  const ids = new Set(members.map(({ id }) => id));
  if (ids.size !== members.length) refused('distinct member ids');
  const keys = new Set(members.map(({ validatorKey }) => toHex(validatorKey)));
  if (keys.size !== members.length) refused('distinct validator keys');
  if (threshold !== quorumOf(members.length)) refused(`threshold ${quorumOf(members.length)}, the quorum`);
  const isMatched =
    operators.length === members.length && operators.every((one, i) => one.member === members[i].id);
  if (!isMatched) refused('one operator for each member, in the order of the members');
  if (new Set(operators.map(({ subject }) => toHex(subject))).size !== operators.length) {
    refused(`distinct operators for chain ${chainId}`);
  }
  for (const { validatorKey } of members) checkPublicKey({ alg: 'ed25519', key: validatorKey });
  for (const { key } of operators) checkPublicKey(key);
}

/**
 * The state and the one leaf of height 0. Throws `genesis.invalid`, `entry.malformed`, `policy.registry` or
 * `signature.bad_key`; every member's validator key must have signed the document.
 */
export function applyGenesis(bytes: Uint8Array, host: MachineHost): BlockOutcome {
  const { document, signatures, decoded } = decodeGenesis(bytes);
  checkDocument(decoded);
  const message = genesisMessage(document);
  const isSigned =
    signatures.length === decoded.members.length &&
    decoded.members.every(({ validatorKey }, i) =>
      host.verifies({ alg: 'ed25519', key: validatorKey }, message, signatures[i]),
    );
  if (!isSigned) refused('a signature of each member, in their order');

  const { chainId, time, threshold, members, operators } = decoded;
  const state = new Overlay(EMPTY_STATE);
  const registry = makeRegistry(decoded.labels.map(toLabelSpec));
  for (const { label } of decoded.labels) {
    const spec = registry.get(label);
    if (spec !== undefined) state.set(STATE.label(label), toLabelEntry(spec));
  }
  state.set(
    STATE.labels,
    decoded.labels.map(({ label }) => label),
  );
  state.set(
    STATE.members,
    members.map(({ id }) => id),
  );
  members.forEach((member, i) => {
    enrolMember(state, member, operators[i], i, time);
  });
  state.set(STATE.validators(0), {
    from: 1,
    validators: members.map(({ id, validatorKey }) => ({ member: id, key: validatorKey })),
  });
  state.set(STATE.chain, { chainId, time, height: 0, threshold, validatorEpoch: 0, shareEpoch: null });
  const leaf: Leaf = { height: 0, index: 0, time, tx: bytes, item: 0, result: {} };
  const encoded = encodeLeaf(leaf);
  return {
    changes: state.changes(),
    leaves: [{ leaf, bytes: encoded, id: entryId(encoded) }],
    outcomes: [],
  };
}
