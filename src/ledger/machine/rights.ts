/** Rights: attributes of the reserved label `right`, qualified by the member they are for (docs/entries.md). */
import { holds } from './holding.ts';
import { attributeOf } from './policies.ts';
import { refuse } from './refusal.ts';
import type { RuleContext } from './rule.ts';
import { STATE, type StateView } from './state.ts';

export const RIGHTS = [
  'operator',
  'registrar',
  'author',
  'indexer',
  'privacy',
  'emergency',
  'auditor',
  'counts',
] as const;
export type Right = (typeof RIGHTS)[number];

export const RIGHT_LABEL = 'right';

/** Printed attribute of a right. */
export function rightAttribute(member: string, right: Right): string {
  return `${member}/${RIGHT_LABEL}:${right}`;
}

/** Whether a printed attribute is a right to count, of any member: it earns the number of a search's hits and nothing of them. */
export function isRightToCount(attribute: string): boolean {
  const { label, value } = attributeOf(attribute);
  return label === RIGHT_LABEL && value === 'counts';
}

/**
 * Whether `subject` may use `right` for its own member at `time`: it holds the right, or `operator`. Nobody has rights
 * for a member that has left the consortium.
 */
export function hasRight(view: StateView, subject: string, right: Right, time: number): boolean {
  const member = view.get(STATE.subject(subject))?.member;
  if (member === undefined || view.get(STATE.member(member)) === undefined) return false;
  return (
    holds(view, subject, rightAttribute(member, right), time) ||
    holds(view, subject, rightAttribute(member, 'operator'), time)
  );
}

/** The signer's member, if the signer has one of `rights` for it and it is `member` (any, when that is left out). */
export function requireRight(context: RuleContext, rights: readonly Right[], member?: string): string {
  const { state, signer, time } = context;
  const own = state.get(STATE.subject(signer.id))?.member;
  if (own === undefined || (member !== undefined && own !== member)) {
    refuse('right.missing', { right: rights[0], ...(member === undefined ? {} : { member }) });
  }
  if (!rights.some((right) => hasRight(state, signer.id, right, time))) {
    refuse('right.missing', { right: rights[0], member: own });
  }
  return own;
}
