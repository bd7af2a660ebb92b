/**
 * The OpenAPI document: OpenAPI 3.1 in form, complete against the router, and kept. The last part asks every operation
 * with values made from its schemas, right and wrong ones: whatever is asked, no answer is a fault of the server, and
 * every refusal is a problem of the table.
 */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTown, type Town } from '../node/consortium.ts';
import { drawnFrom, type JsonSchema } from './arbitraries.ts';
import { problemIn, type Route, watchRoutes } from './shared.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: JsonSchema;
}
interface Content {
  readonly [type: string]: { readonly schema: JsonSchema };
}
interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly Record<string, readonly string[]>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Record<string, { readonly description?: string; readonly content?: Content }>;
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, JsonSchema>; readonly securitySchemes: object };
}

/** Ajv comes with Fastify; OpenAPI 3.1 schemas are JSON Schema 2020-12. */
const fromFastify = createRequire(createRequire(import.meta.url).resolve('fastify'));
const { Ajv2020 } = fromFastify('ajv/dist/2020') as {
  Ajv2020: new (
    options: object,
  ) => {
    addFormat(name: string, format: true): void;
    compile(schema: object): (value: unknown) => boolean;
  };
};

/** Routes outside the document: the document itself, its page, and what Prometheus reads. */
const HIDDEN = /^\/(?:openapi\.json|metrics|docs(?:\/.*)?)$/;

let town: Town;
let app: FastifyInstance;
let document: Document;
let routes: readonly Route[];
let operations: readonly { method: string; path: string; operation: Operation }[];

beforeAll(async () => {
  const routesOf = watchRoutes();
  town = await startTown();
  app = town.app('mercy');
  routes = routesOf(app);
  document = (await app.inject({ url: '/openapi.json' })).json() as Document;
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
});
afterAll(() => town?.close());

describe('the document', () => {
  it('is OpenAPI 3.1 in form', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info.title).toBe('Hippocrypt');
    expect(document.info.version).toMatch(/^\d+\.\d+\.\d+$/);
    for (const { path, method, operation } of operations) {
      expect(path, `${method} ${path}`).toMatch(/^\//);
      const templated = [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]).sort();
      const declared = (operation.parameters ?? []).filter((one) => one.in === 'path');
      expect(declared.map((one) => one.name).sort(), `${method} ${path}`).toEqual(templated);
      for (const one of declared) expect(one.required).toBe(true);
      for (const [status, response] of Object.entries(operation.responses)) {
        expect(status).toMatch(/^(?:[1-5]\d\d|[1-5]XX|default)$/);
        expect(response.description, `${method} ${path} ${status}`).toBeTypeOf('string');
      }
    }
  });

  it('holds schemas that JSON Schema 2020-12 accepts, and references that resolve', () => {
    const ajv = new Ajv2020({ strict: false, logger: false });
    for (const format of ['date-time', 'uri', 'email', 'uuid']) ajv.addFormat(format, true);
    const schemasIn = (content: Content | undefined): JsonSchema[] =>
      Object.values(content ?? {}).map((one) => one.schema);
    for (const { operation } of operations) {
      const schemas = [
        ...(operation.parameters ?? []).map((one) => one.schema),
        ...schemasIn(operation.requestBody?.content),
        ...Object.values(operation.responses).flatMap((one) => schemasIn(one.content)),
      ];
      for (const schema of schemas) ajv.compile({ ...schema, components: document.components });
    }
    expect(operations.length).toBeGreaterThan(40);
  });

  it('names each operation, its group, and a problem for what is refused', () => {
    for (const { method, path, operation } of operations) {
      expect(operation.summary?.length, `${method} ${path}`).toBeGreaterThan(5);
      expect(operation.tags, `${method} ${path}`).toHaveLength(1);
      if (!path.startsWith('/v1') && !path.startsWith('/fhir')) continue;
      const refused = operation.responses['4XX']?.content ?? {};
      expect(Object.keys(refused), `${method} ${path}`).toEqual(['application/problem+json']);
      expect(refused['application/problem+json'].schema).toEqual({ $ref: '#/components/schemas/Problem' });
    }
  });

  it('says of exactly the operations behind a session that they need one', async () => {
    for (const { method, path, operation } of operations) {
      const url = path.replace(/\{[^}]+\}/g, '0');
      const answer = await app.inject({ method: method as 'GET', url });
      const needs = operation.security?.some((one) => 'bearer' in one) === true;
      expect(answer.statusCode === 401, `${method} ${path}`).toBe(needs);
    }
  });

  it('lists every route of the router', () => {
    const documented = new Set(operations.map(({ method, path }) => `${method} ${path.replace(/\/$/, '')}`));
    const missing = routes
      .filter(({ method, url }) => method !== 'HEAD' && method !== 'OPTIONS' && !HIDDEN.test(url))
      .map(({ method, url }) => {
        const path = url
          .replace(/:([a-zA-Z]+)/g, '{$1}')
          .replace(/\*$/, '{*}')
          .replace(/\/$/, '');
        return `${method} ${path}`;
      })
      .filter((name) => !documented.has(name));
    expect(missing).toEqual([]);
  });
});

