/**
 * FHIR import at a gateway: patients are recognised by identifiers, or enrolled; every resource is sealed as it stands in
 * the source, byte for byte, in lists of one RecordPut. What is refused is told with its position; the rest goes on.
 */
import type { PlainUpload, Session } from '../api/ports.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId, RecordId, SubjectId } from '../codec/ids.ts';
import { identifiersOf, isRefusal, type PlannedResource, planImport, readDocument } from '../fhir/index.ts';
import type { Records } from './records.ts';
import type { Subjects } from './subjects.ts';

/** Resources of one RecordPut. */
const LIST_RESOURCES = 64;

export interface ImportReport {
  readonly records: { record: RecordId; resourceType: string; patient: SubjectId | null }[];
  readonly refused: { code: string; message: string; position: unknown }[];
}

export interface ImportOptions {
  readonly member: MemberId;
  readonly records: Records;
  readonly subjects: Subjects;
}

/** Imports one Bundle or resource; everything in it becomes a record of this member. */
export async function importDocument(
  options: ImportOptions,
  by: Session,
  body: Uint8Array,
): Promise<ImportReport> {
  const report: ImportReport = { records: [], refused: [] };
  const items = readDocument(body, 'request');
  for await (const batch of planImport(items, [options.member])) {
    if (isRefusal(batch)) {
      const { code, message, position } = batch.refused;
      report.refused.push({ code, message, position });
      continue;
    }
    const patient = await patientOf(options, by, batch.resources, batch.patientKey);
    for (let i = 0; i < batch.resources.length; i += LIST_RESOURCES) {
      await putList(options, by, batch.resources.slice(i, i + LIST_RESOURCES), patient, report);
    }
  }
  return report;
}

/** Names under which a patient is known: the identifiers of its Patient resource, else the key it is referred by. */
export function patientNames(resources: readonly PlannedResource[], patientKey: string): string[] {
  const own = resources.find(({ resource }) => resource.resourceType === 'Patient')?.resource;
  const identifiers = own === undefined ? [] : identifiersOf(own.json);
  return [...new Set([...identifiers, patientKey])].slice(0, 16);
}

async function patientOf(
  { subjects }: ImportOptions,
  by: Session,
  resources: readonly PlannedResource[],
  patientKey: string | undefined,
): Promise<SubjectId | null> {
  if (patientKey === undefined) return null;
  const identifiers = patientNames(resources, patientKey);
  return (await subjects.enrol(by, { kind: 'patient', custody: 'gateway', identifiers })).subject;
}

async function putList(
  { records }: ImportOptions,
  by: Session,
  resources: readonly PlannedResource[],
  batchPatient: SubjectId | null,
  report: ImportReport,
): Promise<void> {
  // A Bundle of one patient also carries organisations and practitioners, which are about nobody.
  const patientFor = ({ patientKey }: PlannedResource): SubjectId | null =>
    patientKey === undefined ? null : batchPatient;
  const uploads: PlainUpload[] = resources.map((one) => ({
    content: one.resource.bytes,
    patient: patientFor(one),
  }));
  try {
    const done = await records.putPlain(by, uploads);
    done.records.forEach((record, i) => {
      const { resourceType } = resources[i].resource;
      report.records.push({ record, resourceType, patient: patientFor(resources[i]) });
    });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    for (const { resource } of resources) {
      report.refused.push({ code: error.code, message: error.message, position: resource.position });
    }
  }
}
