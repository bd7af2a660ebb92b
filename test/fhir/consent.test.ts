import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ConsentView,
  consentFromFhir,
  consentToFhir,
  type FhirConsent,
  type JsonObject,
  PURPOSES,
} from '../../src/fhir/index.ts';
import { CONSENT, type Consent } from './r4.ts';
import { hasShared, PATIENT, readFiles, sharedFiles, unlessShared } from './shared.ts';

/** What goes over the wire, held to the standard's elements. */
const asFhir = (consent: FhirConsent): Consent => CONSENT.parse(JSON.parse(JSON.stringify(consent)));

const GRANT: ConsentView = {
  id: 'ef'.repeat(32),
  patient: PATIENT,
  grantee: '99'.repeat(16),
  until: Date.UTC(2026, 11, 24, 18),
  purpose: 'treatment',
  state: 'requested',
  time: Date.UTC(2026, 2, 1),
};
/** As it comes over the wire. */
const wire = (over: object = {}): JsonObject =>
  JSON.parse(JSON.stringify({ ...consentToFhir(GRANT), ...over }));
const withProvision = (over: object): JsonObject =>
  wire({ provision: { ...consentToFhir(GRANT).provision, ...over } });

describe('a grant as a FHIR Consent', () => {
  it.each(['requested', 'accepted', 'rejected', 'revoked'] as const)(
    'comes back unchanged when %s',
    (state) => {
      for (const purpose of PURPOSES) {
        const { id, time, ...wish } = { ...GRANT, state, purpose };
        const consent = asFhir(consentToFhir({ id, time, ...wish }));
        expect(consentFromFhir(consent)).toEqual(wish);
      }
    },
  );

  it('has the status that FHIR gives its state', () => {
    const statusOf = (state: ConsentView['state']) => consentToFhir({ ...GRANT, state }).status;
    expect((['requested', 'accepted', 'rejected', 'revoked'] as const).map(statusOf)).toEqual([
      'proposed',
      'active',
      'rejected',
      'inactive',
    ]);
  });

  it('takes an end in any offset', () => {
    const period = { end: '2026-12-24T19:00:00+01:00' };
    expect(consentFromFhir(withProvision({ period })).until).toBe(GRANT.until);
  });

  it('is shown in docs/format/fhir.md', () => {
    const document = readFileSync(new URL('../../docs/format/fhir.md', import.meta.url), 'utf8');
    const shown = /<!-- consent -->\s*```json\n([\s\S]*?)```/.exec(document)?.[1] ?? '';
    expect(JSON.parse(shown)).toEqual(wire());
  });
});

describe('a Consent that says what the ledger cannot hold to is refused, naming the element', () => {
  const actor = consentToFhir(GRANT).provision.actor[0];
  it.each([
    ['resourceType', wire({ resourceType: 'Contract' })],
    ['status', wire({ status: 'draft' })],
    ['scope', wire({ scope: { coding: [{ code: 'research' }] } })],
    ['policyRule', wire({ policyRule: { coding: [{ code: 'OPTOUT' }] } })],
    ['patient', wire({ patient: { reference: 'Patient/1' } })],
    ['modifierExtension', wire({ modifierExtension: [] })],
    ['organization', wire({ organization: [] })],
    ['provision', wire({ provision: undefined })],
    ['provision', wire({ provision: [] })],
    ['provision.type', withProvision({ type: 'deny' })],
    ['provision.provision', withProvision({ provision: [{ type: 'deny' }] })],
    ['provision.class', withProvision({ class: [{ code: 'MedicationRequest' }] })],
    ['provision.dataPeriod', withProvision({ dataPeriod: { end: '2020-01-01' } })],
    ['provision.securityLabel', withProvision({ securityLabel: [{ code: 'R' }] })],
    ['provision.period', withProvision({ period: undefined })],
    [
      'provision.period.start',
      withProvision({ period: { start: '2026-12-24T18:00:00Z', end: '2026-12-24T18:00:00Z' } }),
    ],
    ['provision.period.end', withProvision({ period: { end: '2026-12-24' } })],
    ['provision.period.end', withProvision({ period: { end: '2026-13-24T18:00:00Z' } })],
    ['provision.actor', withProvision({ actor: [actor, actor] })],
    ['provision.actor', withProvision({ actor: [] })],
    ['provision.actor.extension', withProvision({ actor: [{ ...actor, extension: [] }] })],
    ['provision.actor.role', withProvision({ actor: [{ ...actor, role: { coding: [{ code: 'CST' }] } }] })],
    [
      'provision.actor.reference',
      withProvision({ actor: [{ ...actor, reference: { reference: 'Practitioner/1' } }] }),
    ],
    ['provision.action', withProvision({ action: [{ coding: [{ code: 'disclose' }] }] })],
    ['provision.purpose', withProvision({ purpose: [] })],
    [
      'provision.purpose',
      withProvision({
        purpose: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HMARKT' }],
      }),
    ],
  ])('%s', (path, json) => {
    expect(() => consentFromFhir(json)).toThrowError(
      expect.objectContaining({ code: 'fhir.consent_shape', details: { path } }),
    );
  });
});

describe.skipIf(!hasShared)(`HL7's own Consents${unlessShared}`, () => {
  it('are refused, each for an element that it has or lacks: they name people by URL or deny', async () => {
    let refused = 0;
    for await (const item of readFiles(sharedFiles('hl7-r4-examples'))) {
      if ('refused' in item || item.resourceType !== 'Consent') continue;
      expect(() => consentFromFhir(item.json)).toThrowError(
        expect.objectContaining({ code: 'fhir.consent_shape' }),
      );
      refused++;
    }
    expect(refused).toBe(8);
  });
});
