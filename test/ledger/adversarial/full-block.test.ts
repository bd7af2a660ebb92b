/** More work than one block may cost is work for several blocks: nobody is refused, and nobody's block is held up. */
import { expect, test } from 'vitest';
import { fromHex } from '../../../src/codec/bytes.ts';
import { ceremony, enrolment, MEMBER_IDS, operatorOf, recordItem, recordOf, subjectOf } from '../support.ts';
import { startConsortium } from './consortium.ts';

test('forty costly accesses at once are all committed, over several blocks', async () => {
  const { members, writer, stop } = await startConsortium();
  try {
    const [{ engine, node }] = members;
    const submit = (request: Uint8Array) => node.submit(request);
    const operator = operatorOf('alder');
    for (const member of MEMBER_IDS)
      await submit(writer.request(operatorOf(member), 'ShareEpoch', ceremony()));
    for (const [name, attribute] of [
      ['import', 'right:author'],
      ['ada', 'role:doctor'],
    ]) {
      await submit(writer.request(operator, 'SubjectPut', enrolment(name, 'alder')));
      const body = { subject: subjectOf(name), attribute: `alder/${attribute}`, until: null };
      await submit(writer.request(operator, 'AttributeSet', body));
    }
    const units = Array.from({ length: 50 }, (_, i) => `alder/unit:u${i}${'x'.repeat(220)}`);
    const long = ['alder/role:doctor', ...units].join(' or ');
    const names = Array.from({ length: 256 }, (_, i) => `r${i}`);
    for (let i = 0; i < names.length; i += 32) {
      const records = names.slice(i, i + 32).map((name) => recordItem(name, long));
      await submit(writer.request('import', 'RecordPut', { records }));
    }
    await submit(writer.request('ada', 'KeyIssue', { attributes: ['alder/role:doctor'], stepUp: null }));
    const [{ id }] = engine.entries({ kind: 'KeyIssue' }, { limit: 1 }).entries;
    const records = names.map((name) => ({ record: recordOf(name), version: 0 }));
    const body = { keyId: fromHex(id), generation: 0, records, purpose: 'treatment' } as const;
    const before = engine.head.height;
    const answers = await Promise.allSettled(
      Array.from({ length: 40 }, () => submit(writer.request('ada', 'Access', body))),
    );
    const refused = answers.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    expect(refused).toEqual([]);
    expect(engine.head.height - before).toBeGreaterThan(1);
    expect(engine.entries({ kind: 'Access' }, { limit: 100 }).entries).toHaveLength(40);
    for (const { node: each } of members) expect(each.status().view).toBe(0);
  } finally {
    await stop();
  }
});
