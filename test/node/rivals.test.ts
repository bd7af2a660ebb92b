/**
 * Requests that are each fine alone and exclude each other: one is committed, the other refused, long before the half minute that
 * views growing to their longest time-out would take.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hasCode } from '../../src/codec/errors.ts';
import { subjectId } from '../../src/codec/ids.ts';
import { startTown, type Town } from './consortium.ts';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterAll(() => town?.close());

it('commits one of two enrolments of one subject at every member, and refuses the other', async () => {
  const members = [...town.consortium.nodes.keys()];
  for (const [i, member] of members.entries()) {
    const node = town.node(member);
    const subject = subjectId(`${i}`.repeat(32));
    const by = { account: 'admin', subject: node.operator, custody: 'gateway' } as const;
    const enrol = () =>
      node.subjects.enrol(by, { kind: 'person', custody: 'gateway', subject, identifiers: [] });
    const answers = await Promise.allSettled([enrol(), enrol()]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    for (const answer of answers) {
      if (answer.status === 'rejected') expect(hasCode(answer.reason, 'subject.exists')).toBe(true);
    }
  }
}, 60_000);
