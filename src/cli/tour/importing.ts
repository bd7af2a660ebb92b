/** Steps b and c of the tour: people are enrolled, records imported; a later start finds both again. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Committed, Gateway, Hippocrypt } from '../../client/index.ts';
import { toBase64url } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { departmentOf, policyGroupOf } from '../../fhir/index.ts';
import {
  type ImportedRecord,
  type ImportSource,
  type ImportSummary,
  planFiles,
  runImport,
} from '../import.ts';
import type { Output } from '../output.ts';
import { type Cast, chooseCast } from './cast.ts';
import type { People } from './people.ts';
import type { Stage } from './stage.ts';

export interface Sample {
  readonly record: string;
  readonly resourceType: string;
  /** Exact source bytes, base64url. */
  readonly content: string;
}

export interface TourImport {
  readonly cast: Cast;
  /** A clinical record of the patient, in the doctor's department. */
  readonly sample: Sample;
  /** Pseudonyms that the plain scan finds, sorted. */
  readonly expected: readonly string[];
  readonly count: number;
  /** Null when the records were imported by an earlier start. */
  readonly summary: ImportSummary | null;
  readonly doctor: Hippocrypt;
  readonly clerk: Hippocrypt;
  readonly visitor: Hippocrypt;
  readonly researcher: Hippocrypt;
  readonly patient: Hippocrypt;
}

export interface ImportSourcesOptions {
  readonly stage: Stage;
  readonly dir: string;
  readonly source: ImportSource;
  readonly output: Output;
  readonly people: People;
  readonly onEnrolled: (text: string, last: Committed | undefined) => void;
}

interface TourFile {
  readonly v: 1;
  readonly cast: Cast;
  readonly sample: Sample;
  readonly expected: readonly string[];
  readonly count: number;
}

export async function importSources(options: ImportSourcesOptions): Promise<TourImport> {
  const { stage, dir, source, people, onEnrolled } = options;
  const members = [...stage.urls.keys()];
  const path = join(dir, 'tour.json');
  const before = await readTour(path);
  const cast = before?.cast ?? (await chooseCast(await planFiles(source, members), members));
  const staff = await enrolCast(people, cast, members);
  onEnrolled(
    `${members.length} members, ${staff.count} people enrolled with their attributes in ${people.committed.length} entries; keys stay on their devices`,
    people.committed.at(-1),
  );
  if (before !== undefined) return { ...before, ...staff.clients, summary: null };
  const plan = await planFiles(source, members);
  const gateways = await importGateways(people, stage.urls);
  const found: { sample?: Sample } = {};
  const pseudonyms = new Map<string, string>();
  const summary = await runImport({
    plan,
    gateways,
    progress: options.output.progress('sealing and importing', plan.survey.resources, 'records'),
    onRecord: (record) => {
      if (record.patientKey !== null && record.patient !== null)
        pseudonyms.set(record.patientKey, record.patient);
      if (found.sample === undefined && isSample(record, cast)) {
        const { resourceType, bytes } = record.resource;
        found.sample = { record: record.record, resourceType, content: toBase64url(bytes) };
      }
    },
  });
  if (found.sample === undefined)
    throw new CodedError('import.empty', 'the record that the tour opens was not imported');
  const expected = cast.matches.flatMap((key) => pseudonyms.get(key) ?? []).sort();
  const file: TourFile = { v: 1, cast, sample: found.sample, expected, count: summary.records };
  await stage.settled();
  await writeFile(path, `${JSON.stringify(file)}\n`, { flush: true });
  return { ...file, ...staff.clients, summary };
}

async function readTour(path: string): Promise<TourFile | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const file = JSON.parse(text) as TourFile;
  if (file.v !== 1)
    throw new CodedError('node.bad_data', `${path} is of another version: remove it to begin again`);
  return file;
}

function isSample({ patientKey, resource }: ImportedRecord, cast: Cast): boolean {
  return (
    patientKey === cast.patientKey &&
    policyGroupOf(resource.resourceType).name === 'clinical' &&
    departmentOf(resource.json) === cast.department
  );
}

async function enrolCast(
  people: People,
  cast: Cast,
  members: readonly string[],
): Promise<{
  count: number;
  clients: Pick<TourImport, 'doctor' | 'clerk' | 'visitor' | 'researcher' | 'patient'>;
}> {
  const { home, other, research, department } = cast;
  const person = (
    name: string,
    member: string,
    attributes: readonly string[],
    custody: 'client' | 'gateway' = 'client',
  ): Promise<Hippocrypt> => people.enrol({ name, member, kind: 'person', attributes, custody });
  const doctor = await person('doctor', home, [
    `${home}/role:doctor`,
    `${home}/dept:${department}`,
    `${home}/right:author`,
  ]);
  const clerk = await person('clerk', home, [`${home}/role:billing`]);
  const visitor = await person('visitor', other, [`${other}/role:doctor`, `${other}/dept:general`]);
  const researcher = await person('researcher', research, [
    ...members.map((member) => `${member}/role:researcher`),
    `${home}/role:attending`,
  ]);
  await person('nurse', home, [`${home}/role:nurse`, `${home}/dept:${department}`], 'gateway');
  const patient = await people.enrol({
    name: 'patient',
    member: home,
    kind: 'patient',
    attributes: [],
    identifiers: cast.identifiers,
    custody: 'client',
  });
  return { count: 6, clients: { doctor, clerk, visitor, researcher, patient } };
}

/** Each member's import service: a system account with the rights author and registrar. */
async function importGateways(
  people: People,
  urls: ReadonlyMap<string, string>,
): Promise<Map<string, Gateway>> {
  const gateways = new Map<string, Gateway>();
  for (const member of urls.keys()) {
    const client = await people.enrol({
      name: 'import',
      member,
      kind: 'system',
      attributes: [`${member}/right:author`, `${member}/right:registrar`],
      custody: 'gateway',
    });
    gateways.set(member, client.gateway);
  }
  return gateways;
}
