/** Who belongs to the consortium: the genesis members, admission, leaving, and the validators of each epoch. */
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { checkpointOrigin, parseCheckpoint, verifyCheckpoint } from '../checkpoint/index.ts';
import { ADMISSION_BLOCKS_MAX } from '../entries/bounds.ts';
import type { Admission } from '../entries/governance.ts';
import type { GenesisOperator, Member } from '../entries/members.ts';
import { admissionMessage } from '../entries/proofs.ts';
import { setAttribute } from './holding.ts';
import { COSIGNATURE_COST, KEY_PROOF_COST } from './meter.ts';
import { checkNewKey } from './public-keys.ts';
import { refuse } from './refusal.ts';
import { rightAttribute } from './rights.ts';
import type { RuleContext } from './rule.ts';
import { type Overlay, STATE } from './state.ts';

/** Heights after the one that decides at which a new validator set votes first (ledger-security 26). */
export const RECONFIG_DELAY = 2;

/** The member and its first operator, who holds `<member>/right:operator`. Keys were checked by the caller. */
export function enrolMember(
  state: Overlay,
  member: Member,
  operator: GenesisOperator,
  index: number,
  time: number,
): void {
  const id = toHex(operator.subject);
  state.set(STATE.member(member.id), { ...member, index });
  state.set(STATE.subject(id), {
    member: member.id,
    kind: 'person',
    custody: 'client',
    keys: [{ alg: operator.key.alg, key: operator.key.key, retired: false }],
    hpkeKey: operator.hpkeKey,
    generation: 0,
    revoked: false,
  });
  setAttribute(state, id, rightAttribute(member.id, 'operator'), null, time);
}

function membersOf(state: Overlay): readonly Member[] {
  return (state.get(STATE.members) ?? []).map((id) => {
    const member = state.get(STATE.member(id));
    if (member === undefined) throw new Error(`state damaged: member ${id} is listed and absent`);
    return member;
  });
}

export function checkAdmission({ state, chain, host, meter }: RuleContext, admission: Admission): void {
  meter.spend(2 * KEY_PROOF_COST);
  const { member, operator, checkpoint, proof } = admission;
  const present = membersOf(state);
  const validatorKey = { alg: 'ed25519', key: member.validatorKey } as const;
  checkNewKey(validatorKey);
  checkNewKey(operator.key);
  const taken = (one: Member): boolean =>
    one.id === member.id || toHex(one.validatorKey) === toHex(member.validatorKey);
  const wasMember = state.get(STATE.former(member.id)) !== undefined;
  if (wasMember || present.some(taken) || operator.member !== member.id) refuse('reconfig.members');
  if (state.get(STATE.subject(toHex(operator.subject))) !== undefined) refuse('subject.exists');
  if (!host.verifies(validatorKey, admissionMessage(chain.chainId, member, operator, checkpoint), proof)) {
    refuse('subject.proof');
  }
}

/**
 * Throws unless the newcomer's checkpoint is a quorum's, of the validators of now or of the epoch before, and at most 256
 * blocks old (ledger-security rule 26). Asked when the admission is proposed: people need longer to approve it.
 */
export function checkUpToDate({ state, chain, height, meter }: RuleContext, { checkpoint }: Admission): void {
  const isRecent = (): boolean => {
    try {
      const { epoch } = parseCheckpoint(checkpoint).checkpoint;
      const set = epoch < chain.validatorEpoch - 1 ? undefined : state.get(STATE.validators(epoch));
      if (set === undefined) return false;
      meter.spend(set.validators.length * COSIGNATURE_COST);
      const origin = checkpointOrigin(chain.chainId);
      const verified = verifyCheckpoint(checkpoint, origin, { epoch, validators: set.validators });
      return verified.checkpoint.height >= height - ADMISSION_BLOCKS_MAX;
    } catch (error) {
      if (hasFamily(error, 'checkpoint')) return false;
      throw error;
    }
  };
  if (!isRecent()) refuse('reconfig.checkpoint', { blocks: ADMISSION_BLOCKS_MAX });
}

const hasFamily = (error: unknown, family: string): boolean =>
  error instanceof CodedError && error.code.startsWith(`${family}.`);

export function admitMember(context: RuleContext, { member, operator }: Admission): void {
  const { state, time } = context;
  const index = 1 + Math.max(...membersOf(state).map(({ id }) => state.get(STATE.member(id))?.index ?? 0));
  enrolMember(state, member, operator, index, time);
  state.set(STATE.members, [...(state.get(STATE.members) ?? []), member.id]);
  scheduleValidators(context);
}

/** Its subjects stay enrolled and lose the rights that only a member gives; its name is not given again. */
export function removeMember(context: RuleContext, id: string): void {
  const { state, height } = context;
  state.set(STATE.former(id), { height });
  state.set(
    STATE.members,
    (state.get(STATE.members) ?? []).filter((one) => one !== id),
  );
  state.remove(STATE.member(id));
  scheduleValidators(context);
}

/** The members of now vote from two heights on. */
function scheduleValidators({ state, chain, height }: RuleContext): void {
  const validators = membersOf(state).map(({ id, validatorKey }) => ({ member: id, key: validatorKey }));
  state.set(STATE.validators(chain.validatorEpoch + 1), { from: height + RECONFIG_DELAY, validators });
}
