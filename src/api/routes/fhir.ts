/** The FHIR edge: Bundle import, AuditEvent read, CapabilityStatement. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { CodedError } from '../../codec/errors.ts';
import { subjectId } from '../../codec/ids.ts';
import type { Services } from '../ports.ts';
import { PageQuery, problems, RecordIdText, SubjectIdText } from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { API_VERSION } from '../version.ts';

const bearer = [{ bearer: [] }];

export function fhirRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  // The sealed plaintext is the exact slice of the source, so the body must not be parsed and printed again.
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    ['application/fhir+json', 'application/json'],
    { parseAs: 'buffer' },
    (_request, body, done) => done(null, body),
  );

  app.post(
    '/',
    {
      schema: {
        summary: 'Import a Bundle',
        description:
          'Custodial: the gateway seals each resource as it stands in the body, byte for byte, under the default policy of its type. ' +
          'What is refused is listed with its position; the rest goes on.',
        tags: ['fhir'],
        security: bearer,
        response: {
          200: z.object({
            records: z.array(
              z.object({ record: RecordIdText, resourceType: z.string(), patient: SubjectIdText.nullable() }),
            ),
            refused: z.array(z.object({ code: z.string(), message: z.string(), position: z.any() })),
            custody: z.literal('gateway'),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      if (!(request.body instanceof Uint8Array))
        throw new CodedError('request.not_json', 'expected a Bundle as JSON');
      const done = await services.importBundle(sessionOf(request), request.body);
      return {
        records: done.records.map((one) => ({ ...one })),
        refused: done.refused.map((one) => ({ ...one })),
        custody: 'gateway' as const,
      };
    },
  );

  app.get(
    '/AuditEvent',
    {
      schema: {
        summary: 'Ledger entries as BALP AuditEvents',
        tags: ['fhir'],
        security: bearer,
        querystring: z.object({ ...PageQuery, patient: SubjectIdText.optional() }),
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    (request) => {
      const { limit, cursor, patient } = request.query;
      return services.auditEvents(sessionOf(request), {
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(patient === undefined ? {} : { patient: subjectId(patient) }),
      });
    },
  );

  app.get(
    '/metadata',
    {
      config: { public: true },
      schema: {
        summary: 'CapabilityStatement',
        tags: ['fhir'],
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    () => ({
      resourceType: 'CapabilityStatement',
      status: 'active',
      date: new Date(services.nowMs()).toISOString().slice(0, 10),
      kind: 'instance',
      software: { name: 'Hippocrypt', version: API_VERSION },
      fhirVersion: '4.0.1',
      format: ['application/fhir+json'],
      rest: [
        {
          mode: 'server',
          interaction: [{ code: 'batch' }],
          resource: [{ type: 'AuditEvent', interaction: [{ code: 'search-type' }] }],
        },
      ],
    }),
  );
}
