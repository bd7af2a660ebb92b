/** Import of FHIR files into a running consortium, by an account with the rights author and registrar at each gateway. */
import type { Command } from 'commander';
import { Gateway } from '../../client/index.ts';
import { wholeNumber } from '../arguments.ts';
import { planFiles, runImport } from '../import.ts';
import { readPassword } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

interface ImportOptions extends CommonOptions {
  readonly url: string[];
  readonly account: string;
  readonly passwordFile?: string;
  readonly max?: number;
}

export function importCommand(program: Command): void {
  runs<ImportOptions>(
    program
      .command('import')
      .description('import FHIR Bundles or ndjson (also .gz); each gateway seals what its member keeps')
      .argument('<file...>')
      .option(
        '--url <url...>',
        "every member's gateway",
        [8080, 8081, 8082, 8083].map((port) => `http://127.0.0.1:${port}`),
      )
      .option('--account <name>', 'account with the rights author and registrar', 'import')
      .option('--password-file <file>', 'file that holds its password')
      .option('--max <n>', 'take only the first n Bundles', wholeNumber(1, 1_000_000_000)),
    async (output, options, paths) => {
      const password = await readPassword(options.passwordFile);
      const gateways = new Map<string, Gateway>();
      for (const url of options.url) {
        const gateway = new Gateway({ url });
        await gateway.login(options.account, password);
        const { member } = await gateway.json<{ member: string }>('GET', '/v1/members');
        gateways.set(member, gateway);
      }
      const source = { paths, ...(options.max === undefined ? {} : { max: options.max }) };
      const plan = await planFiles(source, [...gateways.keys()]);
      const progress = output.progress('sealing and importing', plan.survey.resources, 'records');
      const { entries, ...summary } = await runImport({ plan, gateways, progress });
      output.result({ ...summary, entries: entries.length }, () =>
        [
          `${summary.records} records of ${summary.patients} patients in ${entries.length} entries, ${Math.round(summary.records / summary.seconds)} records/s`,
          ...summary.refused.map(
            (one) => `refused ${one.file}: ${one.code} ${one.message} at ${JSON.stringify(one.position)}`,
          ),
        ].join('\n'),
      );
      return summary.refused.length === 0 ? 0 : 1;
    },
  );
}
