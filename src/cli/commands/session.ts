/** Sign in, see oneself, ask what one may do, request a key. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Device, Hippocrypt, platformRandom } from '../../client/index.ts';
import { table } from '../output.ts';
import { connectProfile, readDevice, readPassword, saveProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

interface LoginOptions extends CommonOptions {
  readonly url: string;
  readonly account: string;
  readonly passwordFile?: string;
  readonly device?: string;
}

export function sessionCommands(program: Command): void {
  runs<LoginOptions>(
    program
      .command('login')
      .description('sign in at a gateway; the token lives 15 minutes')
      .requiredOption('--account <name>', 'account name')
      .option('--url <url>', 'gateway', 'http://127.0.0.1:8080')
      .option('--password-file <file>', 'file that holds the password')
      .option('--device <file>', "the subject's device file, for accounts that keep their own keys"),
    async (output, options) => {
      const password = await readPassword(options.passwordFile);
      const device = options.device === undefined ? undefined : await readDevice(options.device);
      const { url, account } = options;
      const client = await Hippocrypt.connect({
        url,
        account,
        password,
        ...(device === undefined ? {} : { device }),
      });
      const { chainId } = await client.context.members();
      const me = await client.me();
      await saveProfile({
        v: 1,
        url,
        account,
        token: client.gateway.token ?? '',
        device: options.device === undefined ? null : resolve(options.device),
        chainId,
      });
      if (me.custody === 'client' && device === undefined) {
        output.note('This account keeps its own keys: give --device to open, seal and search.');
      }
      output.result(
        me,
        () => `signed in at ${url} as ${me.account} (${me.kind} of ${me.member}), subject ${me.subject}`,
      );
    },
  );

  runs(program.command('whoami').description('who this profile is and what it holds'), async (output) => {
    const me = await (await connectProfile()).me();
    output.result(me, () =>
      [
        `${me.account}: ${me.kind} of ${me.member}, subject ${me.subject}, generation ${me.generation}, keys held by the ${me.custody}`,
        table(
          ['attribute', 'until', 'in force'],
          me.attributes.map((one) => [one.attribute, one.until ?? '', one.inForce ? 'yes' : 'no']),
        ),
      ].join('\n'),
    );
  });

  runs(
    program
      .command('can-i')
      .description('would an access to a record be granted now, and if not, why')
      .argument('<record>'),
    async (output, _options, [record]) => {
      const answer = await (await connectProfile()).records.explain(record);
      output.result(answer, () => `${answer.granted ? 'yes' : 'no'}\n${answer.explanation}`);
      return answer.granted ? 0 : 1;
    },
  );

  const key = program.command('key').description('decryption keys');
  runs(
    key
      .command('request')
      .description('request a key over attributes (default: all that are held) and check its parts')
      .argument('[attribute...]'),
    async (output, _options, attributes) => {
      const client = await connectProfile();
      const report = await client.keys.request(attributes.length === 0 ? undefined : attributes);
      output.result(report, () =>
        [
          `key ${report.keyId}, generation ${report.generation}, ${report.attributes.length} attributes`,
          `parts of authorities ${report.received.join(', ')}; combined ${report.combined.join(', ')}`,
          ...report.missing.map((one) => `missing: ${one.member} (${one.code})`),
          ...report.rejected.map((one) => `wrong part: authority ${one}`),
        ].join('\n'),
      );
    },
  );

  interface DeviceOptions extends CommonOptions {
    readonly member: string;
    readonly out: string;
  }
  runs<DeviceOptions>(
    program
      .command('device')
      .description('make the keys of a new device')
      .requiredOption('--member <id>', 'member that will enrol the subject')
      .requiredOption('--out <file>', 'where to keep them; readable by the owner only'),
    async (output, options) => {
      const device = await Device.create(options.member, platformRandom);
      await writeFile(options.out, `${JSON.stringify(device.toFile(), null, 2)}\n`, {
        mode: 0o600,
        flag: 'wx',
      });
      output.result(
        { subject: device.subject, file: options.out },
        () => `subject ${device.subject}, keys in ${options.out}`,
      );
    },
  );
}
