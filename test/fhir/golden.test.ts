import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  DEFAULT_POLICIES,
  defaultPolicy,
  departmentOf,
  extractKeywords,
  isRefusal,
  KEYWORD_MAP,
  planImport,
} from '../../src/fhir/index.ts';
import { collect, MEMBERS, PATIENT, readFiles, sampleFiles } from './shared.ts';

it('what an import makes of sample/patient-01.json changes with a version of the maps only', async () => {
  const golden = JSON.parse(readFileSync(new URL('../golden/fhir/patient-01.json', import.meta.url), 'utf8'));
  const batches = await collect(planImport(readFiles(sampleFiles().slice(0, 1)), MEMBERS));
  const records = batches.flatMap((batch) => {
    if (isRefusal(batch)) return [];
    return batch.resources.map(({ resource: { resourceType, position, bytes, json }, patientKey }) => {
      const patient = patientKey === undefined ? {} : { patient: PATIENT };
      const department = departmentOf(json);
      return {
        resourceType,
        position,
        bytes: bytes.length,
        custodian: batch.custodian,
        department,
        policy: defaultPolicy(resourceType, { member: batch.custodian, department, ...patient }),
        values: extractKeywords(json, patient),
      };
    });
  });
  expect({ keywordMap: KEYWORD_MAP.version, policyMap: DEFAULT_POLICIES.version, records }).toEqual(golden);
});
