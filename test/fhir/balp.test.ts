import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type AuditEntryView, type BalpAuditEvent, toBalpAuditEvents } from '../../src/fhir/index.ts';
import { AUDIT_EVENT, type AuditEvent } from './r4.ts';
import { PATIENT } from './shared.ts';

/** What goes over the wire, held to the standard's elements. */
const asFhir = (event: BalpAuditEvent): AuditEvent => AUDIT_EVENT.parse(JSON.parse(JSON.stringify(event)));

const ENTRY = 'ab'.repeat(32);
const RECORD = 'cd'.repeat(32);
const CONSENT = 'ef'.repeat(32);
const ACTOR = '99'.repeat(16);
const GRANTED = { granted: true, reason: 'ok' };
const DENIED = { granted: false, reason: 'policy' };

const view = (over: Partial<AuditEntryView>): AuditEntryView => ({
  kind: 'read',
  entryId: ENTRY,
  time: Date.UTC(2026, 2, 1, 12, 30),
  actor: ACTOR,
  actorMember: 'st-luke',
  custodian: 'mercy',
  purpose: 'treatment',
  ...over,
});
const record = { record: RECORD, version: 2, patient: PATIENT };

const one = (over: Partial<AuditEntryView>): AuditEvent => {
  const events = toBalpAuditEvents(view(over)).map(asFhir);
  expect(events).toHaveLength(1);
  return events[0];
};
const profileOf = (event: AuditEvent) => event.meta?.profile?.map((url) => url.split('IHE.BasicAudit.')[1]);
const agentTypes = (event: AuditEvent) => event.agent.map(({ type }) => type?.coding?.[0].code);
const entityTypes = (event: AuditEvent) =>
  event.entity?.map(({ type, role }) => `${type?.code}/${role?.code ?? '-'}`);

describe('BALP REST profiles: code, action, agents and entities', () => {
  it.each([
    ['create', 'PatientCreate', 'C', 'create', ['110153', '110152', 'AUT']],
    ['read', 'PatientRead', 'R', 'read', ['110152', '110153', 'IRCP']],
    ['update', 'PatientUpdate', 'U', 'update', ['110153', '110152', 'AUT']],
    ['delete', 'PatientDelete', 'D', 'delete', ['110150', 'custodian', 'AUT']],
  ] as const)('%s is %s', (kind, profile, action, interaction, agents) => {
    const event = one({ kind, records: [{ ...record, verdict: GRANTED }] });
    expect(profileOf(event)).toEqual([profile]);
    expect(event).toMatchObject({
      action,
      outcome: '0',
      recorded: '2026-03-01T12:30:00.000Z',
      type: { code: 'rest' },
    });
    expect(event.subtype?.map(({ code }) => code)).toEqual([interaction]);
    expect(agentTypes(event)).toEqual(agents);
    expect(event.agent.map(({ requestor }) => requestor)).toEqual([false, false, true]);
    expect(event.agent.slice(0, 2).map(({ network }) => network?.address)).toEqual(['st-luke', 'mercy']);
    expect(entityTypes(event)).toEqual(['2/4', '1/1']);
    expect(event.entity?.[0].what?.identifier?.value).toBe(RECORD);
    expect(event.entity?.[1].what).toMatchObject({ type: 'Patient', identifier: { value: PATIENT } });
  });

  it('records without a patient take the plain profiles', () => {
    expect(profileOf(one({ kind: 'create', records: [{ record: RECORD, version: 0 }] }))).toEqual(['Create']);
  });

  it('a query carries its text in base64 and no keyword', () => {
    const event = one({
      kind: 'query',
      verdict: GRANTED,
      query: { field: 'condition', count: 4, blindedHash: new Uint8Array(32).fill(7) },
    });
    expect(profileOf(event)).toEqual(['Query']);
    expect(event).toMatchObject({ action: 'E', subtype: [{ code: 'search' }] });
    expect(entityTypes(event)).toEqual(['2/24']);
    expect(atob(event.entity?.[0].query ?? '')).toBe(`field=condition&count=4&blinded=${'07'.repeat(32)}`);
  });

  it('a consent is created by a request and updated by its answer', () => {
    const change = (change: 'request' | 'accept' | 'reject' | 'revoke') =>
      one({ kind: 'consent', patient: PATIENT, consent: { id: CONSENT, change } });
    expect(
      [change('request'), change('accept'), change('reject'), change('revoke')].map((event) => event.action),
    ).toEqual(['C', 'U', 'U', 'U']);
    expect(change('revoke').entity?.[0]).toMatchObject({
      what: { type: 'Consent', identifier: { value: CONSENT } },
      detail: [{ type: 'change', valueString: 'revoke' }],
    });
  });

  it('breaking the glass is a read with the override and its purpose', () => {
    const event = one({ kind: 'break-glass', records: [{ ...record, verdict: GRANTED }] });
    expect(event.subtype?.map(({ code }) => code)).toEqual(['read', '110127']);
    const codes = event.purposeOfEvent?.map(({ coding }) => coding?.[0].code);
    expect(codes).toEqual(['TREAT', 'BTG']);
    expect(event.agent[2].purposeOfUse?.map(({ coding }) => coding?.[0].code)).toEqual(codes);
  });
});

