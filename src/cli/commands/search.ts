/** Private search and its fields. */
import type { Command } from 'commander';
import type { Purpose } from '../../client/index.ts';
import { wholeNumber } from '../arguments.ts';
import { table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

interface SearchCliOptions extends CommonOptions {
  readonly unit: 'patient' | 'record';
  readonly purpose: Purpose;
  readonly custodian?: string[];
  readonly limit: number;
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
      .option('--limit <n>', 'best so many', wholeNumber(1, 1000), 20),
    async (output, options, [query]) => {
      const client = await connectProfile();
      const { unit, purpose, custodian: custodians, limit } = options;
      const found = client.context.hasDevice
        ? await client.search.query(query, {
            unit,
            purpose,
            limit,
            ...(custodians === undefined ? {} : { custodians }),
          })
        : await client.gateway.json<Awaited<ReturnType<typeof client.search.query>>>(
            'POST',
            '/v1/search/query',
            {
              body: {
                query,
                unit,
                purpose,
                limit,
                ...(custodians === undefined ? {} : { custodians }),
              },
            },
          );
      for (const one of found.missing)
        output.note(`not in the answer: ${one.custodian} (${one.code}: ${one.message})`);
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
