/** The ledger for clients and auditors: checkpoint, blocks, entries, proofs, state, live stream, export. */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { toBase64url } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { entryId, recordId, subjectId } from '../../codec/ids.ts';
import { entryJson } from '../json.ts';
import type { Services } from '../ports.ts';
import { EntryIdText, PageQuery, problems, RecordIdText, SubjectIdText } from '../schemas.ts';

const bearer = [{ bearer: [] }];
const Entry = z.record(z.string(), z.unknown()).meta({ id: 'Entry' });
/** Unsent bytes a live listener may cause before it is cut off. */
const STREAM_BACKLOG_MAX = 1024 * 1024;
/** State values of one answer; a proof is about 3 kB. */
const STATES_MAX = 256;

export function ledgerRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  const { ledger } = services;
  /** How to end each live stream: a gateway that stops does not wait for its listeners to go. */
  const streams = new Set<() => void>();
  scope.addHook('preClose', async () => {
    for (const end of streams) end();
  });

  app.get(
    '/ledger/checkpoint',
    {
      config: { public: true },
      schema: {
        summary: 'The newest checkpoint with a quorum of cosignatures',
        tags: ['ledger'],
        response: { 200: z.string().describe('C2SP tlog-checkpoint'), ...problems },
      },
    },
    (_request, reply) => {
      reply.header('content-type', 'text/plain; charset=utf-8').serializer((payload) => payload as string);
      return services.witnesses.withLines(ledger.checkpoint());
    },
  );

  app.get(
    '/ledger/blocks/:height',
    {
      schema: {
        summary: 'A block: header, quorum certificate, batch',
        tags: ['ledger'],
        security: bearer,
        params: z.object({ height: z.coerce.number().int().min(0) }),
        response: {
          200: z
            .object({ header: z.string(), qc: z.string(), batch: z.array(z.string()) })
            .meta({ id: 'Block' }),
          ...problems,
        },
      },
    },
    (request) => {
      const block = ledger.block(request.params.height);
      if (block === undefined)
        throw new CodedError('ledger.block_unknown', 'this node has no block of that height');
      return {
        header: toBase64url(block.header),
        qc: toBase64url(block.qc),
        batch: block.batch.map(toBase64url),
      };
    },
  );

  app.get(
    '/ledger/entries',
    {
      schema: {
        summary: 'Entries, newest first',
        tags: ['ledger'],
        security: bearer,
        querystring: z.object({
          ...PageQuery,
          kind: z.string().max(32).optional(),
          subject: SubjectIdText.optional(),
          record: RecordIdText.optional(),
          patient: SubjectIdText.optional(),
        }),
        response: { 200: z.object({ entries: z.array(Entry), next: z.string().nullable() }), ...problems },
      },
    },
    (request) => {
      const { limit, cursor, kind, subject, record, patient } = request.query;
      const page = ledger.entries({
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(kind === undefined ? {} : { kind }),
        ...(subject === undefined ? {} : { subject: subjectId(subject) }),
        ...(record === undefined ? {} : { record: recordId(record) }),
        ...(patient === undefined ? {} : { patient: subjectId(patient) }),
      });
      return { entries: page.entries.map(entryJson), next: page.next };
    },
  );

  app.get(
    '/ledger/entries/:id',
    {
      schema: {
        summary: 'One entry and its receipt',
        tags: ['ledger'],
        security: bearer,
        params: z.object({ id: EntryIdText }),
        response: { 200: z.object({ entry: Entry, receipt: z.string().nullable() }), ...problems },
      },
    },
    async (request) => {
      const id = entryId(request.params.id);
      const entry = ledger.entry(id);
      if (entry === undefined) throw new CodedError('entry.unknown', 'no entry has this id');
      const receipt = await ledger.receipt(id, 1_000);
      return { entry: entryJson(entry), receipt: receipt === null ? null : toBase64url(receipt) };
    },
  );

  app.get(
    '/ledger/tile/*',
    {
      schema: {
        summary: 'A tile of the log',
        description:
          'C2SP tlog-tiles below /v1/ledger: 32-byte hashes in order. Full tiles never change; partial ones (`.p/<width>`) are of one size of the log.',
        tags: ['ledger'],
        security: bearer,
        params: z.object({ '*': z.string().max(64) }),
        response: { 200: z.any().describe('hashes, 32 bytes each'), ...problems },
      },
    },
    (request, reply) => {
      const tile = ledger.tile(`tile/${request.params['*']}`);
      if (tile === undefined) throw new CodedError('entry.unknown', 'the path names no tile of this log');
      if (tile.full) reply.header('cache-control', 'public, max-age=31536000, immutable');
      reply.header('content-type', 'application/octet-stream').serializer((bytes) => bytes as string);
      return Buffer.from(tile.bytes.buffer, tile.bytes.byteOffset, tile.bytes.byteLength);
    },
  );

  const Proof = z.object({ hashes: z.array(z.string()) }).meta({ id: 'Proof' });
  const size = z.coerce.number().int().min(0);
  app.get(
    '/ledger/proofs/inclusion',
    {
      schema: {
        summary: 'RFC 6962 inclusion proof',
        tags: ['ledger'],
        security: bearer,
        querystring: z.object({ index: size, size }),
        response: { 200: Proof, ...problems },
      },
    },
    (request) => ({
      hashes: ledger.inclusionProof(request.query.index, request.query.size).map(toBase64url),
    }),
  );
  app.get(
    '/ledger/proofs/consistency',
    {
      schema: {
        summary: 'RFC 6962 consistency proof',
        tags: ['ledger'],
        security: bearer,
        querystring: z.object({ first: size, second: size }),
        response: { 200: Proof, ...problems },
      },
    },
    (request) => ({
      hashes: ledger.consistencyProof(request.query.first, request.query.second).map(toBase64url),
    }),
  );

  app.get(
    '/ledger/state/*',
    {
      schema: {
        summary: 'A state value with its proof',
        description: 'The key is the rest of the path, as docs/entries.md lists it.',
        tags: ['ledger'],
        security: bearer,
        params: z.object({ '*': z.string().min(1).max(512) }),
        response: {
          200: z.object({
            key: z.string(),
            value: z.string().nullable(),
            proof: z.string(),
            checkpoint: z.string(),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const key = request.params['*'];
      const { values, checkpoint } = await ledger.getWithProofs([key]);
      return { key, ...provenJson(values[0]), checkpoint };
    },
  );

  app.post(
    '/ledger/states',
    {
      schema: {
        summary: 'Several state values with their proofs under one checkpoint',
        description:
          'Values in the order of `keys`. With `since`, the size of a checkpoint that the caller has verified, ' +
          '`consistency` is the RFC 6962 proof from there; null when this node is not that far.',
        tags: ['ledger'],
        security: bearer,
        body: z.object({
          keys: z.array(z.string().min(1).max(512)).min(1).max(STATES_MAX),
          since: z.number().int().min(0).optional(),
        }),
        response: {
          200: z.object({
            states: z.array(z.object({ value: z.string().nullable(), proof: z.string() })),
            checkpoint: z.string(),
            consistency: z.array(z.string()).nullable(),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { keys, since } = request.body;
      const { values, checkpoint, size } = await ledger.getWithProofs(keys);
      const canProve = since !== undefined && since <= size;
      return {
        states: values.map(provenJson),
        checkpoint,
        consistency: canProve ? ledger.consistencyProof(since, size).map(toBase64url) : null,
      };
    },
  );

  app.get(
    '/ledger/stream',
    {
      schema: {
        summary: 'Entries as they are applied (server-sent events)',
        tags: ['ledger'],
        security: bearer,
        response: { 200: z.any().describe('text/event-stream'), ...problems },
      },
    },
    (request, reply) => {
      reply.hijack();
      const out = reply.raw;
      out.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      out.write(': open\n\n');
      const stop = ledger.subscribe((entry) => {
        if (out.writableLength > STREAM_BACKLOG_MAX) {
          stop();
          out.destroy();
          return;
        }
        out.write(`id: ${entry.index}\nevent: ${entry.type}\ndata: ${JSON.stringify(entryJson(entry))}\n\n`);
      });
      const end = (): void => {
        out.end();
      };
      // A stream lives no longer than the token that opened it.
      const left = setTimeout(end, Math.max(0, request.user.exp * 1000 - Date.now()));
      streams.add(end);
      out.on('close', () => {
        clearTimeout(left);
        streams.delete(end);
        stop();
      });
    },
  );

  app.get(
    '/ledger/export',
    {
      schema: {
        summary: 'The whole ledger for offline verification (ndjson)',
        tags: ['ledger'],
        security: bearer,
        response: { 200: z.any().describe('application/x-ndjson'), ...problems },
      },
    },
    (_request, reply) => {
      reply.header('content-type', 'application/x-ndjson');
      return reply.serializer((payload) => payload as string).send(Readable.from(lines(ledger.export())));
    },
  );
}

/** A state value and its proof as JSON carries them. */
const provenJson = ({
  value,
  proof,
}: {
  readonly value: Uint8Array | null;
  readonly proof: Uint8Array;
}): { value: string | null; proof: string } => ({
  value: value === null ? null : toBase64url(value),
  proof: toBase64url(proof),
});

async function* lines(source: AsyncIterable<string>): AsyncIterable<string> {
  for await (const line of source) yield `${line}\n`;
}
