/** Proposal, Approval, Evidence: what a majority or a quorum of members decides, and who may lead. */

import { withLabel } from '../../abe/policy/index.ts';
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { MEMBERS_MAX, MEMBERS_MIN, PROPOSAL_MS_MAX } from '../entries/bounds.ts';
import type { EligibilityClear, Proposal, Reconfig } from '../entries/governance.ts';
import { toLabelEntry, toLabelSpec } from '../entries/labels.ts';
import type { RegistryPut } from '../entries/subjects.ts';
import { abortShares, checkAbort, checkRenew, openCeremony, renewShares } from './ceremony.ts';
import { admitMember, checkAdmission, checkUpToDate, removeMember } from './membership.ts';
import { EVIDENCE_COST } from './meter.ts';
import { registryOf } from './policies.ts';
import { majorityOf, quorumOf } from './quorum.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import { NOTHING, type Rule, type RuleContext } from './rule.ts';
import { type ProposalState, STATE } from './state.ts';
import { checkShared, grantShared } from './subjects.ts';

/** Labels of a registry that are copied in a microsecond. */
const LABELS_PER_UNIT = 8;

/** Approvals that a proposal of `kind` needs among `n` members. */
export function approvalsNeeded(kind: Proposal['kind'], n: number): number {
  return kind === 'Reconfig' ? quorumOf(n) : majorityOf(n);
}

/** Adds labels and values; throws `policy.registry` when something fixed for ever would change. */
function putLabels({ state }: RuleContext, body: RegistryPut): void {
  const labels = [...(state.get(STATE.labels) ?? [])];
  let registry = registryOf(state);
  for (const entry of body.labels) {
    registry = withLabel(registry, toLabelSpec(entry));
    const spec = registry.get(entry.label);
    if (spec !== undefined) state.set(STATE.label(entry.label), toLabelEntry(spec));
    if (!labels.includes(entry.label)) labels.push(entry.label);
  }
  // Written even when only values were added: the list's identity names the registry.
  state.set(STATE.labels, labels);
}

function checkReconfig(context: RuleContext, body: Reconfig): void {
  const { state, chain } = context;
  if (state.get(STATE.validators(chain.validatorEpoch + 1)) !== undefined) refuse('reconfig.pending');
  // The members of a ceremony stay the same until its end (ledger-security rule 26).
  if (openCeremony(state) !== undefined) refuse('share.ceremony_open');
  const members = state.get(STATE.members) ?? [];
  const n = members.length + (body.add === null ? -1 : 1);
  if (n < MEMBERS_MIN || n > MEMBERS_MAX) refuse('reconfig.members');
  if (body.add !== null) checkAdmission(context, body.add);
  else if (body.remove === null || !members.includes(body.remove)) refuse('member.unknown');
}

function checkClear({ state }: RuleContext, { member }: EligibilityClear): void {
  if (state.get(STATE.eligibility(member)) === undefined) refuse('member.unknown');
}

/** Each label makes a new registry. */
function spendLabels({ state, meter }: RuleContext, body: RegistryPut): void {
  const size = (state.get(STATE.labels) ?? []).length + body.labels.length;
  meter.spend(body.labels.length * (1 + Math.ceil(size / LABELS_PER_UNIT)));
}

/** Throws unless the proposal could take effect now; asked before it is voted on. */
function checkProposal(context: RuleContext, proposal: Proposal): void {
  switch (proposal.kind) {
    case 'RegistryPut': {
      spendLabels(context, proposal.body);
      let registry = registryOf(context.state);
      for (const entry of proposal.body.labels) registry = withLabel(registry, toLabelSpec(entry));
      return;
    }
    case 'AttributeSet':
      checkShared(context, proposal.body);
      return;
    case 'Reconfig':
      checkReconfig(context, proposal.body);
      if (proposal.body.add !== null) checkUpToDate(context, proposal.body.add);
      return;
    case 'EligibilityClear':
      checkClear(context, proposal.body);
      return;
    case 'ShareRenew':
      checkRenew(context, proposal.body);
      return;
    case 'ShareAbort':
      checkAbort(context, proposal.body);
      return;
  }
}

