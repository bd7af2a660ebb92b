/** `npm run faults -- ledger --rounds N --seed S [--json]`: faults on real processes, and a summary. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LEDGER_FAULTS, type LedgerFault } from './ledger-faults.ts';
import { type LedgerSummary, ledgerRounds } from './ledger-rounds.ts';
import { ledgerTable } from './table.ts';

const COMMAND = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const USAGE = `usage: npm run faults -- ledger [--rounds N] [--seed S] [--kinds "a,b"] [--json] [--out FILE]
kinds of ledger: ${Object.keys(LEDGER_FAULTS).join(', ')}`;

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

const [suite] = positionals;
if (suite !== 'ledger') fail('name a suite');
const summary = await ledger();
const json = JSON.stringify(summary, null, 2);
if (values.out !== undefined) writeFileSync(values.out, `${json}\n`);
console.log(values.json ? json : ledgerTable(summary));
process.exit(summary.violations.length === 0 ? 0 : 1);
