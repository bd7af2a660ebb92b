/** Consent: ask, answer, revoke, list. */
import type { Command } from 'commander';
import type { Committed, Hippocrypt, Purpose } from '../../client/index.ts';
import { wholeNumber } from '../arguments.ts';
import { table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

interface RequestOptions extends CommonOptions {
  readonly days: number;
  readonly purpose: Purpose;
}

export function consentCommands(program: Command): void {
  const consent = program.command('consent').description("patients' consent");
  runs<RequestOptions>(
    consent
      .command('request')
      .description('ask a patient for access to all its records')
      .argument('<patient>', 'patient pseudonym')
      .option('--days <n>', 'for how long', wholeNumber(1, 366), 30)
      .option('--purpose <purpose>', 'why', 'treatment'),
    async (output, { days, purpose }, [patient]) => {
      const client = await connectProfile();
      const until = new Date(Date.now() + days * DAY_MS);
      const committed = client.context.hasDevice
        ? await client.consents.request(patient, until, purpose)
        : await plain(client, '/v1/consents', { patient, until: until.toISOString(), purpose });
      output.result(committed, () => `asked; consent ${committed.entryId}`);
    },
  );
  for (const verb of ['accept', 'reject', 'revoke'] as const) {
    runs(
      consent.command(verb).description(`${verb} a consent, as its patient`).argument('<consent>'),
      async (output, _options, [id]) => {
        const client = await connectProfile();
        const committed = client.context.hasDevice
          ? await client.consents[verb](id)
          : await plain(client, `/v1/consents/${id}/${verb}`, {});
        output.result(committed, () => `done, entry ${committed.entryId}`);
      },
    );
  }
  runs(consent.command('list').description('consents that concern this account'), async (output) => {
    const page = await (await connectProfile()).consents.list();
    output.result(page, () =>
      table(
        ['consent', 'state', 'patient', 'grantee', 'until'],
        page.consents.map((one) => [one.consent, one.state, one.patient, one.grantee, one.until]),
      ),
    );
  });
}

function plain(client: Hippocrypt, path: string, body: unknown): Promise<Committed> {
  return client.gateway.json('POST', path, { body });
}
