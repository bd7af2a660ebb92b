// `node scripts/search-evidence.mjs [--formulas N] [--histories N] [--seed S]`: the long forms of the search tests. Answers over
// all of the shared FHIR data against a plain walk, leakage transcripts against their simulator for every fetch policy, attacks with
// their ceilings, file statistics. Needs the shared data beside the checkout or in HIPPOCRYPT_SHARED. Prints a line of counts for each;
// exit code 0 if everything held. The same seed repeats the same run.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare, root } from './prepare.mjs';

const { values } = parseArgs({
  options: {
    formulas: { type: 'string', default: '10000' },
    histories: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
  },
});
for (const name of ['formulas', 'histories', 'seed']) {
  if (!/^[1-9][0-9]{0,6}$/.test(values[name])) {
    console.error(`expected --${name} N with N from 1 to 9999999`);
    process.exit(2);
  }
}
prepare();
const SUITES = ['attacks', 'segment', 'leakage', 'corpus'];
const chosen = values.only ?? SUITES;
let failed = 0;
for (const suite of SUITES.filter((one) => chosen.includes(one))) {
  const begun = Date.now();
  const done = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      `test/search/${suite}.test.ts`,
      '--testTimeout=0',
    ],
    {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      env: {
        ...process.env,
        HIPPOCRYPT_SEARCH_SEED: values.seed,
        HIPPOCRYPT_SEARCH_HISTORIES: values.histories,
        HIPPOCRYPT_SEARCH_CORPUS_FORMULAS: values.formulas,
        HIPPOCRYPT_SEARCH_CORPUS_RECORDS: '1000000',
      },
    },
  );
  for (const line of done.stdout.split('\n')) {
    const counts = /search (?:attacks|leakage|corpus): \{.*\}/.exec(line);
    if (counts !== null) console.log(counts[0]);
  }
  if (done.status !== 0) {
    failed++;
    console.log(done.stdout.slice(-20_000));
    console.error(done.stderr.slice(-5_000));
  }
  console.log(
    `${suite}: ${done.status === 0 ? 'held' : 'FAILED'} (${Math.round((Date.now() - begun) / 1000)} s)`,
  );
}
process.exit(failed === 0 ? 0 : 1);
