/** The sample records, imported through the gateways as the command does it, beside their plain values. */
import { fileURLToPath } from 'node:url';
import { type ImportedRecord, type ImportSummary, planFiles, runImport } from '../../src/cli/import.ts';
import type { Gateway } from '../../src/client/index.ts';
import type { Town } from './consortium.ts';

export const SAMPLE = fileURLToPath(new URL('../../sample', import.meta.url));

export interface ImportedSample {
  readonly summary: ImportSummary;
  readonly records: readonly ImportedRecord[];
}

/** Imports `sample/` with an import account at each member, and waits until every index covers it. */
export async function importSample(town: Town): Promise<ImportedSample> {
  const members = [...town.consortium.urls.keys()];
  const gateways = new Map<string, Gateway>();
  for (const member of members) {
    const client = await town.people.enrol({
      name: 'importer',
      member,
      kind: 'system',
      attributes: [`${member}/right:author`, `${member}/right:registrar`],
      custody: 'gateway',
    });
    gateways.set(member, client.gateway);
  }
  const records: ImportedRecord[] = [];
  const summary = await runImport({
    plan: await planFiles({ paths: [SAMPLE] }, members),
    gateways,
    progress: { add: () => undefined, end: () => undefined },
    onRecord: (record) => records.push(record),
  });
  await town.settled();
  return { summary, records };
}
