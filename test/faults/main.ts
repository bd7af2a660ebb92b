/** `npm run faults -- ledger|storage ...`: faults on real processes, and a summary. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LEDGER_FAULTS, type LedgerFault } from './ledger-faults.ts';
import { type LedgerSummary, ledgerRounds } from './ledger-rounds.ts';
import { type StorageSummary, storageMoments } from './storage-moments.ts';
import { STORAGE_OPERATIONS } from './storage-operations.ts';
import { ledgerTable, storageTable } from './table.ts';

const COMMAND = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const USAGE = `usage: npm run faults -- ledger [--rounds N] [--seed S] [--kinds "a,b"] [--json] [--out FILE]
       npm run faults -- storage [--moments N] [--seed S] [--kinds "a,b"] [--json] [--out FILE]
kinds of ledger: ${Object.keys(LEDGER_FAULTS).join(', ')}
kinds of storage: ${STORAGE_OPERATIONS.map(({ name }) => name).join(', ')}`;

function fail(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) fail(`expected --${name} with a whole number`);
  return value;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '9' },
    moments: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const log = (line: string): void => console.error(line);
const seed = whole('seed', values.seed);

function isFault(kind: string): kind is LedgerFault {
  return Object.hasOwn(LEDGER_FAULTS, kind);
}

async function ledger(): Promise<LedgerSummary> {
  const kinds = values.kinds?.split(',').map((kind) => kind.trim());
  const unknown = kinds?.find((kind) => !isFault(kind));
  if (unknown !== undefined) fail(`no kind "${unknown}"`);
  return ledgerRounds({
    rounds: whole('rounds', values.rounds),
    seed,
    command: COMMAND,
    log,
    ...(kinds === undefined ? {} : { kinds: kinds.filter(isFault) }),
  });
}

async function storage(): Promise<StorageSummary> {
  const operations = values.kinds?.split(',').map((name) => name.trim());
  const unknown = operations?.find((name) => !STORAGE_OPERATIONS.some((one) => one.name === name));
  if (unknown !== undefined) fail(`no kind "${unknown}"`);
  return storageMoments({
    moments: whole('moments', values.moments),
    seed,
    command: COMMAND,
    log,
    ...(operations === undefined ? {} : { operations }),
  });
}

const [suite] = positionals;
if (suite !== 'ledger' && suite !== 'storage') fail('name a suite: ledger or storage');
const { summary, table } =
  suite === 'ledger'
    ? await ledger().then((done) => ({ summary: done, table: ledgerTable(done) }))
    : await storage().then((done) => ({ summary: done, table: storageTable(done) }));
const json = JSON.stringify(summary, null, 2);
if (values.out !== undefined) writeFileSync(values.out, `${json}\n`);
console.log(values.json ? json : table);
process.exit(summary.violations.length === 0 ? 0 : 1);
