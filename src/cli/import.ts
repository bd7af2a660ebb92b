/**
 * FHIR import from files: plans who keeps what, enrols patients, and has each custodian's gateway seal the resources byte
 * for byte as they stand in the source. Every list goes out under an Idempotency-Key made of its content, so that an
 * import that was ended can be started again and puts nothing twice.
 */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Committed, Gateway } from '../client/index.ts';
import { fromUtf8, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { sha256 } from '../codec/hash.ts';
import { memberId } from '../codec/ids.ts';
import {
  type ImportBatch,
  type ImportSurvey,
  identifiersOf,
  isRefusal,
  type PlannedResource,
  planImport,
  type Refusal,
  readResources,
  type SourceItem,
  surveyImport,
} from '../fhir/index.ts';
import type { Progress } from './output.ts';

/** Resources of one list, which is one ledger entry. */
const LIST_RESOURCES = 64;
/** Lists on their way at once, over all custodians: keeps the worker threads busy and memory small. */
const LISTS_AT_ONCE = 6;

export interface ImportSource {
  readonly paths: readonly string[];
  /** Most Bundles (or patients of loose resources) to take. */
  readonly max?: number;
}

export interface ImportedRecord {
  readonly record: string;
  readonly custodian: string;
  readonly patient: string | null;
  readonly patientKey: string | null;
  readonly resource: PlannedResource['resource'];
}

export interface ImportSummary {
  readonly records: number;
  readonly patients: number;
  readonly entries: readonly Committed[];
  readonly refused: readonly {
    readonly file: string;
    readonly code: string;
    readonly message: string;
    readonly position: unknown;
  }[];
  readonly seconds: number;
}

/** Files behind the paths: folders give their .json, .ndjson and .gz files in order of name. */
export async function importFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const info = await stat(path).catch((cause: unknown) => {
      throw new CodedError('import.no_file', `cannot read ${path}: does it exist?`, { cause });
    });
    if (!info.isDirectory()) files.push(path);
    else {
      const names = (await readdir(path)).filter((name) => /\.(json|ndjson)(\.gz)?$/.test(name)).sort();
      files.push(...names.map((name) => join(path, name)));
    }
  }
  return files;
}

async function* itemsOf(files: readonly string[]): AsyncGenerator<SourceItem> {
  for (const file of files) yield* readResources(createReadStream(file), { name: basename(file) });
}

export interface Plan {
  readonly survey: ImportSurvey;
  readonly batches: AsyncGenerator<ImportBatch | Refusal>;
}

/** Two passes over the files: a survey for the totals, and the batches in the order of the source. */
export async function planFiles(source: ImportSource, members: readonly string[]): Promise<Plan> {
  const files = await importFiles(source.paths);
  const survey = await surveyImport(limited(itemsOf(files), source.max));
  const ids = members.map(memberId);
  return { survey, batches: planImport(limited(itemsOf(files), source.max), ids, survey) };
}

/** The items of the first `max` Bundles; loose resources count one by one. */
async function* limited(
  items: AsyncGenerator<SourceItem>,
  max: number | undefined,
): AsyncGenerator<SourceItem> {
  const seen = new Set<unknown>();
  for await (const item of items) {
    if (max !== undefined && !isRefusal(item)) {
      seen.add(item.bundle ?? item);
      if (seen.size > max) return;
    }
    yield item;
  }
}

export interface ImportRun {
  readonly plan: Plan;
  /** A signed-in gateway of each custodian, with the right author and registrar. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  readonly progress: Progress;
  readonly onRecord?: (record: ImportedRecord) => void;
}

/** Runs a plan. What is refused is listed; the rest goes on. */
export async function runImport(run: ImportRun): Promise<ImportSummary> {
  const started = performance.now();
  const entries: Committed[] = [];
  const refused: { file: string; code: string; message: string; position: unknown }[] = [];
  const patients = new Set<string>();
  let records = 0;
  const running = new Set<Promise<void>>();
  for await (const batch of run.plan.batches) {
    if (isRefusal(batch)) {
      const { code, message, position } = batch.refused;
      refused.push({ file: position.source, code, message, position });
      continue;
    }
    const gateway = run.gateways.get(batch.custodian);
    if (gateway === undefined)
      throw new CodedError('member.unknown', `no gateway of ${batch.custodian} is known`);
    const patient = batch.patientKey === undefined ? null : await enrolPatient(gateway, batch);
    if (patient !== null) patients.add(patient);
    for (let i = 0; i < batch.resources.length; i += LIST_RESOURCES) {
      const list = batch.resources.slice(i, i + LIST_RESOURCES);
      const work = putList(gateway, list, patient)
        .then(({ records: ids, committed }) => {
          entries.push(committed);
          records += ids.length;
          ids.forEach((record, j) => {
            const { resource, patientKey = null } = list[j];
            const own = patientKey === null ? null : patient;
            run.onRecord?.({ record, custodian: batch.custodian, patient: own, patientKey, resource });
          });
          run.progress.add(ids.length);
        })
        .catch((error: unknown) => {
          if (!(error instanceof CodedError) || error.code.startsWith('client.')) throw error;
          for (const { resource } of list) {
            const { position } = resource;
            refused.push({ file: position.source, code: error.code, message: error.message, position });
          }
        });
      const tracked: Promise<void> = work.finally(() => running.delete(tracked));
      running.add(tracked);
      if (running.size >= LISTS_AT_ONCE) await Promise.race(running);
    }
  }
  await Promise.all(running);
  run.progress.end();
  const seconds = (performance.now() - started) / 1000;
  return { records, patients: patients.size, entries, refused, seconds };
}

/** The identifiers by which a batch's patient is recognised at its custodian. */
export function identifiersOfBatch(batch: ImportBatch): string[] {
  const own = batch.resources.find(({ resource }) => resource.resourceType === 'Patient')?.resource;
  const identifiers = own === undefined ? [] : identifiersOf(own.json);
  return [...new Set([...identifiers, batch.patientKey ?? ''])]
    .filter((one) => one !== '' && one.length <= 256)
    .slice(0, 16);
}

async function enrolPatient(gateway: Gateway, batch: ImportBatch): Promise<string> {
  const { subject } = await gateway.json<{ subject: string }>('POST', '/v1/subjects', {
    body: { kind: 'patient', identifiers: identifiersOfBatch(batch) },
  });
  return subject;
}

function putList(
  gateway: Gateway,
  list: readonly PlannedResource[],
  patient: string | null,
): Promise<{ records: string[]; committed: Committed }> {
  const records = list.map(({ resource, patientKey }) => ({
    content: fromUtf8(resource.bytes),
    patient: patientKey === undefined ? null : patient,
  }));
  const positions = list.map(({ resource }) => new TextEncoder().encode(JSON.stringify(resource.position)));
  const key = toHex(sha256(...list.map(({ resource }) => resource.bytes), ...positions));
  return gateway.json('POST', '/v1/records', {
    body: { records },
    headers: { 'idempotency-key': key },
    timeoutMs: 300_000,
  });
}
