/** Records: put, list, fetch ciphertext, access, custodial open, policy change, erase, explain. */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fromBase64url, fromHex, toBase64url, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { recordId, subjectId } from '../../codec/ids.ts';
import { committedJson, contentJson, signedPair, toJson } from '../json.ts';
import type { Services } from '../ports.ts';
import {
  base64url,
  Committed,
  EntryIdText,
  KeyIdText,
  MemberIdText,
  PageQuery,
  PolicyText,
  Purpose,
  problems,
  RecordIdText,
  SignedFields,
  SubjectIdText,
} from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { answer, commit, requestOf } from '../writes.ts';
import { Parts, partsJson } from './keys.ts';

/** Most records in one request; the ledger's own bound for one entry is 256. */
const RECORDS_MAX = 256;
/** Largest payload that travels inside a JSON body. */
const INLINE_PAYLOAD_MAX = 24 * 1024 * 1024;

const bearer = [{ bearer: [] }];
const byId = z.object({ id: RecordIdText });
const RecordView = z.record(z.string(), z.unknown()).meta({ id: 'Record' });

const Encoding = z.enum(['utf-8', 'base64url']);

/** The caller's Idempotency-Key; throws `request.invalid` for one of another form. */
function idempotencyKeyOf(headers: Readonly<Record<string, unknown>>): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x21-\x7e]{8,128}$/.test(key)) {
    throw new CodedError('request.invalid', 'expected an Idempotency-Key of 8 to 128 printable characters');
  }
  return key;
}

function recordState(services: Services, id: string): Record<string, unknown> {
  const record = services.ledger.get(`record/${id}`);
  if (record === undefined) throw new CodedError('record.unknown', 'no record on the ledger has this id');
  return record as Record<string, unknown>;
}

function recordJson(
  services: Services,
  id: string,
  record: Record<string, unknown>,
): Record<string, unknown> {
  const { policy, ...rest } = record;
  const json = toJson(rest) as Record<string, unknown>;
  return { record: id, ...json, policy: services.policyText(policy as Uint8Array) };
}

