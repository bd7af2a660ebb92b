/**
 * The node's trustless gateway (specs.ipfs.tech/http-gateways/trustless-gateway) on the REST port: sealed payloads as raw
 * blocks and CARs, each checkable against the CID that was asked for. Behind a session unless the member opened it:
 * ciphertext tells sizes, and who asks for what. Objects are files, so there are no paths below a CID.
 *
 * Status codes are those of the IPFS specification; refusals carry a problem as everywhere else in this gateway.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { fromUtf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { Services } from '../ports.ts';
import { problems } from '../schemas.ts';

const Query = z.object({
  format: z.enum(['raw', 'car']).optional().describe('or an Accept header'),
  'dag-scope': z.enum(['block', 'entity', 'all']).optional(),
  'entity-bytes': z.string().max(64).optional().describe('`from:to` of the entity, for a CAR'),
});

/** Codes of refusals that have a text; 412 and 416 are answered as the specification wants them. */
const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'request.invalid',
  404: 'storage.not_found',
  500: 'storage.bad_dag',
};

export function ipfsRoutes(scope: FastifyInstance, services: Services): void {
  const { ipfs } = services;
  const route = {
    url: '/ipfs/:cid',
    config: { public: ipfs.public },
    // The query is described but left to the gateway, which answers as the IPFS specification says.
    validatorCompiler: () => (value: unknown) => ({ value }),
    handler: (request: FastifyRequest, reply: FastifyReply) => answerIpfs(ipfs, request, reply),
  };
  // HEAD has a route of its own: the one that Fastify derives would read a whole CAR to throw it away.
  scope.route({ ...route, method: 'HEAD', schema: { hide: true } });
  scope.route({
    ...route,
    method: 'GET',
    schema: {
      summary: 'A sealed payload or a block of it, as an IPFS trustless gateway',
      tags: ['ipfs'],
      ...(ipfs.public ? {} : { security: [{ bearer: [] }] }),
      params: z.object({ cid: z.string().max(128) }),
      querystring: Query,
      response: {
        '2xx': z.any().describe('application/vnd.ipld.raw or application/vnd.ipld.car'),
        ...problems,
      },
    },
  });
}

async function answerIpfs(
  ipfs: Services['ipfs'],
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const [path, query] = request.url.split('?', 2);
  const answer = await ipfs.answer({
    path,
    query: new URLSearchParams(query ?? ''),
    headers: request.headers as Readonly<Record<string, string | undefined>>,
  });
  const code = PROBLEMS[answer.status];
  if (code !== undefined && answer.body instanceof Uint8Array)
    throw new CodedError(code, fromUtf8(answer.body).trim());
  reply.code(answer.status).headers(answer.headers);
  // What needed a session must not come out of a cache that others share.
  const caching = answer.headers['cache-control'];
  if (!ipfs.public && caching !== undefined)
    reply.header('cache-control', caching.replace('public', 'private'));
  if (request.method === 'HEAD') return reply.send();
  const { body } = answer;
  const sent =
    body instanceof Uint8Array ? Buffer.from(body.buffer, body.byteOffset, body.length) : Readable.from(body);
  return reply.serializer((payload) => payload as string).send(sent);
}