describe('a refused access', () => {
  it('claims no profile of success and gives the reason', () => {
    const event = one({ records: [{ ...record, verdict: DENIED }] });
    expect(event.meta).toBeUndefined();
    expect(event).toMatchObject({ outcome: '8', outcomeDesc: 'policy', action: 'R' });
  });

  it('of a query likewise', () => {
    expect(one({ kind: 'query', verdict: { granted: false, reason: 'budget' } })).toMatchObject({
      outcome: '8',
      outcomeDesc: 'budget',
    });
  });
});

describe('access that rested on a consent', () => {
  it.each([GRANTED, DENIED])('is followed by an authorization decision: %j', (verdict) => {
    const events = toBalpAuditEvents(view({ records: [{ ...record, verdict, consent: CONSENT }] })).map(
      asFhir,
    );
    expect(events).toHaveLength(2);
    const [, decision] = events;
    expect(profileOf(decision)).toEqual(['AuthZconsent']);
    expect(decision).toMatchObject({
      type: { code: '110113' },
      action: 'E',
      outcome: verdict.granted ? '0' : '8',
    });
    expect(agentTypes(decision)).toEqual(['110150', 'IRCP', 'PROV', 'authserver']);
    expect(decision.agent[3].who).toEqual(decision.source.observer);
    expect(decision.entity?.map(({ type }) => type?.code)).toEqual(['1', 'Consent']);
    expect(decision.entity?.[1].what?.identifier?.value).toBe(CONSENT);
  });
});

describe('one entry of many records', () => {
  it('gives an event each, with ids of their own that FHIR allows, all naming the entry', () => {
    const records = Array.from({ length: 256 }, (_, i) => ({
      ...record,
      record: i.toString(16).padStart(64, '0'),
      verdict: GRANTED,
    }));
    const events = toBalpAuditEvents(view({ records })).map(asFhir);
    const ids = new Set(events.map(({ id }) => id));
    expect(ids.size).toBe(256);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9.-]{1,64}$/);
    for (const event of events) expect(event.extension?.[0].valueIdentifier?.value).toBe(ENTRY);
  });

  it('names the custodian of each record', () => {
    const records = [record, { ...record, custodian: 'university' }];
    const events = toBalpAuditEvents(view({ records })).map(asFhir);
    expect(events.map(({ source }) => source.observer.identifier?.value)).toEqual(['mercy', 'university']);
    expect(events.map(({ agent }) => agent[1].who?.identifier?.value)).toEqual(['mercy', 'university']);
  });

  it('without records gives none', () => {
    expect(toBalpAuditEvents(view({}))).toEqual([]);
  });
});

it('docs/format/fhir.md shows the event that this code makes', () => {
  const document = readFileSync(new URL('../../docs/format/fhir.md', import.meta.url), 'utf8');
  const shown = /<!-- audit-event -->\s*```json\n([\s\S]*?)```/.exec(document)?.[1] ?? '';
  expect(JSON.parse(shown)).toEqual(
    JSON.parse(JSON.stringify(one({ records: [{ ...record, verdict: GRANTED }] }))),
  );
});
