/**
 * Which member keeps which patient's records. The rule is public and needs no table: the custodian is a hash of the
 * organisation that served the patient's first Encounter (in the order of the source, the first that names one),
 * else of the patient, over the members in byte order. So every node plans the same import alike.
 *
 * A Bundle is planned as it comes. Resources without a Bundle (a Bulk Data export has one file a type) need a first
 * pass over the whole file set, `surveyImport`, to learn each patient's first Encounter; memory holds names only.
 */
import { readU32be, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { taggedHash } from '../codec/hash.ts';
import type { MemberId } from '../codec/ids.ts';
import { identifiersOf, type JsonValue } from './json.ts';
import { SURVEY_NAMES_MAX, WINDOW_BYTES_MAX, WINDOW_RESOURCES_MAX } from './limits.ts';
import { isRefusal, type Refusal, type SourceItem, type SourceResource } from './read.ts';
import { parseReference, patientKeyOf, resolveInBundle, typed } from './references.ts';

/** Domain tag of the custody hash. */
export const CUSTODIAN_DOMAIN = 'hippocrypt/custodian/1';

/** A resource with the patient it is about, if any. */
export interface PlannedResource {
  readonly resource: SourceResource;
  readonly patientKey?: string;
}

/** Resources that go to one custodian together: one patient's, or some that are about no patient. */
export interface ImportBatch {
  readonly custodian: MemberId;
  /** Undefined in a batch about no patient. A one-patient Bundle keeps its organisations in the patient's batch. */
  readonly patientKey?: string;
  /** In the order of the source. */
  readonly resources: readonly PlannedResource[];
}

/** What the first pass learns of a file set. */
export interface ImportSurvey {
  /** Readable resources and refusals, for a progress bar. */
  readonly resources: number;
  readonly refused: number;
  /** Patient key -> identity of the organisation of its first Encounter. */
  readonly providers: ReadonlyMap<string, string>;
  /** `Type?identifier=system|value` -> `Type/id`. */
  readonly identifiers: ReadonlyMap<string, string>;
  /** `Organization/id` -> `system|value` of its first identifier. */
  readonly organisations: ReadonlyMap<string, string>;
}

const NO_SURVEY: ImportSurvey = {
  resources: 0,
  refused: 0,
  providers: new Map(),
  identifiers: new Map(),
  organisations: new Map(),
};

/**
 * The member that keeps records under `identity` (an organisation's identifier, or a patient key): big-endian u32 of
 * taggedHash(CUSTODIAN_DOMAIN, identity) modulo the number of members, in byte order. Throws `fhir.no_members`.
 */
export function custodianOf(identity: string, members: readonly MemberId[]): MemberId {
  const ordered = [...members].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const member = ordered[readU32be(taggedHash(CUSTODIAN_DOMAIN, utf8(identity)), 0) % (ordered.length || 1)];
  if (member === undefined)
    throw new CodedError('fhir.no_members', 'expected at least one member to choose from');
  return member;
}

/**
 * Identity of the organisation that served an Encounter: `system|value` of its first identifier where it is known (in
 * the Bundle, in the reference itself, or in the survey), else `Organization/<id>`, else the reference as it stands.
 * Undefined for other resources and where no organisation is named.
 */
export function serviceProviderOf(
  resource: Pick<SourceResource, 'resourceType' | 'json' | 'bundle'>,
  survey: ImportSurvey = NO_SURVEY,
): string | undefined {
  if (resource.resourceType !== 'Encounter') return undefined;
  const reference = typed(parseReference(resource.json.serviceProvider), 'Organization');
  const target = resolveInBundle(reference, resource.bundle);
  if (target !== undefined) {
    const fallback = `${target.resourceType}/${target.id ?? target.entry}`;
    return identifiersOf(target.json)[0] ?? fallback;
  }
  switch (reference.kind) {
    case 'literal': {
      const name = `${reference.resourceType}/${reference.id}`;
      return survey.organisations.get(name) ?? name;
    }
    case 'identifier':
      return reference.identifier;
    case 'urn':
      return reference.url;
    case 'contained':
    case 'opaque':
      return undefined;
  }
}

/**
 * First pass over a file set. Reads everything once and keeps names only.
 * Throws `fhir.survey_too_large` above SURVEY_NAMES_MAX names.
 */
export async function surveyImport(items: AsyncIterable<SourceItem>): Promise<ImportSurvey> {
  let [resources, refused] = [0, 0];
  const identifiers = new Map<string, string>();
  const organisations = new Map<string, string>();
  const served: { readonly patient: string; readonly serviceProvider: JsonValue }[] = [];
  const seen = new Set<string>();
  const checkSize = (): void => {
    if (identifiers.size + organisations.size + seen.size > SURVEY_NAMES_MAX) {
      throw new CodedError(
        'fhir.survey_too_large',
        `expected at most ${SURVEY_NAMES_MAX} names; split the import`,
      );
    }
  };
  for await (const item of items) {
    if (isRefusal(item)) {
      refused++;
      continue;
    }
    resources++;
    if (item.bundle !== undefined) continue;
    if (item.id !== undefined && (item.resourceType === 'Patient' || item.resourceType === 'Organization')) {
      const name = `${item.resourceType}/${item.id}`;
      const own = identifiersOf(item.json);
      for (const one of own) identifiers.set(`${item.resourceType}?identifier=${one}`, name);
      if (item.resourceType === 'Organization' && own[0] !== undefined) organisations.set(name, own[0]);
    }
    const patient = item.resourceType === 'Encounter' ? patientKeyOf(item) : undefined;
    const { serviceProvider } = item.json;
    if (patient !== undefined && serviceProvider !== undefined && !seen.has(patient)) {
      if (serviceProviderOf(item) === undefined) continue;
      seen.add(patient);
      served.push({ patient, serviceProvider });
    }
    checkSize();
  }
  // Only now are all organisations known, whatever the order of the files.
  const survey: ImportSurvey = { resources, refused, providers: new Map(), identifiers, organisations };
  const providers = new Map<string, string>();
  for (const { patient, serviceProvider } of served) {
    const key = identifiers.get(patient) ?? patient;
    const provider = serviceProviderOf({ resourceType: 'Encounter', json: { serviceProvider } }, survey);
    if (provider !== undefined && !providers.has(key)) providers.set(key, provider);
  }
  return { ...survey, providers };
}

/**
 * Groups an import by patient and names each group's custodian. Bundles come out one after the other, whole;
 * resources without a Bundle in windows of WINDOW_RESOURCES_MAX, grouped within. Refusals pass through in place.
 * `survey` is needed for resources without a Bundle only; without it their custodian follows the patient alone.
 */
export async function* planImport(
  items: AsyncIterable<SourceItem> | Iterable<SourceItem>,
  members: readonly MemberId[],
  survey: ImportSurvey = NO_SURVEY,
): AsyncGenerator<ImportBatch | Refusal> {
  let held: SourceResource[] = [];
  let bytes = 0;
  const flush = (): ImportBatch[] => {
    const batches =
      held[0]?.bundle === undefined ? planLoose(held, members, survey) : planBundle(held, members);
    held = [];
    bytes = 0;
    return batches;
  };
  for await (const item of items) {
    if (isRefusal(item)) {
      yield item;
      continue;
    }
    const isOther = held[0] !== undefined && held[0].bundle !== item.bundle;
    const isFull =
      item.bundle === undefined && (held.length >= WINDOW_RESOURCES_MAX || bytes >= WINDOW_BYTES_MAX);
    if (isOther || isFull) yield* flush();
    held.push(item);
    bytes += item.bytes.length;
  }
  yield* flush();
}

function planned(resource: SourceResource, patientKey: string | undefined): PlannedResource {
  return patientKey === undefined ? { resource } : { resource, patientKey };
}

/** Appends under `name`, keeping the order in which names first appear. */
function append<K, T>(groups: Map<K, T[]>, name: K, value: T): void {
  const group = groups.get(name);
  if (group === undefined) groups.set(name, [value]);
  else group.push(value);
}

/** A Bundle of one patient is one batch; one of several gives a batch each and one for what is about nobody. */
function planBundle(resources: readonly SourceResource[], members: readonly MemberId[]): ImportBatch[] {
  const all = resources.map((resource) => planned(resource, patientKeyOf(resource)));
  const patients = new Set(all.flatMap(({ patientKey }) => patientKey ?? []));
  const [only] = patients.size === 1 ? patients : [];
  const groups = new Map<string, PlannedResource[]>();
  for (const one of all) append(groups, only ?? one.patientKey ?? '', one);
  const provider = firstProvider(all);
  return [...groups].map(([patientKey, group]) => {
    const fallback = patientKey === '' ? (provider ?? ownIdentity(resources[0])) : patientKey;
    const custodian = custodianOf(firstProvider(group) ?? fallback, members);
    return { custodian, resources: group, ...(patientKey !== '' && { patientKey }) };
  });
}

function firstProvider(resources: readonly PlannedResource[]): string | undefined {
  for (const { resource } of resources) {
    const provider = serviceProviderOf(resource);
    if (provider !== undefined) return provider;
  }
  return undefined;
}

/** Resources without a Bundle: one batch for each patient, and one for each custodian of those about nobody. */
function planLoose(
  resources: readonly SourceResource[],
  members: readonly MemberId[],
  survey: ImportSurvey,
): ImportBatch[] {
  const ofPatients = new Map<string, PlannedResource[]>();
  const ofNobody = new Map<MemberId, PlannedResource[]>();
  for (const resource of resources) {
    const named = patientKeyOf(resource);
    const patientKey = named === undefined ? undefined : (survey.identifiers.get(named) ?? named);
    if (patientKey !== undefined) append(ofPatients, patientKey, planned(resource, patientKey));
    else
      append(ofNobody, custodianOf(ownIdentity(resource), members), {
        resource,
      });
  }
  return [
    ...[...ofPatients].map(([patientKey, group]) => ({
      custodian: custodianOf(survey.providers.get(patientKey) ?? patientKey, members),
      patientKey,
      resources: group,
    })),
    ...[...ofNobody].map(([custodian, group]) => ({ custodian, resources: group })),
  ];
}

/** What stands for a resource that is about no patient: its first identifier, its id, or where it was read. */
function ownIdentity(resource: SourceResource | undefined): string {
  if (resource === undefined) return '';
  const name = resource.id ?? `${resource.position.line}:${resource.position.column}`;
  return identifiersOf(resource.json)[0] ?? `${resource.resourceType}/${name}`;
}
