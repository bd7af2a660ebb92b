/**
 * Thousands of random actions by random actors, each answered by the state machine exactly as by the plain model beside
 * it; then the whole ledger is replayed. A failing seed stands in the test's name.
 */
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import { type EntryBodies, type EntryType, MachineReplay, STATE } from '../../../src/ledger/index.ts';
import {
  MINUTE_MS,
  operatorOf,
  policy,
  recordItem,
  recordOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';
import { Model, type ModelPolicy } from './model.ts';

const SEEDS = [1, 2, 3, 10, 14, 16, 27];
const STEPS = 250;

const PEOPLE = ['ada', 'bob', 'cleo'];
const PATIENTS = ['pat', 'quin'];
const ATTRIBUTES = [
  ...['doctor', 'nurse', 'lab'].map((role) => `alder/role:${role}`),
  'alder/unit:u1',
  'alder/unit:u2',
  'alder/age:30',
  'alder/age:31',
  'birch/unit:u1',
  'birch/role:doctor',
  'birch/role:nurse',
  'birch/age:5',
  'birch/age:6',
];
const POLICIES: readonly ModelPolicy[] = [
  { text: 'alder/role:doctor', holds: (has) => has.has('alder/role:doctor') },
  {
    text: 'alder/role:nurse and (alder/unit:u1 or birch/unit:u1)',
    holds: (has) => has.has('alder/role:nurse') && (has.has('alder/unit:u1') || has.has('birch/unit:u1')),
  },
  {
    text: `alder/role:lab or consent:${subjectHex('pat')}`,
    holds: (has) => has.has('alder/role:lab') || has.has('consent:pat'),
  },
  { text: 'alder/age >= 31', holds: (has) => has.has('alder/age:31') },
  {
    text: `2 of (alder/role:doctor, alder/unit:u2, consent:${subjectHex('quin')})`,
    holds: (has) =>
      [has.has('alder/role:doctor'), has.has('alder/unit:u2'), has.has('consent:quin')].filter(Boolean)
        .length >= 2,
  },
  {
    text: 'birch/role != nurse',
    holds: (has, also) => has.has('birch/role:doctor') && !also.has('birch/role:nurse'),
  },
  {
    text: 'not alder/role:nurse',
    holds: (has, also) =>
      ['doctor', 'lab'].some((role) => has.has(`alder/role:${role}`)) && !also.has('alder/role:nurse'),
  },
];

/** mulberry32: the same numbers from a seed everywhere. */
function numbers(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

class Run {
  readonly model = new Model();
  readonly ledger: TestLedger;
  readonly #draw: (below: number) => number;
  readonly #sent: { readonly request: Uint8Array; readonly expiresAt: number }[] = [];
  #records = 0;

  constructor(ledger: TestLedger, seed: number) {
    this.ledger = ledger;
    this.#draw = numbers(seed);
  }

  async begin(): Promise<void> {
    await this.ledger.openShares();
    await this.ledger.enrol('import', 'alder', ['right:author']);
    for (const name of PEOPLE) {
      await this.ledger.enrol(name, 'alder');
      this.model.enrol(name, 'alder', false);
    }
    for (const name of PATIENTS) {
      await this.ledger.enrol(name, 'alder', [], 'patient');
      this.model.enrol(name, 'alder', true);
    }
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#draw(list.length)];
  }

  /** The printed attribute, with the model's short names of patients spelt out. */
  #printed(attribute: string): string {
    const [label, name] = attribute.split(':');
    return label === 'consent' || label === 'patient' ? `${label}:${subjectHex(name)}` : attribute;
  }

  /** Sends a request; the entry when it is accepted. What it is refused with must be what the model says. */
  async #send<K extends EntryType>(name: string, type: K, body: EntryBodies[K], refusal: string | undefined) {
    const request = this.ledger.request(name, type, body);
    const got = await this.ledger.refusalOf(request);
    expect(got, `${type} by ${name}`).toBe(refusal ?? 'none');
    if (got !== 'none') return undefined;
    this.#sent.push({ request, expiresAt: this.ledger.time + MINUTE_MS });
    const [entry] = await this.ledger.block([request]);
    return entry;
  }

  /** What was executed once is executed no more, early or late. */
  async #replay(): Promise<void> {
    if (this.#sent.length === 0) return;
    const { request, expiresAt } = this.#one([...this.#sent.slice(-20), this.#one(this.#sent)]);
    const refusal = expiresAt <= this.ledger.time ? 'tx.expiry' : 'tx.duplicate';
    expect(await this.ledger.refusalOf(request)).toBe(refusal);
  }

  async step(): Promise<void> {
    const { model, ledger } = this;
    ledger.time += this.#draw(8) === 0 ? this.#draw(8) * MINUTE_MS : 1;
    const { time } = ledger;
    const who = this.#one([...PEOPLE, ...PEOPLE, ...PATIENTS]);
    switch (this.#draw(25)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const attribute = this.#one(ATTRIBUTES);
        const until = this.#draw(3) === 0 ? time + this.#draw(10) * MINUTE_MS : null;
        const refusal = model.set(who, attribute, until, time);
        const issuer = operatorOf(attribute.slice(0, attribute.indexOf('/')));
        const body = { subject: subjectOf(who), attribute, until };
        await this.#send(issuer, 'AttributeSet', body, refusal);
        break;
      }
      case 4: {
        const attribute = this.#one(ATTRIBUTES);
        const refusal = model.end(who, attribute, time);
        const issuer = operatorOf(attribute.slice(0, attribute.indexOf('/')));
        await this.#send(issuer, 'AttributeEnd', { subject: subjectOf(who), attribute }, refusal);
        break;
      }
      case 5:
      case 6:
      case 7:
      case 8: {
        const attributes = this.#some(who, time);
        const refusal = model.keyRefusal(who, attributes, time);
        const body = { attributes: attributes.map((one) => this.#printed(one)), stepUp: null };
        const entry = await this.#send(who, 'KeyIssue', body, refusal);
        if (entry === undefined) break;
        const { generation } = model.subject(who);
        expect(entry.leaf.result).toEqual({ generation, shareEpoch: 0 });
        model.keys.set(entry.id, { subject: who, generation, attributes: new Set(attributes) });
        break;
      }
      case 9: {
        const keyId = this.#one([...model.keys.keys(), toHex(recordOf('no key'))]);
        const attributes = this.#some(who, time);
        const refusal = model.extend(who, keyId, attributes, time);
        const body = { keyId: fromHex(keyId), attributes: attributes.map((one) => this.#printed(one)) };
        await this.#send(who, 'KeyExtend', body, refusal);
        break;
      }
      case 10:
      case 11: {
        const name = `r${this.#records++}`;
        const chosen = this.#one(POLICIES);
        await this.#send('import', 'RecordPut', { records: [recordItem(name, chosen.text)] }, undefined);
        model.records.set(name, { version: 0, policy: chosen, erased: false });
        break;
      }
      case 12:
        await this.#change();
        break;
      case 13:
      case 14: {
        const patient = this.#one(PATIENTS);
        const until = time + (1 + this.#draw(30)) * MINUTE_MS;
        const refusal =
          model.subject(who).revoked || model.subject(patient).revoked ? 'subject.revoked' : undefined;
        const body = { patient: subjectOf(patient), until, purpose: 'treatment' } as const;
        const entry = await this.#send(who, 'ConsentRequest', body, refusal);
        if (entry !== undefined)
          model.consents.set(entry.id, { patient, grantee: who, until, state: 'requested' });
        break;
      }
      case 15:
      case 16: {
        const id = this.#one([...model.consents.keys(), toHex(recordOf('no consent'))]);
        const speaker = this.#draw(4) === 0 ? who : (model.consents.get(id)?.patient ?? who);
        const accept = this.#draw(4) !== 0;
        const until = this.#draw(2) === 0 ? null : time + this.#draw(20) * MINUTE_MS;
        const refusal = model.answer(id, speaker, accept, until, time);
        const body = { consent: fromHex(id), answer: accept ? 'accept' : 'reject', until } as const;
        await this.#send(speaker, 'ConsentAnswer', body, refusal);
        break;
      }
      case 17: {
        const id = this.#one([...model.consents.keys(), toHex(recordOf('no consent'))]);
        const speaker = model.consents.get(id)?.patient ?? who;
        const refusal = model.withdraw(id, speaker, time);
        await this.#send(speaker, 'ConsentRevoke', { consent: fromHex(id) }, refusal);
        break;
      }
      case 18:
        if (this.#draw(6) === 0) {
          const refusal = model.revoke(who);
          const body = { subject: subjectOf(who), reason: 'left' } as const;
          await this.#send(operatorOf('alder'), 'SubjectRevoke', body, refusal);
        }
        break;
      case 19:
        await this.#replay();
        break;
      default:
        await this.#access(who);
    }
    const { generation, revoked } = model.subject(who);
    const state = ledger.engine.get(STATE.subject(subjectHex(who)));
    expect([state?.generation, state?.revoked]).toEqual([generation, revoked]);
  }

  /** One to four attributes, mostly such as the subject holds. */
  #some(who: string, time: number): string[] {
    const all = [...ATTRIBUTES, ...PATIENTS.map((patient) => `consent:${patient}`)];
    const held = all.filter((one) => this.model.isHeld(who, one, time));
    const from = held.length > 0 && this.#draw(6) !== 0 ? held : all;
    return [...new Set(Array.from({ length: 1 + this.#draw(4) }, () => this.#one(from)))];
  }

  async #change(): Promise<void> {
    const [name, record] = this.#one([...this.model.records]) ?? [];
    if (name === undefined || record === undefined) return;
    if (this.#draw(3) === 0) {
      const refusal = record.erased ? 'record.erased' : undefined;
      await this.#send('import', 'Erase', { record: recordOf(name), reason: 'order' }, refusal);
      record.erased = true;
      return;
    }
    const chosen = this.#one(POLICIES);
    const body = {
      record: recordOf(name),
      version: record.version + 1,
      headerHash: recordOf('header'),
      policy: policy(chosen.text),
      gate: 'record',
      cid: null,
      bytes: null,
      commitment: null,
    } as const;
    const refusal = record.erased ? 'record.erased' : undefined;
    if ((await this.#send('import', 'PolicyChange', body, refusal)) === undefined) return;
    record.version++;
    record.policy = chosen;
  }

  async #access(who: string): Promise<void> {
    const { model, ledger } = this;
    const own = [...model.keys].filter(([, key]) => key.subject === who).map(([id]) => id);
    const from = own.length > 0 && this.#draw(8) !== 0 ? own.slice(-3) : [...model.keys.keys()];
    const keyId = this.#one([...from, ...(this.#draw(20) === 0 ? [toHex(recordOf('no key'))] : [])]);
    if (keyId === undefined) return;
    const current = model.subject(who).generation;
    const generation = this.#draw(10) === 0 ? Math.max(0, current - 1) : current;
    const known = [...model.records];
    const uses = Array.from({ length: 1 + this.#draw(6) }, () => {
      const [record, at] =
        this.#draw(12) === 0 || known.length === 0 ? ['none', undefined] : this.#one(known);
      const version = at === undefined ? 0 : Math.max(0, at.version - (this.#draw(10) === 0 ? 1 : 0));
      return { keyId, generation, record, version };
    });
    const { time } = ledger;
    const refusal = model.subject(who).revoked ? 'subject.revoked' : undefined;
    const reasons = uses.map((use) => model.reason(who, use, time));
    const body: EntryBodies['Access'] = {
      keyId: fromHex(keyId),
      generation,
      records: uses.map(({ record, version }) => ({ record: recordOf(record), version })),
      purpose: 'treatment',
    };
    const entry = await this.#send(who, 'Access', body, refusal);
    if (entry === undefined) return;
    const { verdicts } = entry.leaf.result as { verdicts: { granted: boolean; reason: string }[] };
    expect(verdicts).toEqual(reasons.map((reason) => ({ granted: reason === 'ok', reason })));
    for (const reason of reasons) seen.add(reason);
  }
}

/** Every reason that came up: the runs must not have passed by never asking. */
const seen = new Set<string>();

describe('the state machine and the model', () => {
  test.each(SEEDS)('answer alike, seed %i', async (seed) => {
    const ledger = await TestLedger.open();
    const run = new Run(ledger, seed);
    await run.begin();
    for (let i = 0; i < STEPS; i++) await run.step();

    const { engine } = ledger;
    const replay = new MachineReplay({ verifies: verifySignature, culpritOf: () => undefined });
    await replay.genesis(engine.entryAt(0)?.bytes ?? new Uint8Array());
    let root = new Uint8Array();
    for (let height = 1; height <= engine.head.height; height++) {
      const block = engine.block(height);
      if (block === undefined) throw new Error(`block ${height} is missing`);
      const again = await replay.block({ height, time: block.time }, block.batch);
      expect(again.leaves.map(toHex)).toEqual(block.leaves.map(toHex));
      root = new Uint8Array(again.stateRoot);
    }
    expect(toHex(root)).toBe(toHex(engine.head.stateRoot));
  });

  test('came by every reason', () => {
    const all = [
      'ok',
      'policy',
      'key_stale',
      'key_not_yours',
      'key_unknown',
      'record_unknown',
      'record_erased',
    ];
    expect([...seen].sort()).toEqual([...all, 'version_stale'].sort());
  });
});
