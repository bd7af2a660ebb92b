/** Liveness, readiness and status, outside /v1. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Services } from '../ports.ts';

const Status = z
  .object({ member: z.string(), ready: z.boolean(), parts: z.record(z.string(), z.unknown()) })
  .meta({ id: 'Status' });

export function operationRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  app.get(
    '/healthz',
    {
      config: { public: true },
      schema: {
        summary: 'The process answers',
        tags: ['operations'],
        response: { 200: z.object({ ok: z.boolean() }) },
      },
    },
    () => ({ ok: true }),
  );
  app.get(
    '/readyz',
    {
      config: { public: true },
      schema: {
        summary: 'The node serves requests: store open, ledger in quorum, authorities set up',
        tags: ['operations'],
        response: { 200: z.object({ ready: z.boolean() }), 503: z.object({ ready: z.boolean() }) },
      },
    },
    async (_request, reply) => {
      const ready = services.ready();
      return reply.code(ready ? 200 : 503).send({ ready });
    },
  );
  app.get(
    '/status',
    {
      config: { public: true },
      schema: { summary: 'What each part of the node does', tags: ['operations'], response: { 200: Status } },
    },
    async () => ({ member: services.member, ...(await services.status()) }),
  );
}
