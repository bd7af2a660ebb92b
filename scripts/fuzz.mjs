// `npm run fuzz -- [--cases N] [--seed S]`: damages headers, keys, parts, rings, shares, policies, ceremony messages and
// payloads, and holds the CP-ABE core to success or a typed error. The same seed repeats the same cases.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare, root, run } from './prepare.mjs';

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '20000' }, seed: { type: 'string', default: 'abe' } },
});
const cases = Number(values.cases);
if (!Number.isInteger(cases) || cases < 1) {
  console.error('expected --cases N with N at least 1');
  process.exit(2);
}
prepare();
// Ten targets; a quarter as many again run on the second backend.
const perTarget = Math.ceil(cases / 12.5);
process.exit(
  run(
    process.execPath,
    [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/abe/fuzz', '--testTimeout=0'],
    { stdio: 'inherit', env: { ...process.env, FUZZ_CASES: String(perTarget), FUZZ_SEED: values.seed } },
  ),
);