describe('every operation, asked with values made from its schemas', () => {
  const RUNS = Number(process.env.HIPPOCRYPT_FUZZ_RUNS ?? 12);
  /** A live stream does not end. */
  const STREAMS = new Set(['/v1/ledger/stream']);
  let known: readonly string[];
  let tokens: Record<string, string>;

  beforeAll(async () => {
    await town.client('nurse');
    await town.client('import');
    tokens = { nurse: await town.token('mercy', 'nurse'), author: await town.token('mercy', 'import') };
    const put = await app.inject({
      method: 'POST',
      url: '/v1/records',
      headers: { authorization: `Bearer ${tokens.author}` },
      payload: { records: [{ content: '{"resourceType":"Condition"}', policy: 'mercy/role:nurse' }] },
    });
    const { records, committed } = put.json() as { records: string[]; committed: { entryId: string } };
    const { subject } = (
      await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${tokens.nurse}` } })
    ).json() as { subject: string };
    known = [records[0], committed.entryId, subject];
  });

  /** Text for a path: encoded, and not one of the two names that clients resolve themselves. */
  const segment = (value: unknown): string => {
    const text = encodeURIComponent(String(value));
    return text === '' || text === '.' || text === '..' ? '-' : text;
  };

  it('never meets a fault of the server, and refuses by the table', { timeout: 240_000 }, async () => {
    const seen = new Set<string>();
    for (const { method, path, operation } of operations) {
      if (STREAMS.has(path)) continue;
      const { schemas } = document.components;
      const parameters = operation.parameters ?? [];
      const body = operation.requestBody?.content['application/json']?.schema;
      const isBundle = path.startsWith('/fhir') && method === 'POST';
      const asked = fc.record({
        account: fc.constantFrom('nurse', 'author'),
        parameters: fc.tuple(...parameters.map((one) => drawnFrom(one.schema, schemas, known))),
        present: fc.tuple(...parameters.map(() => fc.boolean())),
        payload: body === undefined ? fc.constant(undefined) : drawnFrom(body, schemas, known),
        bundle: fc.oneof(fc.json(), fc.string()),
      });
      await fc.assert(
        fc.asyncProperty(asked, async (one) => {
          let url = path;
          const query = new URLSearchParams();
          parameters.forEach((parameter, i) => {
            const value = one.parameters[i];
            if (parameter.in === 'path') url = url.replace(`{${parameter.name}}`, () => segment(value));
            else if (one.present[i]) query.set(parameter.name, String(value));
          });
          const payload = isBundle ? one.bundle : one.payload;
          const answer = await app.inject({
            method: method as 'GET',
            url: `${url}${query.size > 0 ? `?${query}` : ''}`,
            headers: {
              authorization: `Bearer ${tokens[one.account]}`,
              ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
            },
            ...(payload === undefined
              ? {}
              : { payload: isBundle ? String(payload) : JSON.stringify(payload) }),
          });
          if (answer.statusCode < 400) return;
          // The trustless gateway answers in plain text, as its specification says.
          if (path.startsWith('/ipfs/')) {
            expect(answer.statusCode).toBeLessThan(500);
            return;
          }
          const problem = problemIn(answer);
          seen.add(problem.code);
          expect(problem.status, `${method} ${url}: ${problem.code}`).toBeLessThan(500);
        }),
        { numRuns: RUNS },
      );
    }
    expect(seen.size).toBeGreaterThan(10);
  });
});
