/**
 * Import of FHIR Bundles with the product's own import client: a resource a record, sealed, stored, indexed and
 * committed. The clock stops when every custodian's committed index covers every record.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ImportedRecord, planFiles, runImport } from '../../src/cli/import.ts';
import { Gateway } from '../../src/client/index.ts';
import { percentiles, type Row, round } from '../harness/row.ts';
import { withTarget } from '../harness/targets.ts';
import { CallTimes } from './calls.ts';
import { type Consortium, untilIndexed } from './consortium.ts';

export interface Corpus {
  readonly name: string;
  readonly isSample: boolean;
  readonly paths: readonly string[];
}

/** Synthetic patients from outside the repository if they are here, else the sample of a few inside it. */
export function findCorpus(root: string, log: (line: string) => void): Corpus {
  const shared = process.env.HIPPOCRYPT_SHARED ?? resolve(root, '..', 'shared');
  const bundles = join(shared, 'fhir', 'synthea-bundles');
  if (existsSync(bundles)) return { name: 'synthea-bundles', isSample: false, paths: [bundles] };
  log('SKIPPED: synthetic bundles are not here (HIPPOCRYPT_SHARED): importing the sample, which is small');
  return { name: 'sample', isSample: true, paths: [join(root, 'sample')] };
}

export interface Imported {
  readonly row: Row;
  /** What was imported, with its source: a plain scan of it knows what a search must find. */
  readonly records: readonly ImportedRecord[];
}

export interface ImportOptions {
  readonly consortium: Consortium;
  readonly corpus: Corpus;
  /** Bundles to take. */
  readonly bundles: number;
  /** Records that the indexes cover or will cover already. */
  readonly before: number;
}

export async function importBundles(options: ImportOptions): Promise<Imported> {
  const { consortium, corpus, bundles, before } = options;
  const times = new CallTimes();
  const gateways = new Map<string, Gateway>();
  for (const [member, url] of consortium.urls) {
    const gateway = new Gateway({ url, fetch: times.fetch });
    await gateway.login('admin', consortium.password);
    gateways.set(member, gateway);
  }
  const plan = await planFiles({ paths: corpus.paths, max: bundles }, [...consortium.urls.keys()]);
  await untilIndexed(consortium, before);
  const records: ImportedRecord[] = [];
  await consortium.loopDelay();
  const cpu = await consortium.cpuMs();
  const begin = performance.now();
  const progress = { add: () => undefined, end: () => undefined };
  const summary = await runImport({ plan, gateways, progress, onRecord: (record) => records.push(record) });
  if (summary.refused.length > 0) {
    const [{ code, message }] = summary.refused;
    throw new Error(`${summary.refused.length} resources were refused, the first with ${code}: ${message}`);
  }
  const committedMs = performance.now() - begin;
  await untilIndexed(consortium, before + summary.records);
  const ms = performance.now() - begin;
  const serverMs = (await consortium.cpuMs()) - cpu;
  const delay = await consortium.loopDelay();
  const lists = times.times('post records');
  const bytes = records.reduce((sum, { resource }) => sum + resource.bytes.length, 0);
  const row = {
    suite: 'main',
    op: `import of ${corpus.name}, lists of up to 64 records`,
    n: lists.length,
    ...percentiles(lists),
    records_per_s: Math.round((1000 * summary.records) / ms),
    committed_per_s: Math.round((1000 * summary.records) / committedMs),
    records: summary.records,
    patients: summary.patients,
    bundles,
    plain_kib_per_s: Math.round(bytes / 1.024 / ms),
    index_lag_ms: Math.round(ms - committedMs),
    enrol_p50_ms: times.p50('post subjects') ?? 0,
    server_cpu_cores: round(serverMs / ms),
    server_cpu_ms_a_record: round(serverMs / summary.records),
    loop_delay_p99_ms: round(delay.p99),
  };
  // The target speaks of whole lives of patients; the sample is over before the worker threads are warm.
  return { row: corpus.isSample ? row : withTarget(row, 'records_per_s >= 250'), records };
}
