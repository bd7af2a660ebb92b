/**
 * Payloads of any length ahead of their record: ciphertext as a stream, answered with its CID. `POST /records` then names it by
 * that CID in the signed entry.
 */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { CodedError } from '../../codec/errors.ts';
import type { Services } from '../ports.ts';
import { problems } from '../schemas.ts';
import { sessionOf } from '../session.ts';

/** A sender that says nothing for so long has gone. */
const IDLE_MS = 60_000;

export function payloadRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  // The stream itself: the route reads it at the store's pace.
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));

  app.post(
    '/payloads',
    {
      schema: {
        summary: 'Send a sealed payload of any length, ahead of its record',
        description:
          'The body is the ciphertext. The payload waits an hour for a RecordPut of the same subject that names its CID, ' +
          'with `payload: null` in its upload; then it is collected.',
        tags: ['records'],
        security: [{ bearer: [] }],
        consumes: ['application/octet-stream'],
        body: z.any().describe('sealed payload'),
        response: { 201: z.object({ cid: z.string(), bytes: z.number().int() }), ...problems },
      },
    },
    async (request, reply) => {
      const session = sessionOf(request);
      const body: unknown = request.body;
      if (!isStream(body)) {
        throw new CodedError('request.media_type', 'send the payload as application/octet-stream');
      }
      const stored = await services.records.receivePayload(
        session,
        whole(body, () => request.raw.destroy()),
      );
      reply.code(201);
      return { cid: stored.cid, bytes: stored.size };
    },
  );
}

function isStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return body !== null && typeof body === 'object' && Symbol.asyncIterator in body;
}

/** The body's bytes; throws `payload.cut` when it ends too early. `hangUp` is called on a sender that says nothing. */
async function* whole(body: AsyncIterable<Uint8Array>, hangUp: () => void): AsyncGenerator<Uint8Array> {
  let timer = setTimeout(hangUp, IDLE_MS);
  try {
    for await (const chunk of body) {
      // The store's own time does not count.
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(hangUp, IDLE_MS);
    }
  } catch (cause) {
    throw new CodedError('payload.cut', 'the payload broke off before its end: send it again', { cause });
  } finally {
    clearTimeout(timer);
  }
}
