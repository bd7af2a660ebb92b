/** Private search and its fields. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Hippocrypt, OpenedSearch, OpeningFile, Purpose, SearchReport } from '../../client/index.ts';
import { CodedError } from '../../codec/errors.ts';
import { wholeNumber } from '../arguments.ts';
import { type Output, table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

interface SearchCliOptions extends CommonOptions {
  readonly unit: 'patient' | 'record';
  readonly purpose: Purpose;
  readonly custodian?: string[];
  readonly limit: number;
  readonly count?: boolean;
  readonly maxAge?: number;
}

export function searchCommands(program: Command): void {
  runs<SearchCliOptions>(
    program
      .command('search')
      .description('search the encrypted records of all hospitals; the query stays on this machine')
      .argument('<query>', 'such as: condition:E11* and medication:860975')
      .option('--unit <unit>', 'patient or record', 'patient')
      .option('--purpose <purpose>', 'why', 'research')
      .option('--custodian <member...>', 'only these')
      .option('--limit <n>', 'best so many', wholeNumber(1, 1000), 20)
      .option('--count', 'only how many')
      .option('--max-age <seconds>', 'how old the state of the ledger may be', wholeNumber(0, 1e9)),
    async (output, options, [query]) => {
      const client = await connectProfile();
      const { unit, purpose, custodian: custodians, limit, maxAge } = options;
      const asked = {
        unit,
        purpose,
        limit,
        ...(custodians === undefined ? {} : { custodians }),
        ...(maxAge === undefined ? {} : { maxAgeMs: maxAge * 1000 }),
      };
      if (options.count === true) {
        const counted = await count(client, query, asked);
        tellMissing(output, counted);
        output.result(counted, () => printCount(counted));
        return counted.missing.length === 0 ? 0 : 1;
      }
      const found = client.context.hasDevice
        ? await client.search.query(query, asked)
        : await client.gateway.json<SearchReport>('POST', '/v1/search/query', { body: { query, ...asked } });
      tellMissing(output, found);
      output.result(found, () =>
        unit === 'patient'
          ? [`${found.patients.length} patients`, ...found.patients.map((patient) => `  ${patient}`)].join(
              '\n',
            )
          : [
              `${found.records.length} records`,
              table(
                ['record', 'custodian', 'patient', 'score'],
                found.ranked.map((hit) => [hit.record, hit.custodian, hit.patient ?? '', String(hit.score)]),
              ),
            ].join('\n'),
      );
      return found.missing.length === 0 ? 0 : 1;
    },
  );

  runs(
    program
      .command('epoch')
      .description(
        "open a new key epoch of this hospital's search fields and rebuild its index under it (operators)",
      )
      .argument('[field...]', 'only these; default: all'),
    async (output, _options, fields) => {
      const { gateway } = await connectProfile();
      const opened = await gateway.json<{ epochs: { field: string; epoch: number }[] }>(
        'POST',
        '/v1/search/epochs',
        { body: fields.length === 0 ? {} : { fields: [...fields] } },
      );
      output.result(opened, () =>
        table(
          ['field', 'epoch'],
          opened.epochs.map((one) => [one.field, String(one.epoch)]),
        ),
      );
    },
  );

  const audit = program
    .command('search-audit')
    .description('show an auditor what was searched for, or check what was shown');
  runs(
    audit
      .command('show')
      .description('the opening of a Search entry that you made, for an auditor')
      .argument('<entry>', 'entry id, as the search or the ledger names it'),
    async (output, _options, [entry]) => {
      const client = await connectProfile();
      const opening = client.context.hasDevice
        ? await client.search.opening(entry)
        : await client.gateway.json<OpeningFile>('GET', `/v1/search/openings/${entry}`);
      output.result(opening, () => JSON.stringify(opening));
    },
  );
  runs(
    audit
      .command('verify')
      .description('check an opening against the ledger and say what it shows')
      .argument('<file>', 'what "search-audit show" printed'),
    async (output, _options, [file]) => {
      const client = await connectProfile();
      const text = await readFile(file, 'utf8');
      const seen = await client.search.verifyOpening(openingOfText(text));
      output.result(seen, () =>
        [
          `subject ${seen.subject} asked ${seen.custodian} for ${seen.field} (epoch ${seen.epoch}), ${new Date(seen.time).toISOString()}, purpose ${seen.purpose}, ${seen.granted ? 'granted' : 'denied'}:`,
          ...seen.shown.map((one) => `  ${describeShown(one)}`),
        ].join('\n'),
      );
    },
  );

  runs(program.command('fields').description('what can be searched, by custodian'), async (output) => {
    const fields = await (await connectProfile()).search.fields();
    output.result({ fields }, () =>
      table(
        ['custodian', 'field', 'epoch'],
        fields.map((one) => [one.custodian, one.field, String(one.epoch)]),
      ),
    );
  });
}

type Asked = NonNullable<Parameters<Hippocrypt['search']['query']>[1]>;
type Seen = Pick<SearchReport, 'committed' | 'missing'>;

/** How many; null when a gateway does not tell. */
interface Counted extends Pick<SearchReport, 'unit' | 'committed' | 'missing'> {
  readonly count: number | null;
  readonly exact: boolean;
}

/** Of a private search all that its keys open; of a gateway what the account's rights are told. */
async function count(
  { context, gateway, search }: Hippocrypt,
  query: string,
  asked: Asked,
): Promise<Counted> {
  if (!context.hasDevice) {
    return gateway.json('POST', '/v1/search/query', { body: { query, ...asked, answer: 'count' } });
  }
  const { unit, patients, records, committed, missing } = await search.query(query, asked);
  return { unit, count: (unit === 'patient' ? patients : records).length, exact: true, committed, missing };
}

function printCount({ unit, count, exact }: Counted): string {
  const number = count === null ? 'too few to be told:' : exact ? String(count) : `about ${count}`;
  return `${number} ${unit}s`;
}

function tellMissing(output: Output, { committed, missing }: Seen): void {
  for (const one of committed ?? []) output.note(`stands on the ledger: ${one.entryId}`);
  for (const one of missing) output.note(`not in the answer: ${one.custodian} (${one.code}: ${one.message})`);
}

function openingOfText(text: string): OpeningFile {
  try {
    return JSON.parse(text) as OpeningFile;
  } catch (cause) {
    throw new CodedError('search.opening_wrong', 'expected the JSON that "search-audit show" printed', {
      cause,
    });
  }
}

function describeShown(shown: OpenedSearch['shown'][number]): string {
  if (shown === null) return 'not opened';
  if (shown === 'padding') return 'padding';
  if (shown.type === 'any') return 'any value (sentinel)';
  const system = shown.type === 'code' && shown.system !== null ? `${shown.system}|` : '';
  return `${shown.type} ${system}${String(shown.value)}`;
}
