/**
 * Ledger entries as FHIR R4 AuditEvents after IHE's Basic Audit Log Patterns (BALP 1.1, profiles under
 * https://profiles.ihe.net/ITI/BALP): Create, Read, Update, Delete and Query, each with a patient where one is known,
 * and AuthZconsent for a decision that rested on a consent. One event a record, as the profiles have one data entity.
 *
 * BALP's REST profiles are for success; a refused access has the same form without claiming a profile, outcome 8 and
 * the ledger's reason. Who and what are pseudonyms and record ids: an AuditEvent says no more than its entry. The
 * agents' network addresses, which BALP asks for, are the members' names: the ledger knows no IP addresses.
 * The evidence is the ledger: an AuditEvent is a copy in a standard shape and proves nothing by itself.
 */
import { toHex, utf8 } from '../codec/bytes.ts';
import type { Agent, AuditEntryView, AuditedRecord, BalpAuditEvent, Entity, Verdict } from './audit-event.ts';
import {
  ACT_REASON,
  byIdentifier,
  type Coding,
  type Concept,
  concept,
  type IdentifierReference,
  purposeConcept,
  SYSTEM,
} from './systems.ts';

const BALP = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.';
const BALP_AUTHZ_SUBTYPE = 'https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType';
const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const HL7 = 'http://terminology.hl7.org/CodeSystem';
const PARTICIPATION = `${HL7}/v3-ParticipationType`;
const BREAK_THE_GLASS: Coding = { system: ACT_REASON, code: 'BTG', display: 'break the glass' };

type Interaction = 'create' | 'read' | 'update' | 'delete' | 'search';

/** Per interaction: profile stem, action, and the types that BALP gives to client, server and user. */
const INTERACTIONS: Readonly<
  Record<
    Interaction,
    { profile: string; action: BalpAuditEvent['action']; client: Coding; server: Coding; user: Coding }
  >
> = (() => {
  const source = { system: DCM, code: '110153', display: 'Source Role ID' };
  const destination = { system: DCM, code: '110152', display: 'Destination Role ID' };
  const application = { system: DCM, code: '110150', display: 'Application' };
  const custodian = { system: `${HL7}/provenance-participant-type`, code: 'custodian', display: 'Custodian' };
  const author = { system: PARTICIPATION, code: 'AUT', display: 'author (originator)' };
  const recipient = { system: PARTICIPATION, code: 'IRCP', display: 'information recipient' };
  return {
    create: { profile: 'Create', action: 'C', client: source, server: destination, user: author },
    read: { profile: 'Read', action: 'R', client: destination, server: source, user: recipient },
    update: { profile: 'Update', action: 'U', client: source, server: destination, user: author },
    delete: { profile: 'Delete', action: 'D', client: application, server: custodian, user: author },
    search: { profile: 'Query', action: 'E', client: source, server: destination, user: recipient },
  };
})();

/**
 * The AuditEvents of one entry: one for each record, plus one AuthZconsent for each record whose access rested on a
 * consent; one for a query or a consent. An entry of a record kind without records gives none.
 */
export function toBalpAuditEvents(view: AuditEntryView): BalpAuditEvent[] {
  const events = eventsOf(view);
  // 64 characters are all an id may have; the extension carries the whole entry id.
  return events.map((event, i) => ({ ...event, id: `${view.entryId.slice(0, 56)}-${i + 1}` }));
}

function eventsOf(view: AuditEntryView): BalpAuditEvent[] {
  switch (view.kind) {
    case 'query':
      return [restEvent(view, 'search', { verdict: view.verdict, entities: queryEntities(view) })];
    case 'consent':
      return view.consent === undefined ? [] : [consentEvent(view, view.consent)];
    case 'create':
    case 'read':
    case 'update':
    case 'delete':
    case 'break-glass':
      return (view.records ?? []).flatMap((record) => recordEvents(view, record));
  }
}

function recordEvents(entry: AuditEntryView, record: AuditedRecord): BalpAuditEvent[] {
  const view = record.custodian === undefined ? entry : { ...entry, custodian: record.custodian };
  const { kind } = view;
  const interaction = kind === 'create' || kind === 'update' || kind === 'delete' ? kind : 'read';
  const event = restEvent(view, interaction, {
    verdict: record.verdict,
    patient: record.patient,
    entities: [dataEntity(byIdentifier(SYSTEM.record, record.record), String(record.version))],
  });
  if (record.consent === undefined || record.patient === undefined) return [event];
  return [event, authorizationEvent(view, record.consent, record.patient, record.verdict)];
}

function consentEvent(view: AuditEntryView, consent: NonNullable<AuditEntryView['consent']>): BalpAuditEvent {
  const data = dataEntity(byIdentifier(SYSTEM.consent, consent.id, 'Consent'));
  return restEvent(view, consent.change === 'request' ? 'create' : 'update', {
    verdict: view.verdict,
    patient: view.patient,
    entities: [{ ...data, detail: [{ type: 'change', valueString: consent.change }] }],
  });
}