export function recordRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  app.post(
    '/records',
    {
      schema: {
        summary: 'Put records',
        description:
          'Sealed: `tx`, `sig` (a RecordPut) and `uploads` in its order; the gateway sees no plaintext. Plain (custodial): `records`; ' +
          'the gateway seals them, under the default policy unless one is named. A list is one entry.',
        tags: ['records'],
        security: bearer,
        body: z.object({
          ...SignedFields,
          uploads: z
            .array(
              z.object({
                header: base64url(64 * 1024, 'sealed header'),
                payload: base64url(INLINE_PAYLOAD_MAX, 'sealed payload')
                  .nullable()
                  .describe('null for one that was sent to /payloads'),
                keywords: base64url(256 * 1024, "keywords, sealed to the custodian's indexer").nullable(),
              }),
            )
            .max(RECORDS_MAX)
            .optional(),
          records: z
            .array(
              z.object({
                content: z
                  .string()
                  .min(1)
                  .describe('the exact text of the resource, or its bytes in base64url'),
                encoding: Encoding.default('utf-8'),
                patient: SubjectIdText.nullable().default(null),
                policy: PolicyText.optional(),
              }),
            )
            .min(1)
            .max(RECORDS_MAX)
            .optional(),
        }),
        response: {
          201: z.object({
            records: z.array(RecordIdText),
            custody: z.enum(['client', 'gateway']),
            committed: Committed,
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const session = sessionOf(request);
      const { body } = request;
      const pair = signedPair(body);
      reply.code(201);
      if (pair !== undefined) {
        if (body.uploads === undefined)
          throw new CodedError('request.invalid', 'a signed RecordPut comes with "uploads"');
        const signed = await requestOf(services, { session, type: 'RecordPut', body: {}, signed: body });
        const uploads = body.uploads.map((upload) => ({
          header: fromBase64url(upload.header),
          payload: upload.payload === null ? null : fromBase64url(upload.payload),
          keywords: upload.keywords === null ? null : fromBase64url(upload.keywords),
        }));
        const entry = await services.records.putSealed(signed, uploads);
        const put = entry.body.records as readonly { record: Uint8Array }[];
        const records = put.map((one) => toJson(one.record, 'record') as string);
        return { records, custody: 'client' as const, committed: await answer(services, entry) };
      }
      if (body.records === undefined) {
        throw new CodedError('request.invalid', 'expected "records", or "tx", "sig" and "uploads"');
      }
      const done = await services.records.putPlain(
        session,
        body.records.map((one) => ({
          content: one.encoding === 'utf-8' ? utf8(one.content) : fromBase64url(one.content),
          patient: one.patient === null ? null : subjectId(one.patient),
          ...(one.policy === undefined ? {} : { policy: one.policy }),
        })),
        idempotencyKeyOf(request.headers),
      );
      const committed = await answer(services, done.entry);
      return { records: [...done.records], custody: 'gateway' as const, committed };
    },
  );

  app.get(
    '/records',
    {
      schema: {
        summary: 'Records, as on the ledger',
        tags: ['records'],
        security: bearer,
        querystring: z.object({
          ...PageQuery,
          patient: SubjectIdText.optional(),
          custodian: MemberIdText.optional(),
        }),
        response: {
          200: z.object({ records: z.array(RecordView), next: z.string().nullable() }),
          ...problems,
        },
      },
    },
    (request) => {
      const { limit, cursor, patient, custodian } = request.query;
      const page = services.listRecords({
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(patient === undefined ? {} : { patient: subjectId(patient) }),
        ...(custodian === undefined ? {} : { custodian }),
      });
      return {
        records: page.records.map(([id, value]) => recordJson(services, id, value)),
        next: page.next,
      };
    },
  );

  app.get(
    '/records/:id',
    {
      schema: {
        summary: 'One record: policy, CID, version, custodian',
        tags: ['records'],
        security: bearer,
        params: byId,
        response: { 200: RecordView, ...problems },
      },
    },
    (request) => recordJson(services, request.params.id, recordState(services, request.params.id)),
  );

  app.get(
    '/records/:id/header',
    {
      schema: {
        summary: 'The sealed header',
        tags: ['records'],
        security: bearer,
        params: byId,
        response: { 200: z.object({ header: z.string() }), ...problems },
      },
    },
    async (request) => ({ header: toBase64url(await services.records.header(recordId(request.params.id))) }),
  );

  app.get(
    '/records/:id/payload',
    {
      schema: {
        summary: 'The sealed payload, as a byte stream',
        tags: ['records'],
        security: bearer,
        params: byId,
        response: { 200: z.any().describe('application/octet-stream'), ...problems },
      },
    },
    async (request, reply) => {
      const { size, stream } = await services.records.payload(recordId(request.params.id));
      reply.header('content-type', 'application/octet-stream').header('content-length', size);
      return reply.serializer((payload) => payload as string).send(Readable.from(stream));
    },
  );

  app.post(
    '/access',
    {
      schema: {
        summary: 'Ask for access to records',
        description:
          'Commits one Access entry for the whole list; every verdict stands on the ledger. For granted records the authorities ' +
          'release the gate parts, sealed to the subject. A denial is an answer (200) whose verdict says why, not an error.',
        tags: ['records'],
        security: bearer,
        body: z.object({
          ...SignedFields,
          keyId: KeyIdText.optional(),
          generation: z.number().int().min(0).optional(),
          records: z
            .array(z.object({ record: RecordIdText, version: z.number().int().min(0) }))
            .max(RECORDS_MAX)
            .optional(),
          purpose: Purpose.optional(),
        }),
        response: {
          200: z.object({
            committed: Committed,
            verdicts: z.array(z.object({ granted: z.boolean(), reason: z.string() })),
            parts: Parts,
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { body } = request;
      const plain =
        body.tx !== undefined
          ? {}
          : {
              keyId: fromHex(body.keyId ?? '', 32),
              generation: body.generation,
              records: body.records?.map((one) => ({ record: fromHex(one.record), version: one.version })),
              purpose: body.purpose,
            };
      const signed = await requestOf(services, {
        session: sessionOf(request),
        type: 'Access',
        body: plain,
        signed: body,
      });
      const [entry] = await services.writes.submit(signed);
      const verdicts = entry.result.verdicts as { granted: boolean; reason: string }[];
      const granted = verdicts.some((verdict) => verdict.granted);
      const [committed, parts] = await Promise.all([
        answer(services, entry),
        granted ? services.keys.gatesOf(entry.entryId) : { parts: [], missing: [] },
      ]);
      return { committed, verdicts, parts: partsJson(parts) };
    },
  );

  app.post(
    '/records/:id/open',
    {
      schema: {
        summary: 'Open a record in custodial mode',
        description:
          'For subjects in the custody of this gateway: it commits the Access, combines the parts and decrypts with their key. The ' +
          'answer says custody "gateway". Subjects with keys of their own open with the SDK.',
        tags: ['records'],
        security: bearer,
        params: byId,
        body: z.object({ purpose: Purpose.default('treatment') }),
        response: {
          200: z.object({
            record: RecordIdText,
            custody: z.literal('gateway'),
            content: z.string().describe('text, or base64url for what is not well-formed UTF-8'),
            encoding: Encoding,
            access: EntryIdText,
            committed: Committed,
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const done = await services.records.open(
        sessionOf(request),
        recordId(request.params.id),
        request.body.purpose,
      );
      return {
        record: request.params.id,
        custody: 'gateway' as const,
        ...contentJson(done.plaintext),
        access: done.access.entryId,
        committed: committedJson(done.access, await services.ledger.receipt(done.access.entryId, 3_000)),
      };
    },
  );

  app.put(
    '/records/:id/policy',
    {
      schema: {
        summary: 'Change the policy of a record; the payload stays as it is',
        description:
          'Signed: `tx`, `sig` (a PolicyChange) and the new `header`. Custodial: `policy` as text.',
        tags: ['records'],
        security: bearer,
        params: byId,
        body: z.object({
          ...SignedFields,
          header: base64url(64 * 1024, 'new sealed header').optional(),
          policy: PolicyText.optional(),
        }),
        response: { 200: Committed, ...problems },
      },
    },
    async (request) => {
      const session = sessionOf(request);
      const { body } = request;
      if (body.tx !== undefined) {
        if (body.header === undefined)
          throw new CodedError('request.invalid', 'a signed PolicyChange comes with "header"');
        const record = fromHex(request.params.id);
        const signed = await requestOf(services, {
          session,
          type: 'PolicyChange',
          body: { record },
          signed: body,
        });
        return answer(
          services,
          await services.records.changePolicySealed(signed, fromBase64url(body.header)),
        );
      }
      if (body.policy === undefined) throw new CodedError('request.invalid', 'expected "policy"');
      return answer(
        services,
        await services.records.changePolicy(session, recordId(request.params.id), body.policy),
      );
    },
  );

  app.delete(
    '/records/:id',
    {
      schema: {
        summary: 'Erase a record',
        description:
          'Commits Erase; every node then deletes the header and collects the payload, and answers with Destroyed entries.',
        tags: ['records'],
        security: bearer,
        params: byId,
        body: z.object({
          ...SignedFields,
          reason: z.enum(['patient-request', 'retention', 'error', 'order']),
        }),
        response: { 200: Committed, ...problems },
      },
    },
    (request) =>
      commit(services, {
        session: sessionOf(request),
        type: 'Erase',
        body: { record: fromHex(request.params.id), reason: request.body.reason },
        signed: request.body,
      }),
  );

  app.get(
    '/records/:id/explain',
    {
      schema: {
        summary: 'Why this account could or could not open the record now',
        tags: ['records'],
        security: bearer,
        params: byId,
        response: {
          200: z.object({ granted: z.boolean(), reason: z.string(), explanation: z.string() }),
          ...problems,
        },
      },
    },
    (request) => services.subjects.canOpen(sessionOf(request).subject, recordId(request.params.id)),
  );
}
