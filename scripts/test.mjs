// `npm test`: installs and builds if needed, then runs everything that CI's test step runs.
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

prepare();
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
process.exit(run(process.execPath, [vitest, 'run', ...process.argv.slice(2)], { stdio: 'inherit' }));
