/** Where the code of a worker thread lies. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CodedError } from '../../codec/errors.ts';

/** Path of `name` beside this file, or in the build; throws `node.not_built`. */
export function workerFile(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}`, import.meta.url));
  if (existsSync(beside)) return beside;
  // Run from the sources (tests): threads cannot load TypeScript, so they run the build.
  const built = fileURLToPath(new URL(`../../../dist/node/work/${name}`, import.meta.url));
  if (existsSync(built)) return built;
  throw new CodedError('node.not_built', 'expected the build in dist/: run "npm run build" first');
}
