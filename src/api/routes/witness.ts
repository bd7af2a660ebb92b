/** Cosignatures of outside witnesses (C2SP tlog-witness, the other way round: the witness brings them). */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Services } from '../ports.ts';
import { problems } from '../schemas.ts';

/** A signed note; the ledger's own bound. */
const NOTE_CHARS_MAX = 64 * 1024;
/** JSON around it may escape every character. */
const BODY_BYTES = 8 * NOTE_CHARS_MAX;

export function witnessRoutes(scope: FastifyInstance, { witnesses }: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  app.post(
    '/ledger/witness',
    {
      bodyLimit: BODY_BYTES,
      // A witness is nobody's account: its signature speaks for it.
      config: { public: true },
      schema: {
        summary: 'Bring the cosignature of a registered witness',
        description:
          "A checkpoint as this log's validators cosigned it, with the witness's line (C2SP tlog-cosignature, type 0x04) added. " +
          'It must be a checkpoint of this log, not older than the last one of that witness.',
        tags: ['ledger'],
        body: z.strictObject({ checkpoint: z.string().min(1).max(NOTE_CHARS_MAX) }),
        response: {
          200: z.object({ size: z.number().int(), witnesses: z.array(z.string()) }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { size, witnesses: names } = await witnesses.accept(request.body.checkpoint);
      return { size, witnesses: [...names] };
    },
  );

  app.get(
    '/ledger/witness',
    {
      config: { public: true },
      schema: {
        summary: 'The newest checkpoint that each registered witness has cosigned',
        tags: ['ledger'],
        response: {
          200: z.object({
            witnesses: z.array(z.object({ name: z.string(), checkpoint: z.string().nullable() })),
          }),
          ...problems,
        },
      },
    },
    () => ({ witnesses: witnesses.list().map(({ name, note }) => ({ name, checkpoint: note })) }),
  );
}
