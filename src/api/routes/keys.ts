/** Decryption keys: request one, fetch its parts, see who the authorities are. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { toBase64url } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { keyId } from '../../codec/ids.ts';
import { toJson } from '../json.ts';
import type { PartsAnswer, Services } from '../ports.ts';
import { AttributeText, Committed, KeyIdText, MemberIdText, problems, SignedFields } from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { answer, requestOf } from '../writes.ts';

export const Parts = z
  .object({
    parts: z.array(z.object({ authority: z.number().int(), member: MemberIdText, sealed: z.string() })),
    missing: z.array(z.object({ member: MemberIdText, code: z.string() })),
  })
  .meta({ id: 'Parts' });

export const partsJson = (answer: PartsAnswer): z.infer<typeof Parts> => ({
  parts: answer.parts.map((part) => ({ ...part, sealed: toBase64url(part.sealed) })),
  missing: answer.missing.map((one) => ({ ...one })),
});

const bearer = [{ bearer: [] }];

export function keyRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  app.get(
    '/authorities',
    {
      config: { public: true },
      schema: {
        summary: 'Public key and commitments of the authorities',
        tags: ['keys'],
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    () => toJson(services.keys.authorities()) as Record<string, unknown>,
  );

  app.post(
    '/keys',
    {
      schema: {
        summary: 'Request a decryption key by attributes',
        description:
          'Commits KeyIssue and answers with the parts of all authorities that answered, each sealed to the subject. Combine any ' +
          'threshold of them.',
        tags: ['keys'],
        security: bearer,
        body: z.object({ ...SignedFields, attributes: z.array(AttributeText).min(1).max(256).optional() }),
        response: { 201: z.object({ keyId: KeyIdText, committed: Committed, parts: Parts }), ...problems },
      },
    },
    async (request, reply) => {
      const session = sessionOf(request);
      const { attributes } = await services.subjects.describe(session.subject);
      const held = attributes.filter((one) => one.inForce).map((one) => one.attribute);
      const request_ = await requestOf(services, {
        session,
        type: 'KeyIssue',
        body:
          request.body.tx === undefined ? { attributes: request.body.attributes ?? held, stepUp: null } : {},
        signed: request.body,
      });
      const [entry] = await services.writes.submit(request_);
      reply.code(201);
      const id = keyId(entry.entryId);
      const [committed, parts] = await Promise.all([answer(services, entry), services.keys.partsOfKey(id)]);
      return { keyId: id, committed, parts: partsJson(parts) };
    },
  );

  app.get(
    '/keys/:id',
    {
      schema: {
        summary: 'A key, as on the ledger',
        tags: ['keys'],
        security: bearer,
        params: z.object({ id: KeyIdText }),
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    (request) => {
      const key = services.ledger.get(`key/${request.params.id}`);
      if (key === undefined) throw new CodedError('key.unknown', 'no KeyIssue entry has this id');
      return toJson(key) as Record<string, unknown>;
    },
  );

  app.post(
    '/keys/:id/parts',
    {
      schema: {
        summary: 'Fetch missing or newly earned parts of a key',
        description: 'With `attributes` (or a signed KeyExtend) the key is extended first.',
        tags: ['keys'],
        security: bearer,
        params: z.object({ id: KeyIdText }),
        body: z
          .object({ ...SignedFields, attributes: z.array(AttributeText).min(1).max(256).optional() })
          .optional(),
        response: { 200: z.object({ committed: Committed.nullable(), parts: Parts }), ...problems },
      },
    },
    async (request) => {
      const session = sessionOf(request);
      const id = keyId(request.params.id);
      const body = request.body ?? {};
      let committed: z.infer<typeof Committed> | null = null;
      if (body.tx !== undefined || body.attributes !== undefined) {
        const keyBytes = Uint8Array.from(Buffer.from(id, 'hex'));
        const signed = await requestOf(services, {
          session,
          type: 'KeyExtend',
          body: { keyId: keyBytes, ...(body.tx === undefined ? { attributes: body.attributes } : {}) },
          signed: body,
        });
        committed = await answer(services, (await services.writes.submit(signed))[0]);
      }
      return { committed, parts: partsJson(await services.keys.partsOfKey(id)) };
    },
  );
}
