/** Search: fields, VOPRF tokens behind Search entries, manifests and segments, and the gateway's own query. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fromBase64url, toBase64url } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { entryId, memberId } from '../../codec/ids.ts';
import { toJson } from '../json.ts';
import type { Services } from '../ports.ts';
import {
  base64url,
  Committed,
  EntryIdText,
  MemberIdText,
  Purpose,
  problems,
  RecordIdText,
  SignedFields,
  SubjectIdText,
} from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { answer, requestOf } from '../writes.ts';

/** Padded count of one Search entry, and entries of one signed list. */
const BLINDED_MAX = 32;
const SEARCHES_MAX = 64;
/** Numbers in one page. */
const NUMBERS_MAX = 1024;
const DEATHS_MAX = 4096;
/** Ranges of one request, and their bytes together: 256 terms with their proofs, and lists of eight million records. */
const RANGES_MAX = 8192;
const RANGE_BYTES_MAX = 64 * 1024 * 1024;
const bearer = [{ bearer: [] }];

/** The custodian itself instead of this node's copy. */
const From = z.object({ from: MemberIdText.optional() });

const Opening = z.object({
  v: z.literal(1),
  receipt: z.string(),
  tx: z.string(),
  elements: z.array(z.string()),
  opened: z.array(z.object({ input: z.string(), blind: z.string() }).nullable()),
});

