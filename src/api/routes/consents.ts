/** Consent: a requester asks, the patient answers and may revoke. Each step is an entry. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fromHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { toJson } from '../json.ts';
import type { Services } from '../ports.ts';
import {
  Committed,
  EntryIdText,
  PageQuery,
  Purpose,
  problems,
  SignedFields,
  SubjectIdText,
  Time,
} from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { commit } from '../writes.ts';

const bearer = [{ bearer: [] }];
const byId = z.object({ id: EntryIdText });
const Consent = z.record(z.string(), z.unknown()).meta({ id: 'Consent' });

export function consentRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  const view = (id: string, value: unknown) => {
    const { until, ...rest } = value as { until: number };
    return {
      consent: id,
      ...(toJson(rest) as Record<string, unknown>),
      until: new Date(until).toISOString(),
    };
  };

  app.post(
    '/consents',
    {
      schema: {
        summary: 'Ask a patient for consent',
        tags: ['consent'],
        security: bearer,
        body: z.object({
          ...SignedFields,
          patient: SubjectIdText.optional(),
          until: Time.optional(),
          purpose: Purpose.optional(),
        }),
        response: { 201: Committed, ...problems },
      },
    },
    async (request, reply) => {
      const { body } = request;
      reply.code(201);
      if (body.tx === undefined && (body.patient === undefined || body.until === undefined)) {
        throw new CodedError('request.invalid', 'expected "patient" and "until"');
      }
      const plain =
        body.tx !== undefined
          ? {}
          : {
              patient: fromHex(body.patient ?? ''),
              until: Date.parse(body.until ?? ''),
              purpose: body.purpose ?? 'treatment',
            };
      return commit(services, {
        session: sessionOf(request),
        type: 'ConsentRequest',
        body: plain,
        signed: body,
      });
    },
  );

  app.get(
    '/consents',
    {
      schema: {
        summary: 'Consents that concern this account, as patient or as requester',
        tags: ['consent'],
        security: bearer,
        querystring: z.object(PageQuery),
        response: { 200: z.object({ consents: z.array(Consent), next: z.string().nullable() }), ...problems },
      },
    },
    (request) => {
      const { limit, cursor } = request.query;
      const page = services.consentsOf(sessionOf(request).subject, {
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return { consents: page.consents.map(([id, value]) => view(id, value)), next: page.next };
    },
  );

  app.get(
    '/consents/:id',
    {
      schema: {
        summary: 'One consent',
        tags: ['consent'],
        security: bearer,
        params: byId,
        response: { 200: Consent, ...problems },
      },
    },
    (request) => {
      const value = services.ledger.get(`consent/${request.params.id}`) as
        | { patient: Uint8Array; grantee: Uint8Array }
        | undefined;
      const own = sessionOf(request).subject;
      const concerned =
        value !== undefined &&
        [value.patient, value.grantee].some((bytes) => toJson(bytes, 'subject') === own);
      if (!concerned)
        throw new CodedError('consent.unknown', 'no consent with this id concerns this account');
      return view(request.params.id, value);
    },
  );

  for (const answer of ['accept', 'reject'] as const) {
    app.post(
      `/consents/:id/${answer}`,
      {
        schema: {
          summary: answer === 'accept' ? 'Accept a consent request' : 'Reject a consent request',
          tags: ['consent'],
          security: bearer,
          params: byId,
          body: z.object({ ...SignedFields, until: Time.nullable().optional() }),
          response: { 200: Committed, ...problems },
        },
      },
      (request) => {
        const { body } = request;
        const until = body.until === undefined || body.until === null ? null : Date.parse(body.until);
        return commit(services, {
          session: sessionOf(request),
          type: 'ConsentAnswer',
          body: {
            consent: fromHex(request.params.id),
            answer,
            ...(body.tx === undefined ? { until } : {}),
          },
          signed: body,
        });
      },
    );
  }

  app.post(
    '/consents/:id/revoke',
    {
      schema: {
        summary: 'Revoke a consent',
        description: 'Acts at once. What was opened before cannot be taken back.',
        tags: ['consent'],
        security: bearer,
        params: byId,
        body: z.object(SignedFields),
        response: { 200: Committed, ...problems },
      },
    },
    (request) =>
      commit(services, {
        session: sessionOf(request),
        type: 'ConsentRevoke',
        body: { consent: fromHex(request.params.id) },
        signed: request.body,
      }),
  );
}
