/**
 * Two readings of one policy: the ledger's, by comparing values, and the matrix's, by the leaves that authorities
 * release. They share no code below the parsed policy, and must never differ: a verdict without leaves would be a promise
 * that nobody can keep, leaves without a verdict would open what was denied.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Attribute,
  attributeLeaves,
  compilePolicy,
  gateLeaf,
  parsePolicy,
  reconstruct,
} from '../../../src/abe/policy/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { decideAccess, decideKey, STATE } from '../../../src/ledger/index.ts';
import { registered, registryOf, satisfies } from '../../../src/ledger/machine/policies.ts';
import { heldSet, policies, registry, subjects } from '../../abe/policy/fixtures.ts';
import { recordItem, recordOf, subjectHex, TestLedger } from '../support.ts';

describe('the verdict of the ledger and that of the matrix', () => {
  it('agree on random policies, keys, and what stands beside them', () => {
    let granted = 0;
    let byWhatIsLeftOut = 0;
    fc.assert(
      fc.property(policies, subjects, subjects, (policy, listed, rest) => {
        // The subject holds or has held these too; its key does not say so.
        const against = rest.filter((one) => registry.get(one.label)?.values !== undefined);
        const verdict = satisfies(policy, listed, against, registry);
        const leaves = attributeLeaves(listed, registry, against);
        const opens = reconstruct(compilePolicy(policy, registry, {}), heldSet(leaves)) !== undefined;
        expect(opens).toBe(verdict);
        if (verdict) granted++;
        else if (satisfies(policy, listed, [], registry)) byWhatIsLeftOut++;
      }),
      { numRuns: 2000 },
    );
    expect(granted).toBeGreaterThan(300);
    expect(byWhatIsLeftOut).toBeGreaterThan(20);
  });

  const CONDITIONS = [
    'alder/role:doctor',
    'alder/role:nurse',
    'alder/role != lab',
    'alder/role != doctor',
    'not alder/role in {doctor, nurse}',
    'alder/unit:a',
    'alder/clearance >= 2',
    'alder/age in [18, 64]',
    'not alder/age < 40',
    'birch/role:doctor',
  ];
  const ATTRIBUTES = [
    'role:doctor',
    'role:nurse',
    'unit:a',
    'clearance:1',
    'clearance:3',
    'age:17',
    'age:50',
  ];
  const text: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      fc.constantFrom(...CONDITIONS),
      fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' and ')})`),
      fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' or ')})`),
      fc.array(tie('node'), { minLength: 3, maxLength: 3 }).map((of) => `2 of (${of.join(', ')})`),
    ),
  })).node;
  /** One value a number or level; roles may be several. */
  const held = fc
    .shuffledSubarray(ATTRIBUTES, { minLength: 1 })
    .map((all) =>
      all.filter(
        (one, i) =>
          one.startsWith('role') || all.findIndex((o) => o.split(':')[0] === one.split(':')[0]) === i,
      ),
    );

  it('agree on everything that a state machine with random subjects, keys and records decides', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('import', 'alder', ['right:author']);
    const texts = fc.sample(text, { seed: 1, numRuns: 60 });
    const records = texts.map((policy, i) => recordItem(`r${i}`, policy));
    await ledger.put('import', 'RecordPut', { records });
    let [granted, asked] = [0, 0];
    const people = fc.sample(fc.tuple(held, fc.nat(3)), { seed: 2, numRuns: 12 });
    for (const [i, [attributes, leftOut]] of people.entries()) {
      const name = `subject ${i}`;
      await ledger.enrol(name, 'alder', attributes);
      const keyId = toHex(
        await ledger.key(
          name,
          attributes.slice(Math.min(leftOut, attributes.length - 1)).map((one) => `alder/${one}`),
        ),
      );
      // A second role starts another generation.
      const generation = ledger.engine.get(STATE.subject(subjectHex(name)))?.generation ?? 0;
      const use = { subject: subjectHex(name), keyId, generation };
      const key = decideKey(ledger.engine.state, use, ledger.time);
      if (!key.granted) throw new Error('the key is current');
      const known = registryOf(ledger.engine.state);
      const [listed, against] = [key.attributes, key.against].map((all): readonly Attribute[] =>
        registered(all, known),
      );
      for (const [r, policy] of texts.entries()) {
        const gate = { recordId: recordOf(`r${r}`), version: 0 };
        const leaves = [...attributeLeaves(listed, known, against), gateLeaf(gate.recordId, gate.version)];
        const opens = reconstruct(compilePolicy(parsePolicy(policy), known, { gate }), heldSet(leaves));
        const record = { record: toHex(gate.recordId), version: 0 };
        const verdict = decideAccess(ledger.engine.state, { ...use, ...record }, ledger.time);
        expect(opens !== undefined, `${attributes} against ${policy}`).toBe(verdict.granted);
        asked++;
        if (verdict.granted) granted++;
      }
    }
    expect(asked).toBe(720);
    expect(granted).toBeGreaterThan(60);
    expect(asked - granted).toBeGreaterThan(100);
  });
});
