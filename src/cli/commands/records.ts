/** Records: put, open, get, list, change the policy, inspect a header, explain. */
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { decodePolicy, inspectHeader, printPolicy } from '../../abe/index.ts';
import { contentJson } from '../../api/json.ts';
import type { Purpose, PutReport, RecordInfo } from '../../client/index.ts';
import { fromBase64url, toBase64url, toHex } from '../../codec/bytes.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { LIST_LIMIT_MAX, wholeNumber } from '../arguments.ts';
import { table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';
import { mebibytes, saveStream, shown } from '../transfer.ts';

/** Up to here a file is read whole, and a FHIR resource in it indexed; a longer one passes as a stream. */
const WHOLE_MAX = 64 * 1024 * 1024;

interface OpenOptions extends CommonOptions {
  readonly purpose: Purpose;
  readonly out?: string;
}

interface PutOptions extends CommonOptions {
  readonly patient?: string;
  readonly policy?: string;
}

interface ListOptions extends CommonOptions {
  readonly patient?: string;
  readonly custodian?: string;
  readonly limit: number;
}

export function recordCommands(program: Command): void {
  const record = program.command('record').description('sealed records');

  runs<PutOptions>(
    record
      .command('put')
      .description('seal a file on this machine and put it')
      .argument('<file>', 'a FHIR resource in JSON, or any document')
      .option('--patient <pseudonym>', 'whom it is about')
      .option('--policy <text>', 'policy; the default of the resource type when left out'),
    async (output, options, [file]) => {
      const client = await connectProfile();
      const patient = options.patient ?? null;
      const policy = options.policy === undefined ? {} : { policy: options.policy };
      const { size } = await stat(file);
      const put = async (): Promise<PutReport> => {
        if (client.context.hasDevice && size > WHOLE_MAX) {
          output.note('a file of this size is sealed as a stream and not searched for keywords');
          const source = shown(createReadStream(file), output.progress('sealing', mebibytes(size), 'MiB'));
          return client.records.putStream({ source, patient, ...policy });
        }
        const content = new Uint8Array(await readFile(file));
        if (client.context.hasDevice) return client.records.put([{ content, patient, ...policy }]);
        const record = { content: toBase64url(content), encoding: 'base64url', patient, ...policy };
        return client.gateway.json('POST', '/v1/records', { body: { records: [record] } });
      };
      const report = await put();
      output.result(report, () => `record ${report.records[0]}, entry ${report.committed.entryId}`);
    },
  );

  runs<OpenOptions>(
    record
      .command('open')
      .description('ask for access and decrypt; the plaintext goes to stdout or --out')
      .argument('<record>')
      .option(
        '--purpose <purpose>',
        'treatment, payment, operations, research, patient or audit',
        'treatment',
      )
      .option('--out <file>', 'write the plaintext there'),
    async (output, options, [id]) => {
      const client = await connectProfile();
      const told = (error: unknown): never => {
        if (hasCode(error, 'access.denied')) output.note(`what is missing: hippocrypt can-i ${id}`);
        throw error;
      };
      const { bytes } = await client.records.get(id);
      if (client.context.hasDevice && bytes > WHOLE_MAX) {
        const opened = await client.records.openStream(id, options.purpose).catch(told);
        output.note(`access entry ${opened.access.entryId}`);
        const plaintext = shown(opened.plaintext, output.progress('opening', mebibytes(bytes), 'MiB'));
        await saveStream(plaintext, options.out);
        const { entryId: access } = opened.access;
        if (output.json) output.result({ record: id, access, file: options.out }, () => '');
        return;
      }
      let plaintext: Uint8Array;
      let access: string;
      if (client.context.hasDevice) {
        const opened = await client.records.open(id, options.purpose).catch(told);
        plaintext = opened.plaintext;
        access = opened.access.entryId;
      } else {
        const opened = await client.gateway.json<{ content: string; encoding: string; access: string }>(
          'POST',
          `/v1/records/${id}/open`,
          {
            body: { purpose: options.purpose },
          },
        );
        plaintext =
          opened.encoding === 'base64url'
            ? fromBase64url(opened.content)
            : new TextEncoder().encode(opened.content);
        access = opened.access;
      }
      output.note(`access entry ${access}`);
      if (options.out !== undefined) await writeFile(options.out, plaintext, { mode: 0o600 });
      else if (output.json) {
        output.result({ record: id, access, ...contentJson(plaintext) }, () => '');
      } else {
        if (process.stdout.isTTY && plaintext.includes(0)) {
          throw new CodedError(
            'cli.binary',
            'the plaintext is binary: give --out FILE instead of the terminal',
          );
        }
        process.stdout.write(plaintext);
        if (process.stdout.isTTY) process.stdout.write('\n');
      }
    },
  );

  runs(
    record.command('get').description('what the ledger says of a record').argument('<record>'),
    async (output, _o, [id]) => {
      const info = await (await connectProfile()).records.get(id);
      output.result(info, () => describe(info));
    },
  );

  runs<ListOptions>(
    record
      .command('list')
      .description('records on the ledger')
      .option('--patient <pseudonym>')
      .option('--custodian <member>')
      .option('--limit <n>', 'at most so many', wholeNumber(1, LIST_LIMIT_MAX), 20),
    async (output, { patient, custodian, limit }) => {
      const page = await (await connectProfile()).records.list({
        limit,
        ...(patient === undefined ? {} : { patient }),
        ...(custodian === undefined ? {} : { custodian }),
      });
      output.result(page, () =>
        table(
          ['record', 'custodian', 'version', 'bytes', 'patient'],
          page.records.map((one) => [
            one.record,
            one.custodian,
            String(one.version),
            String(one.bytes),
            one.patient ?? '',
          ]),
        ),
      );
    },
  );

  runs(
    record
      .command('policy')
      .description('change the policy; the payload stays as it is')
      .argument('<record>')
      .argument('<policy>', 'policy text, see docs/policies.md'),
    async (output, _options, [id, policy]) => {
      const client = await connectProfile();
      const committed = client.context.hasDevice
        ? await client.records.changePolicy(id, policy)
        : await client.gateway.json<{ entryId: string }>('PUT', `/v1/records/${id}/policy`, {
            body: { policy },
          });
      output.result(committed, () => `changed, entry ${committed.entryId}`);
    },
  );

  runs(
    record.command('inspect').description('what the sealed header says, without a key').argument('<record>'),
    async (output, _options, [id]) => {
      const client = await connectProfile();
      const { header } = await client.gateway.json<{ header: string }>('GET', `/v1/records/${id}/header`);
      const seen = inspectHeader(fromBase64url(header));
      const view = {
        suite: seen.suite,
        format: seen.format,
        record: toHex(seen.recordId),
        version: seen.version,
        policy: printPolicy(decodePolicy(seen.policyBytes)),
        gate: seen.gate,
        emergency: seen.emergency,
        rows: seen.rows,
        bytes: seen.bytes,
        hash: toHex(seen.hash),
      };
      output.result(view, () =>
        Object.entries(view)
          .map(([name, value]) => `${name.padEnd(10)} ${value}`)
          .join('\n'),
      );
    },
  );

  runs(
    record
      .command('explain')
      .description('why this account could or could not open a record')
      .argument('<record>'),
    async (output, _options, [id]) => {
      const answer = await (await connectProfile()).records.explain(id);
      output.result(
        answer,
        () => `${answer.granted ? 'granted' : `denied (${answer.reason})`}\n${answer.explanation}`,
      );
    },
  );

  interface EraseOptions extends CommonOptions {
    readonly reason: string;
  }
  runs<EraseOptions>(
    record
      .command('erase')
      .description('erase a record for ever')
      .argument('<record>')
      .requiredOption('--reason <reason>', 'patient-request, retention, error or order'),
    async (output, { reason }, [id]) => {
      const client = await connectProfile();
      const signed = client.context.hasDevice
        ? await client.context.sign('Erase', {
            record: Uint8Array.from(Buffer.from(id, 'hex')),
            reason: reason as 'error',
          })
        : {};
      const committed = await client.gateway.json<{ entryId: string }>('DELETE', `/v1/records/${id}`, {
        body: { ...signed, reason },
      });
      output.result(committed, () => `erased, entry ${committed.entryId}`);
    },
  );
}

function describe(info: RecordInfo): string {
  return [
    `record    ${info.record}`,
    `custodian ${info.custodian}, version ${info.version}${info.erased ? ', erased' : ''}`,
    `payload   ${info.cid ?? 'none'} (${info.bytes} bytes)`,
    `patient   ${info.patient ?? 'none'}`,
    `policy    ${info.policy}`,
  ].join('\n');
}