function restEvent(
  view: AuditEntryView,
  interaction: Interaction,
  about: { verdict: Verdict | undefined; patient?: string | undefined; entities: readonly Entity[] },
): BalpAuditEvent {
  const { profile, action, client, server, user } = INTERACTIONS[interaction];
  const isEmergency = view.kind === 'break-glass';
  const granted = about.verdict?.granted !== false;
  return {
    ...frame(view, about.verdict),
    ...(granted && {
      meta: { profile: [`${BALP}${about.patient === undefined ? '' : 'Patient'}${profile}`] },
    }),
    type: { system: `${HL7}/audit-event-type`, code: 'rest', display: 'RESTful Operation' },
    subtype: [
      { system: 'http://hl7.org/fhir/restful-interaction', code: interaction, display: interaction },
      ...(isEmergency ? [{ system: DCM, code: '110127', display: 'Emergency Override Started' }] : []),
    ],
    action,
    agent: [
      memberAgent(client, view.actorMember),
      memberAgent(server, view.custodian),
      userAgent(user, view, isEmergency ? concept(BREAK_THE_GLASS) : undefined),
    ],
    entity: [...about.entities, ...(about.patient === undefined ? [] : [patientEntity(about.patient)])],
  };
}

/** BALP AuthZconsent: the ledger decided on a consent. Its agents and entities are closed by the profile. */
function authorizationEvent(
  view: AuditEntryView,
  consent: string,
  patient: string,
  verdict: Verdict | undefined,
): BalpAuditEvent {
  const observer = byIdentifier(SYSTEM.member, view.custodian);
  const provider = { system: `${HL7}/v3-RoleClass`, code: 'PROV', display: 'healthcare provider' };
  const authorizer = {
    system: `${HL7}/extra-security-role-type`,
    code: 'authserver',
    display: 'authorization server',
  };
  return {
    ...frame(view, verdict),
    meta: { profile: [`${BALP}AuthZconsent`] },
    type: { system: DCM, code: '110113', display: 'Security Alert' },
    subtype: [
      {
        system: BALP_AUTHZ_SUBTYPE,
        code: 'AuthZ-Consent',
        display: 'Authorization Decision using Roles and Consent',
      },
    ],
    action: 'E',
    agent: [
      memberAgent({ system: DCM, code: '110150', display: 'Application' }, view.actorMember),
      userAgent({ system: PARTICIPATION, code: 'IRCP', display: 'information recipient' }, view),
      { type: concept(provider), who: byIdentifier(SYSTEM.member, view.actorMember), requestor: false },
      { type: concept(authorizer), who: observer, requestor: false },
    ],
    entity: [
      patientEntity(patient),
      {
        what: byIdentifier(SYSTEM.consent, consent, 'Consent'),
        type: { system: 'http://hl7.org/fhir/resource-types', code: 'Consent', display: 'Consent' },
      },
    ],
  };
}

type Frame = Pick<
  BalpAuditEvent,
  'resourceType' | 'id' | 'extension' | 'recorded' | 'outcome' | 'outcomeDesc' | 'purposeOfEvent' | 'source'
>;

/** What all events of an entry share. */
function frame(view: AuditEntryView, verdict: Verdict | undefined): Frame {
  const purposes = [
    ...(view.purpose === undefined ? [] : [purposeConcept(view.purpose)]),
    ...(view.kind === 'break-glass' ? [concept(BREAK_THE_GLASS)] : []),
  ];
  return {
    resourceType: 'AuditEvent',
    id: view.entryId,
    extension: [{ url: SYSTEM.entry, valueIdentifier: { system: SYSTEM.entry, value: view.entryId } }],
    recorded: new Date(view.time).toISOString(),
    ...(verdict?.granted === false ? { outcome: '8', outcomeDesc: verdict.reason } : { outcome: '0' }),
    ...(purposes.length > 0 && { purposeOfEvent: purposes }),
    source: {
      site: view.custodian,
      observer: byIdentifier(SYSTEM.member, view.custodian),
      type: [{ system: `${HL7}/security-source-type`, code: '6', display: 'Security Server' }],
    },
  };
}

/** A member's node; network type 1 is a machine name. */
function memberAgent(type: Coding, member: string): Agent {
  return {
    type: concept(type),
    who: byIdentifier(SYSTEM.member, member),
    requestor: false,
    network: { address: member, type: '1' },
  };
}

function userAgent(type: Coding, view: AuditEntryView, extra?: Concept): Agent {
  const purposes = [
    ...(view.purpose === undefined ? [] : [purposeConcept(view.purpose)]),
    ...(extra ? [extra] : []),
  ];
  return {
    type: concept(type),
    who: byIdentifier(SYSTEM.subject, view.actor),
    requestor: true,
    ...(purposes.length > 0 && { purposeOfUse: purposes }),
  };
}

function dataEntity(what: IdentifierReference, version?: string): Entity {
  return {
    what,
    type: { system: `${HL7}/audit-entity-type`, code: '2', display: 'System Object' },
    role: { system: `${HL7}/object-role`, code: '4', display: 'Domain Resource' },
    ...(version !== undefined && { detail: [{ type: 'version', valueString: version }] }),
  };
}

function patientEntity(patient: string): Entity {
  return {
    what: byIdentifier(SYSTEM.subject, patient, 'Patient'),
    type: { system: `${HL7}/audit-entity-type`, code: '1', display: 'Person' },
    role: { system: `${HL7}/object-role`, code: '1', display: 'Patient' },
  };
}

/** The query as BALP wants it, base64; of the blinded elements only their hash is known. */
function queryEntities({ query }: AuditEntryView): Entity[] {
  if (query === undefined) return [];
  const text = `field=${encodeURIComponent(query.field)}&count=${query.count}&blinded=${toHex(query.blindedHash)}`;
  return [
    {
      type: { system: `${HL7}/audit-entity-type`, code: '2', display: 'System Object' },
      role: { system: `${HL7}/object-role`, code: '24', display: 'Query' },
      query: btoa(String.fromCharCode(...utf8(text))),
    },
  ];
}