/** Gives effect to an approved proposal, checked against the state of now. */
function enact(context: RuleContext, proposal: Proposal): void {
  switch (proposal.kind) {
    case 'RegistryPut':
      spendLabels(context, proposal.body);
      putLabels(context, proposal.body);
      return;
    case 'AttributeSet':
      grantShared(context, proposal.body);
      return;
    case 'Reconfig': {
      checkReconfig(context, proposal.body);
      const { add, remove } = proposal.body;
      if (add !== null) admitMember(context, add);
      if (remove !== null) removeMember(context, remove);
      return;
    }
    case 'EligibilityClear':
      checkClear(context, proposal.body);
      context.state.remove(STATE.eligibility(proposal.body.member));
      return;
    case 'ShareRenew':
      checkRenew(context, proposal.body);
      renewShares(context, proposal.body);
      return;
    case 'ShareAbort':
      checkAbort(context, proposal.body);
      abortShares(context);
      return;
  }
}

/** Enacts `proposal` once enough of today's members approved. */
function tally(context: RuleContext, proposal: ProposalState): ProposalState {
  const members = context.state.get(STATE.members) ?? [];
  const count = proposal.approvals.filter((member) => members.includes(member)).length;
  if (count < approvalsNeeded(proposal.kind, members.length)) return proposal;
  enact(context, proposal);
  return { ...proposal, executed: true };
}

export const proposal: Rule<'Proposal'> = (context, body) => {
  const { state, time } = context;
  const own = requireRight(context, ['operator']);
  if (body.until <= time || body.until > time + PROPOSAL_MS_MAX) refuse('proposal.until');
  checkProposal(context, body);
  const next = tally(context, { ...body, approvals: [own], executed: false });
  return {
    result: { approvals: 1, executed: next.executed },
    withId: (_, id) => state.set(STATE.proposal(id), next),
  };
};

export const approval: Rule<'Approval'> = (context, body) => {
  const { state, time } = context;
  const own = requireRight(context, ['operator']);
  const key = STATE.proposal(toHex(body.proposal));
  const before = state.get(key);
  if (before === undefined) refuse('proposal.unknown');
  if (before.executed || before.until <= time) refuse('proposal.closed');
  if (before.approvals.includes(own)) refuse('proposal.approved');
  const next = tally(context, { ...before, approvals: [...before.approvals, own] });
  state.set(key, next);
  return { result: { approvals: next.approvals.length, executed: next.executed } };
};

/** Epochs back, the current one counted, from which evidence is taken: older keys may have been given up. */
const EVIDENCE_EPOCHS = 2;

/** Bars a validator from leading; it keeps its vote, since quorums never shrink. */
export const evidence: Rule<'Evidence'> = (context, body) => {
  const { state, chain, host, height, meter } = context;
  requireRight(context, ['operator']);
  meter.spend(EVIDENCE_COST);
  const culprit = host.culpritOf(body.evidence, chain.chainId);
  if (culprit === undefined) refuse('evidence.invalid');
  const { key, epoch, height: about } = culprit;
  const isRecent = epoch <= chain.validatorEpoch && epoch > chain.validatorEpoch - EVIDENCE_EPOCHS;
  const validators = isRecent ? (state.get(STATE.validators(epoch))?.validators ?? []) : [];
  const member = validators.find((validator) => equalBytes(validator.key, key))?.member;
  if (member === undefined) refuse('evidence.invalid');
  const once = STATE.evidence(member, about);
  if (state.get(once) !== undefined) refuse('evidence.known');
  state.set(once, { height });
  if (state.get(STATE.eligibility(member)) === undefined)
    state.set(STATE.eligibility(member), { since: height });
  return { result: NOTHING };
};
