/** The ledger: checkpoint, entries, offline verification, export, receipts. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import { fromBase64url, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeReceipt, type LedgerReport, receiptToJson, verifyReceipt } from '../../ledger/verify/index.ts';
import { LIST_LIMIT_MAX, wholeNumber } from '../arguments.ts';
import { paint, table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';
import { anchorOfFile, verifyExport } from '../verify.ts';

interface EntryRow {
  readonly entryId: string;
  readonly index: number;
  readonly height: number;
  readonly time: string;
  readonly type: string;
  readonly subject: string | null;
}

interface ShowOptions extends CommonOptions {
  readonly kind?: string;
  readonly subject?: string;
  readonly record?: string;
  readonly patient?: string;
  readonly limit: number;
}

interface VerifyOptions extends CommonOptions {
  readonly genesis?: string;
}

interface ExportOptions extends CommonOptions {
  readonly out: string;
  readonly format: 'ndjson' | 'fhir';
}

export function ledgerCommands(program: Command): void {
  const ledger = program.command('ledger').description('the ledger and its evidence');

  runs(
    ledger.command('checkpoint').description('the newest checkpoint, with its cosignatures checked'),
    async (output) => {
      const client = await connectProfile();
      const text = await client.gateway.text('GET', '/v1/ledger/checkpoint');
      const checkpoint = await client.anchors.checkpoint(text);
      output.result(
        { ...checkpoint, root: toHex(checkpoint.root), stateRoot: toHex(checkpoint.stateRoot), text },
        () => text.trimEnd(),
      );
    },
  );

  runs<ShowOptions>(
    ledger
      .command('show')
      .description('entries, newest first, or one entry by id')
      .argument('[entry]')
      .option('--kind <kind>', 'such as Access or RecordPut')
      .option('--subject <id>')
      .option('--record <id>')
      .option('--patient <id>')
      .option('--limit <n>', 'at most so many', wholeNumber(1, LIST_LIMIT_MAX), 20),
    async (output, options, [id]) => {
      const { gateway } = await connectProfile();
      if (id !== undefined) {
        const entry = await gateway.json<{ entry: unknown }>('GET', `/v1/ledger/entries/${id}`);
        output.result(entry, () => JSON.stringify(entry.entry, null, 2));
        return;
      }
      const query = new URLSearchParams({ limit: String(options.limit) });
      for (const name of ['kind', 'subject', 'record', 'patient'] as const) {
        const value = options[name];
        if (value !== undefined) query.set(name, value);
      }
      const page = await gateway.json<{ entries: EntryRow[] }>('GET', `/v1/ledger/entries?${query}`);
      output.result(page, () =>
        table(
          ['index', 'height', 'time', 'type', 'entry'],
          page.entries.map((one) => [String(one.index), String(one.height), one.time, one.type, one.entryId]),
        ),
      );
    },
  );

  runs<VerifyOptions>(
    ledger
      .command('verify')
      .description('recompute everything: an export file, or the ledger of a gateway (its URL)')
      .argument('[source]', 'file or URL; default: the gateway of the profile')
      .option('--genesis <id>', 'entry id of the genesis that you trust'),
    async (output, options, [source]) => {
      const { path, remove } = await exportFile(source);
      try {
        const anchor = await anchorOfFile(path);
        if (options.genesis !== undefined && toHex(anchor.genesisEntry) !== options.genesis) {
          throw new CodedError(
            'anchor.other_genesis',
            'the ledger begins with another genesis than the one you trust',
          );
        }
        if (options.genesis === undefined) {
          output.note(
            `genesis ${toHex(anchor.genesisEntry)} (taken from the source: compare it with other members)`,
          );
        }
        const report = await verifyExport(path, anchor);
        output.result(report, () => describe(report));
        return report.ok ? 0 : 1;
      } finally {
        await remove();
      }
    },
  );

  runs<ExportOptions>(
    ledger
      .command('export')
      .description(
        'write the whole ledger to a file for offline verification, or what it says of people as FHIR',
      )
      .requiredOption('--out <file>')
      .addOption(
        new Option(
          '--format <format>',
          'ndjson: blocks and entries; fhir: R4 AuditEvents after BALP, one a line',
        )
          .choices(['ndjson', 'fhir'])
          .default('ndjson'),
      ),
    async (output, options) => {
      const client = await connectProfile();
      const source =
        options.format === 'fhir'
          ? auditEvents(client.gateway)
          : client.gateway.stream('GET', '/v1/ledger/export');
      await pipeline(Readable.from(source), createWriteStream(options.out));
      const { size } = await stat(options.out);
      output.result({ file: options.out, bytes: size }, () => `${options.out}: ${size} bytes`);
    },
  );

  runs(
    ledger
      .command('prove')
      .description('the receipt of an entry, checked, as JSON for others to check')
      .argument('<entry>'),
    async (output, _options, [id]) => {
      const client = await connectProfile();
      const { receipt } = await client.gateway.json<{ receipt: string | null }>(
        'GET',
        `/v1/ledger/entries/${id}`,
      );
      if (receipt === null)
        throw new CodedError('timeout.receipt', 'a quorum has not cosigned yet: try again');
      const verdict = verifyReceipt(fromBase64url(receipt), await client.anchors.anchor());
      if (!verdict.ok) throw new CodedError(verdict.code, verdict.message);
      const json = receiptToJson(decodeReceipt(fromBase64url(receipt)));
      output.result({ verified: true, members: verdict.members, receipt: json }, () =>
        [
          `entry ${verdict.entryId} is in the log, vouched for by ${verdict.members.join(', ')}`,
          JSON.stringify(json),
        ].join('\n'),
      );
    },
  );
}

/** AuditEvents that the session may see, a line each, newest first. */
async function* auditEvents(
  gateway: Awaited<ReturnType<typeof connectProfile>>['gateway'],
): AsyncIterable<string> {
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: '500', ...(cursor === undefined ? {} : { cursor }) });
    const page = await gateway.json<{
      entry: { resource: unknown }[];
      link?: { relation: string; url: string }[];
    }>('GET', `/fhir/R4/AuditEvent?${query}`);
    for (const { resource } of page.entry) yield `${JSON.stringify(resource)}\n`;
    const next = page.link?.find((one) => one.relation === 'next')?.url;
    cursor =
      next === undefined ? undefined : (new URLSearchParams(next.split('?')[1]).get('cursor') ?? undefined);
  } while (cursor !== undefined);
}

