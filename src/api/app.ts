/**
 * The REST gateway: one Fastify app over a member's services. Deny by default: every route needs a session
 * unless it says `config: { public: true }`. Everything that leaves as an error is one problem+json of the table.
 */

import helmet from '@fastify/helmet';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { CodedError } from '../codec/errors.ts';
import { readYourWrites } from './heights.ts';
import { registerMetrics } from './metrics.ts';
import type { Services } from './ports.ts';
import { toProblem } from './problems.ts';
import { consentRoutes } from './routes/consents.ts';
import { fhirRoutes } from './routes/fhir.ts';
import { ipfsRoutes } from './routes/ipfs.ts';
import { keyRoutes } from './routes/keys.ts';
import { ledgerRoutes } from './routes/ledger.ts';
import { memberRoutes } from './routes/members.ts';
import { operationRoutes } from './routes/operations.ts';
import { payloadRoutes } from './routes/payloads.ts';
import { proposalRoutes } from './routes/proposals.ts';
import { recordRoutes } from './routes/records.ts';
import { searchRoutes } from './routes/search.ts';
import { sessionRoutes } from './routes/session.ts';
import { subjectRoutes } from './routes/subjects.ts';
import { witnessRoutes } from './routes/witness.ts';
import { requireSession, TOKEN_TTL } from './session.ts';
import { API_VERSION } from './version.ts';

/** Largest JSON body unless a route says otherwise: a list of sealed records. */
export const BODY_BYTES_MAX = 32 * 1024 * 1024;

/** How long a closing gateway waits for connections that are in use. */
const CLOSE_GRACE_MS = 3_000;

export interface AppOptions {
  readonly services: Services;
  /** 32 secret bytes of this gateway; tokens of another gateway do not verify. */
  readonly tokenSecret: Uint8Array;
  readonly logger?: FastifyServerOptions['logger'];
  /** Requests a minute from one address; 0 switches the limit off (tests and benches). */
  readonly ratePerMinute?: number;
}

/** The one way in which an error leaves: problem+json of the table, with the id under which the log knows the request. */
function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = toProblem(error);
  if (problem.status >= 500) request.log.error({ event: 'request.failed', code: problem.code, err: error });
  const wait = (error as { headers?: Record<string, string> }).headers;
  if (wait !== undefined) reply.headers(wait);
  return reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .serializer(JSON.stringify)
    .send({ ...problem, requestId: request.id });
}

/** A ready app that is not listening yet: tests use `inject`, the node calls `listen`. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    logger: options.logger ?? false,
    bodyLimit: BODY_BYTES_MAX,
    genReqId: () => crypto.randomUUID(),
    // Ids and tokens are never in a URL query that a log could keep: only the path is logged.
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: 512 },
    frameworkErrors: sendProblem,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);

  app.setErrorHandler(sendProblem);
  // Requests under way are answered; a connection that says nothing does not hold up the end of the process.
  app.addHook('preClose', async () => {
    setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS).unref();
  });
  // JSON is the only form of a body; Fastify's own parser of plain text would take others.
  app.removeContentTypeParser('text/plain');
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new CodedError(
        'route.unknown',
        `There is no ${request.method} ${request.url.split('?', 1)[0]}. The routes are listed at /docs.`,
      ),
      request,
      reply,
    ),
  );

  await app.register(helmet, {
    // The page at /docs carries its own inline styles and images.
    contentSecurityPolicy: {
      directives: {
        defaultSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
      },
    },
  });
  const perMinute = options.ratePerMinute ?? 6000;
  if (perMinute > 0) await app.register(rateLimit, { max: perMinute, timeWindow: 60_000 });
  await app.register(jwt, {
    secret: Buffer.from(options.tokenSecret),
    sign: { algorithm: 'HS256', expiresIn: TOKEN_TTL, iss: options.services.member },
    verify: { algorithms: ['HS256'], allowedIss: options.services.member },
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Hippocrypt',
        version: API_VERSION,
        description:
          'Records under attribute policies, encrypted search and a BFT ledger, for hospitals that do not trust ' +
          "each other's servers. Errors are RFC 9457 problems with a stable code.",
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
  registerMetrics(app, options.services);

  readYourWrites(app, options.services);
  app.addHook('onRequest', requireSession(options.services));
  const { services } = options;
  await app.register(async (scope) => {
    operationRoutes(scope, services);
    ipfsRoutes(scope, services);
    scope.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, () => app.swagger());
  });
  await app.register(
    async (v1) => {
      sessionRoutes(v1, services);
      memberRoutes(v1, services);
      subjectRoutes(v1, services);
      keyRoutes(v1, services);
      await v1.register(async (scope) => payloadRoutes(scope, services));
      recordRoutes(v1, services);
      consentRoutes(v1, services);
      searchRoutes(v1, services);
      ledgerRoutes(v1, services);
      witnessRoutes(v1, services);
      proposalRoutes(v1, services);
    },
    { prefix: '/v1' },
  );
  await app.register(async (scope) => fhirRoutes(scope, services), { prefix: '/fhir/R4' });
  await app.ready();
  return app;
}
