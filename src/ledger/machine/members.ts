/** MemberPut, and the first members of the genesis. */
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import { NOTHING, type Rule } from './rule.ts';
import { STATE } from './state.ts';

/** Replaces the contact data of the signer's own member. */
export const memberPut: Rule<'MemberPut'> = (context, body) => {
  requireRight(context, ['operator'], body.member);
  const key = STATE.member(body.member);
  const before = context.state.get(key);
  if (before === undefined) refuse('member.unknown');
  const { url, linkKey, hpkeKey, indexerKey } = body;
  context.state.set(key, { ...before, url, linkKey, hpkeKey, indexerKey });
  return { result: NOTHING };
};