export function searchRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  // A field list is large and changes only with a block.
  let fields: { readonly height: number; readonly rows: Promise<Record<string, unknown>[]> } | undefined;
  const fieldRows = (): Promise<Record<string, unknown>[]> => {
    const { height } = services.ledger.tip();
    if (fields?.height !== height) {
      const rows = services.ledger.list('field/', { limit: 10_000 }).then((found) =>
        found.map(([key, value]) => ({
          custodian: key.split('/')[1],
          ...(toJson(value) as Record<string, unknown>),
        })),
      );
      fields = { height, rows };
    }
    return fields.rows;
  };

  app.get(
    '/search/fields',
    {
      schema: {
        summary: 'Searchable fields by custodian',
        tags: ['search'],
        security: bearer,
        response: { 200: z.object({ fields: z.array(z.record(z.string(), z.unknown())) }), ...problems },
      },
    },
    async () => ({ fields: await fieldRows() }),
  );

  app.post(
    '/search/tokens',
    {
      schema: {
        summary: 'Evaluate blinded keywords',
        description:
          'Commits the signed Search entries (one or a list), then has each custodian evaluate the blinded elements with proof. Neither ' +
          'this gateway nor the custodian learns a keyword.',
        tags: ['search'],
        security: bearer,
        body: z.object({
          ...SignedFields,
          items: z
            .array(z.array(base64url(32, 'blinded element')).min(1).max(BLINDED_MAX))
            .min(1)
            .max(SEARCHES_MAX),
        }),
        response: {
          200: z.object({
            answers: z.array(
              z.object({
                committed: Committed,
                evaluated: z.array(z.string()).nullable(),
                proof: z.string().nullable(),
                code: z.string().nullable(),
              }),
            ),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { body } = request;
      if (body.tx === undefined)
        throw new CodedError(
          'custody.client_signs',
          'blinded keywords come with a Search that the client signed',
        );
      const signed = await requestOf(services, {
        session: sessionOf(request),
        type: 'Search',
        body: {},
        signed: body,
      });
      const blinded = body.items.map((item) => item.map(fromBase64url));
      const { entries, evaluations } = await services.search.tokens(signed, blinded);
      const answers = await Promise.all(
        entries.map(async (entry, i) => {
          const evaluation = evaluations[i];
          const committed = await answer(services, entry);
          if ('code' in evaluation) return { committed, evaluated: null, proof: null, code: evaluation.code };
          return {
            committed,
            evaluated: evaluation.elements.map(toBase64url),
            proof: toBase64url(evaluation.proof),
            code: null,
          };
        }),
      );
      return { answers };
    },
  );

  app.get(
    '/search/manifests/:custodian',
    {
      schema: {
        summary: "A custodian's index manifest, as this node replicated it",
        tags: ['search'],
        security: bearer,
        params: z.object({ custodian: MemberIdText }),
        response: { 200: z.object({ manifest: z.string() }), ...problems },
      },
    },
    async (request) => ({
      manifest: toBase64url(await services.search.manifest(memberId(request.params.custodian))),
    }),
  );

  app.get(
    '/search/numbers/:custodian',
    {
      schema: {
        summary: 'Which record and patient stands behind each index number',
        description:
          'As on the ledger: state `indexno/<custodian>/<number>`, a page at a time. The digest in state `numbers/<custodian>` proves all of ' +
          'them at once (docs/format/search.md); `dead` is for convenience, proven by `/search/deaths`.',
        tags: ['search'],
        security: bearer,
        params: z.object({ custodian: MemberIdText }),
        querystring: z.object({
          from: z.coerce.number().int().min(0).default(0),
          count: z.coerce.number().int().min(1).max(NUMBERS_MAX).default(NUMBERS_MAX),
        }),
        response: {
          200: z.object({
            numbers: z.array(
              z.object({ record: RecordIdText, patient: SubjectIdText.nullable(), dead: z.boolean() }),
            ),
          }),
          ...problems,
        },
      },
    },
    (request) => {
      const { from, count } = request.query;
      return { numbers: [...services.search.numbers(memberId(request.params.custodian), from, count)] };
    },
  );

  app.get(
    '/search/deaths/:custodian',
    {
      schema: {
        summary: 'Index numbers of superseded and erased records',
        description:
          'In the order of death, a page at a time; the digest in state `dead/<custodian>` proves them.',
        tags: ['search'],
        security: bearer,
        params: z.object({ custodian: MemberIdText }),
        querystring: z.object({
          from: z.coerce.number().int().min(0).default(0),
          count: z.coerce.number().int().min(1).max(DEATHS_MAX).default(DEATHS_MAX),
        }),
        response: { 200: z.object({ deaths: z.array(z.number().int()) }), ...problems },
      },
    },
    (request) => {
      const { from, count } = request.query;
      return { deaths: [...services.search.deaths(memberId(request.params.custodian), from, count)] };
    },
  );

  app.get(
    '/search/segments/:id',
    {
      schema: {
        summary: 'Bytes of a segment file',
        description:
          'Takes a Range header of one range. Check pages against the segment root. With `from`, the whole file as its custodian gives it, ' +
          'where both members allow that (`search.direct_off`).',
        tags: ['search'],
        security: bearer,
        params: z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) }),
        querystring: From,
        response: { 200: z.any().describe('application/octet-stream'), 206: z.any(), ...problems },
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const range = query.from === undefined ? parseRange(request.headers.range) : undefined;
      const bytes =
        query.from === undefined
          ? await services.search.segment(
              params.id,
              range && [{ offset: range.start, length: range.end - range.start }],
            )
          : await services.search.direct(memberId(query.from), params.id, null);
      reply.code(range === undefined ? 200 : 206).header('content-type', 'application/octet-stream');
      return reply.serializer((payload) => payload as string).send(Buffer.from(bytes));
    },
  );

  app.post(
    '/search/segments/:id/ranges',
    {
      schema: {
        summary: 'Several ranges of a segment file at once',
        description:
          'Each `[offset, length]`; the bytes come one after the other. A query asks for all it wants of a segment in one request, so that ' +
          'nothing but that set is seen. With `from`, by its custodian, which knows the keywords behind it, where both members allow that ' +
          '(`search.direct_off`).',
        tags: ['search'],
        security: bearer,
        params: z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) }),
        querystring: From,
        body: z.object({
          ranges: z
            .array(z.tuple([z.number().int().min(0), z.number().int().min(1).max(RANGE_BYTES_MAX)]))
            .min(1)
            .max(RANGES_MAX),
        }),
        response: { 200: z.any().describe('application/octet-stream'), ...problems },
      },
    },
    async (request, reply) => {
      const { ranges } = request.body;
      if (ranges.reduce((sum, [, length]) => sum + length, 0) > RANGE_BYTES_MAX)
        throw new CodedError(
          'request.invalid',
          `expected ranges of at most ${RANGE_BYTES_MAX} bytes together`,
        );
      const { params, query } = request;
      const asked = ranges.map(([offset, length]) => ({ offset, length }));
      const bytes =
        query.from === undefined
          ? await services.search.segment(params.id, asked)
          : await services.search.direct(memberId(query.from), params.id, asked);
      reply.header('content-type', 'application/octet-stream');
      return reply.serializer((payload) => payload as string).send(Buffer.from(bytes));
    },
  );

  app.get(
    '/search/openings/:id',
    {
      schema: {
        summary: 'What you searched for, to be shown to an auditor',
        description:
          'Of a Search entry that this gateway wrote for a subject in its custody: each blinded element with its keyword and scalar, the ' +
          'signed transaction and the receipt of the entry. `hippocrypt search-audit verify` and the SDK check it offline.',
        tags: ['search'],
        security: bearer,
        params: z.object({ id: EntryIdText }),
        response: { 200: Opening, ...problems },
      },
    },
    async (request) => {
      const found = await services.search.opening(sessionOf(request), entryId(request.params.id));
      return {
        v: 1 as const,
        receipt: toBase64url(found.receipt),
        tx: toBase64url(found.tx),
        elements: found.elements.map(toBase64url),
        opened: found.opened.map((one) =>
          one === null ? null : { input: toBase64url(one.input), blind: toBase64url(one.blind) },
        ),
      };
    },
  );

  app.post(
    '/search/epochs',
    {
      schema: {
        summary: 'Open a new key epoch of search fields',
        description:
          "For operators, of this hospital's own fields (all by default). Answers when the ledger has the new keys; the index is " +
          'rebuilt under them while the one before is served, then the old keys are erased.',
        tags: ['search'],
        security: bearer,
        body: z.object({ fields: z.array(z.string().max(64)).min(1).max(1000).optional() }),
        response: {
          200: z.object({ epochs: z.array(z.object({ field: z.string(), epoch: z.number().int() })) }),
          ...problems,
        },
      },
    },
    async (request) => ({
      epochs: [...(await services.search.openEpochs(sessionOf(request), request.body.fields))],
    }),
  );

  app.post(
    '/search/query',
    {
      schema: {
        summary: 'Plain query through the gateway',
        description:
          'For callers without the SDK: this gateway sees the query and always writes Search entries for it. Who may search a field by a ' +
          'right to count (`<member>/right:counts`) alone gets counts only, and those suppressed.',
        tags: ['search'],
        security: bearer,
        body: z.object({
          query: z.string().min(1).max(4096),
          unit: z.enum(['patient', 'record']).default('patient'),
          purpose: Purpose.default('research'),
          custodians: z.array(MemberIdText).max(64).optional(),
          limit: z.number().int().min(1).max(1000).default(100),
          answer: z
            .enum(['hits', 'count'])
            .default('hits')
            .describe(
              '`count`: how many and `exact`, no pseudonym, no record; exact for who may see the hits, else to the nearest 5 and null ' +
                'below 10',
            ),
          maxAgeMs: z
            .number()
            .int()
            .min(0)
            .optional()
            .describe('How old the newest block of this gateway may be; default 70 s (`checkpoint.stale`)'),
        }),
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    async (request) => {
      const { query, unit, purpose, custodians, limit, answer, maxAgeMs } = request.body;
      const found = await services.search.query(sessionOf(request), query, {
        unit,
        purpose,
        limit,
        answer,
        ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
        ...(custodians === undefined ? {} : { custodians: custodians.map(memberId) }),
      });
      return toJson(found) as Record<string, unknown>;
    },
  );
}

function parseRange(header: string | undefined): { start: number; end: number } | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=(\d{1,12})-(\d{1,12})$/.exec(header);
  if (match === null)
    throw new CodedError('request.invalid', 'expected one range of the form bytes=first-last');
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  if (end <= start)
    throw new CodedError('request.invalid', 'expected a range whose last byte is not before its first');
  return { start, end };
}
