/** Session: sign in, see oneself, ask what one may do. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { CodedError } from '../../codec/errors.ts';
import { recordId } from '../../codec/ids.ts';
import type { Services } from '../ports.ts';
import { Purpose, problems, RecordIdText, SubjectIdText } from '../schemas.ts';
import { sessionOf } from '../session.ts';

const Token = z.object({ token: z.string(), expiresInSeconds: z.number().int() }).meta({ id: 'Token' });
const Me = z
  .object({
    account: z.string(),
    subject: SubjectIdText,
    member: z.string(),
    custody: z.enum(['client', 'gateway']),
    kind: z.string(),
    generation: z.number().int(),
    attributes: z.array(
      z.object({ attribute: z.string(), until: z.string().nullable(), inForce: z.boolean() }),
    ),
  })
  .meta({ id: 'Me' });

export function sessionRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  app.post(
    '/auth/login',
    {
      config: { public: true, rateLimit: { max: 60, timeWindow: 60_000 } },
      schema: {
        summary: 'Sign in',
        description: 'Answers with a token that lives 15 minutes.',
        tags: ['session'],
        body: z.object({ account: z.string().min(1).max(64), password: z.string().min(1).max(256) }),
        response: { 200: Token, ...problems },
      },
    },
    async (request) => {
      const session = await services.accounts.verify(request.body.account, request.body.password);
      if (session === undefined) throw new CodedError('auth.failed', 'the account or the password is wrong');
      const token = app.jwt.sign({ sub: session.subject, account: session.account });
      return { token, expiresInSeconds: 900 };
    },
  );

  app.get(
    '/me',
    {
      schema: {
        summary: 'Who am I',
        tags: ['session'],
        security: [{ bearer: [] }],
        response: { 200: Me, ...problems },
      },
    },
    async (request) => {
      const session = sessionOf(request);
      return {
        account: session.account,
        custody: session.custody,
        ...(await services.subjects.describe(session.subject)),
      };
    },
  );

  app.post(
    '/can-i',
    {
      schema: {
        summary: 'Would an access be granted now, and if not, why',
        description:
          'The same decision as an Access entry, without committing one and without releasing anything.',
        tags: ['session'],
        security: [{ bearer: [] }],
        body: z.object({ record: RecordIdText, purpose: Purpose.default('treatment') }),
        response: {
          200: z
            .object({ granted: z.boolean(), reason: z.string(), explanation: z.string() })
            .meta({ id: 'CanI' }),
          ...problems,
        },
      },
    },
    async (request) => services.subjects.canOpen(sessionOf(request).subject, recordId(request.body.record)),
  );
}
