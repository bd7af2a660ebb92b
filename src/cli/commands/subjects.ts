/** Subjects and their attributes, for registrars. */
import type { Command } from 'commander';
import type { Committed } from '../../client/index.ts';
import { table } from '../output.ts';
import { connectProfile, readDevice, readPassword } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

interface AddOptions extends CommonOptions {
  readonly kind: string;
  readonly device?: string;
  readonly identifier?: string[];
  readonly account?: string;
  readonly passwordFile?: string;
}

interface GrantOptions extends CommonOptions {
  readonly until?: string;
}

interface RevokeOptions extends CommonOptions {
  readonly reason: string;
}

export function subjectCommands(program: Command): void {
  const subject = program.command('subject').description('people, systems and devices with keys');
  runs<AddOptions>(
    subject
      .command('add')
      .description('enrol a subject of your member')
      .option('--kind <kind>', 'patient, person, system or device', 'person')
      .option('--device <file>', 'its device file; without one the gateway keeps its keys')
      .option('--identifier <system|value...>', 'identifiers that only this member remembers')
      .option('--account <name>', 'also make a sign-in account; its password is asked for')
      .option('--password-file <file>', 'file that holds that password'),
    async (output, options) => {
      const client = await connectProfile();
      const { chainId } = await client.context.members();
      const device = options.device === undefined ? undefined : await readDevice(options.device);
      const account =
        options.account === undefined
          ? {}
          : { account: { name: options.account, password: await readPassword(options.passwordFile) } };
      const answer = await client.gateway.json<{ subject: string; created: boolean }>(
        'POST',
        '/v1/subjects',
        {
          body: {
            kind: options.kind,
            identifiers: options.identifier ?? [],
            ...account,
            ...(device === undefined ? {} : { subject: device.subject, keys: device.enrolment(chainId) }),
          },
        },
      );
      output.result(answer, () => `subject ${answer.subject}${answer.created ? '' : ' (known before)'}`);
    },
  );

  runs(subject.command('show').argument('<subject>'), async (output, _options, [id]) => {
    const { gateway } = await connectProfile();
    const seen = await gateway.json<{
      member: string;
      kind: string;
      generation: number;
      revoked: boolean;
      attributes: { attribute: string; until: string | null; inForce: boolean }[];
    }>('GET', `/v1/subjects/${id}`);
    output.result(seen, () =>
      [
        `${seen.kind} of ${seen.member}, generation ${seen.generation}${seen.revoked ? ', revoked' : ''}`,
        table(
          ['attribute', 'until', 'in force'],
          seen.attributes.map((one) => [one.attribute, one.until ?? '', one.inForce ? 'yes' : 'no']),
        ),
      ].join('\n'),
    );
  });

  runs<RevokeOptions>(
    subject
      .command('revoke')
      .argument('<subject>')
      .requiredOption('--reason <reason>', 'left, lost-key, abuse, deceased or error'),
    async (output, { reason }, [id]) => {
      const { gateway } = await connectProfile();
      const done = await gateway.json<Committed>('POST', `/v1/subjects/${id}/revoke`, { body: { reason } });
      output.result(done, () => `revoked, entry ${done.entryId}`);
    },
  );

  const attribute = program.command('attribute').description('what subjects hold');
  runs<GrantOptions>(
    attribute
      .command('grant')
      .argument('<subject>')
      .argument('<attribute>', 'such as mercy/role:doctor')
      .option('--until <time>', 'end, RFC 3339'),
    async (output, { until }, [id, name]) => {
      const { gateway } = await connectProfile();
      const path = `/v1/subjects/${id}/attributes/${encodeURIComponent(name)}`;
      const done = await gateway.json<Committed>('PUT', path, { body: { until: until ?? null } });
      output.result(done, () => `granted, entry ${done.entryId}`);
    },
  );
  runs(
    attribute.command('end').argument('<subject>').argument('<attribute>'),
    async (output, _options, [id, name]) => {
      const { gateway } = await connectProfile();
      const done = await gateway.json<Committed>(
        'DELETE',
        `/v1/subjects/${id}/attributes/${encodeURIComponent(name)}`,
        {
          body: {},
        },
      );
      output.result(done, () => `ended, entry ${done.entryId}`);
    },
  );
}
