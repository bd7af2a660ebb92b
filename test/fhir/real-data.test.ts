import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  DEPARTMENTS,
  departmentOf,
  extractKeywords,
  type ImportBatch,
  isRefusal,
  type JsonValue,
  parseReference,
  planImport,
  resolveInBundle,
  type SourceResource,
  surveyImport,
  toKeywords,
} from '../../src/fhir/index.ts';
import {
  collect,
  hasShared,
  MEMBERS,
  PATIENT,
  readFiles,
  sharedFiles,
  sharedReadme,
  text,
  unlessShared,
} from './shared.ts';

const FOLDERS = ['synthea-bundles', 'bulk', 'hl7-r4-examples'] as const;

/** "Observation 12888, Claim 3543, ..." of the README's line about `folder`. */
function countsInReadme(folder: string): [string, number][] {
  const line = sharedReadme()
    .split('\n')
    .find((one) => one.startsWith(`- \`${folder}\` (`));
  return [...(line ?? '').matchAll(/\b([A-Z][A-Za-z]+) (\d+)\b/g)].map(([, type, count]) => [
    type,
    Number(count),
  ]);
}

const read = new Map<string, Promise<SourceResource[]>>();

/** The resources of a folder, read once for all tests. */
function resourcesOf(folder: string): Promise<SourceResource[]> {
  const known = read.get(folder);
  if (known !== undefined) return known;
  const reading = collect(readFiles(sharedFiles(folder))).then((items) => {
    expect(items.filter(isRefusal)).toEqual([]);
    return items.filter((item): item is SourceResource => !isRefusal(item));
  });
  read.set(folder, reading);
  return reading;
}

function* urnsIn(value: JsonValue | undefined): Generator<JsonValue> {
  if (Array.isArray(value)) for (const one of value) yield* urnsIn(one);
  else if (typeof value === 'object' && value !== null) {
    const { reference } = value as { reference?: JsonValue };
    if (typeof reference === 'string' && reference.startsWith('urn:uuid:')) yield value;
    for (const one of Object.values(value)) yield* urnsIn(one);
  }
}

describe.skipIf(!hasShared)(`real data by others${unlessShared}`, () => {
  it.each(FOLDERS)(
    '%s: every line reads, and types are counted as its README counts them',
    async (folder) => {
      const counts = new Map<string, number>();
      for (const { resourceType } of await resourcesOf(folder)) {
        counts.set(resourceType, (counts.get(resourceType) ?? 0) + 1);
      }
      const expected = countsInReadme(folder);
      expect(expected.length).toBeGreaterThan(10);
      for (const [type, count] of expected) expect([type, counts.get(type)]).toEqual([type, count]);
      if (folder !== 'hl7-r4-examples') expect(counts.size).toBe(expected.length);
    },
  );

  it.each(FOLDERS)(
    '%s: slices are the bytes of the line, in order, and parse to what JSON.parse gives',
    async (folder) => {
      const slices = await resourcesOf(folder);
      let next = 0;
      for (const path of sharedFiles(folder)) {
        for await (const line of createInterface({ input: createReadStream(path).pipe(createGunzip()) })) {
          const value = JSON.parse(line);
          const inLine =
            value.resourceType === 'Bundle'
              ? value.entry.map((e: { resource: object }) => e.resource)
              : [value];
          let at = 0;
          for (const resource of inLine) {
            const slice = slices[next++];
            const found = text(slice.bytes);
            at = line.indexOf(found, at);
            // Plain comparisons: 35,000 times an assertion library takes longer than reading the data.
            if (at < 0 || JSON.stringify(slice.json) !== JSON.stringify(resource))
              expect.fail('another slice');
            at += found.length;
          }
        }
      }
      expect(next).toBe(slices.length);
    },
  );

  it('synthea-bundles: every urn:uuid reference resolves in its Bundle', async () => {
    let references = 0;
    for (const { json, bundle } of await resourcesOf('synthea-bundles')) {
      for (const value of urnsIn(json)) {
        references++;
        if (resolveInBundle(parseReference(value), bundle) === undefined)
          expect.fail('an unresolved reference');
      }
    }
    expect(references).toBeGreaterThan(28_434);
  });

  it.each([
    ['synthea-bundles', 93],
    ['bulk', 13],
  ] as const)('%s: %i patients, each at one custodian, spread over all four', async (folder, patients) => {
    const again = () => readFiles(sharedFiles(folder));
    const planned = await collect(planImport(again(), MEMBERS, await surveyImport(again())));
    const batches = planned.filter((one): one is ImportBatch => !isRefusal(one));
    const custodians = new Map<string, Set<string>>();
    for (const { patientKey, custodian } of batches) {
      if (patientKey !== undefined)
        custodians.set(patientKey, (custodians.get(patientKey) ?? new Set()).add(custodian));
    }
    expect(custodians.size).toBe(patients);
    expect([...custodians.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set(batches.map(({ custodian }) => custodian)).size).toBe(4);
  });

  it.each(FOLDERS)('%s: every resource gives keywords within bounds and a department', async (folder) => {
    for (const { json, resourceType } of await resourcesOf(folder)) {
      const { keywords } = toKeywords(extractKeywords(json, { patient: PATIENT }));
      if (resourceType === 'Condition') expect(keywords.length).toBeGreaterThan(4);
      if (resourceType === 'Claim') expect(keywords).toHaveLength(0);
      if (!DEPARTMENTS.includes(departmentOf(json))) expect.fail('a department that is none');
    }
  });

  it('bulk: every note is found by its words', async () => {
    const notes = (await resourcesOf('bulk')).filter(
      ({ resourceType }) => resourceType === 'DocumentReference',
    );
    expect(notes).toHaveLength(1215);
    for (const { json } of notes) {
      const words = extractKeywords(json).filter(({ field, kind }) => field === 'note' && kind === 'text');
      expect(words.length).toBeGreaterThan(0);
    }
  });
});