/** The export behind `source` as a file: itself, or downloaded to a temporary one. */
async function exportFile(
  source: string | undefined,
): Promise<{ path: string; remove: () => Promise<void> }> {
  const isUrl = source !== undefined && /^https?:\/\//.test(source);
  if (source !== undefined && !isUrl) {
    await readFile(source, { flag: 'r' }).catch((cause: unknown) => {
      throw new CodedError('cli.no_file', `cannot read ${source}`, { cause });
    });
    return { path: source, remove: async () => undefined };
  }
  const { gateway } = await connectProfile();
  if (isUrl && source.replace(/\/+$/, '') !== gateway.url) {
    throw new CodedError(
      'auth.required',
      `sign in at ${source} first: "hippocrypt login --url ${source} ..."`,
    );
  }
  const dir = await mkdtemp(join(tmpdir(), 'hippocrypt-'));
  const path = join(dir, 'ledger.ndjson');
  await pipeline(Readable.from(gateway.stream('GET', '/v1/ledger/export')), createWriteStream(path));
  return { path, remove: () => rm(dir, { recursive: true, force: true }) };
}

function describe(report: LedgerReport): string {
  if (report.ok) return paint('green', `ok: ${report.blocks} blocks, ${report.entries} entries verified`);
  const rows = report.failures.slice(0, 50).map(({ height, index, what, expected, got }) => {
    const where = index === undefined ? `height ${height}` : `entry ${index} at height ${height}`;
    return paint('red', `  ${where}: ${what}: expected ${expected}, got ${got}`);
  });
  const more = report.failures.length + report.moreFailures - rows.length;
  return [
    paint(
      'red',
      `FAILED: ${report.failures.length + report.moreFailures} failures in ${report.blocks} blocks`,
    ),
    ...rows,
    ...(more > 0 ? [`  and ${more} more (--json lists them)`] : []),
  ].join('\n');
}
