/** Deny by default: whatever the router answers without a session is on one list, and that list stands here. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTown, type Town } from '../node/consortium.ts';
import { exampleUrl, problemIn, type Route, watchRoutes } from './shared.ts';

/** Everything that is reachable without a session. */
const PUBLIC = new Set([
  'GET /healthz',
  'GET /readyz',
  'GET /status',
  'GET /metrics',
  'GET /openapi.json',
  'POST /v1/auth/login',
  'GET /v1/members',
  'GET /v1/authorities',
  'GET /v1/ledger/checkpoint',
  'GET /v1/ledger/witness',
  'POST /v1/ledger/witness',
  'GET /fhir/R4/metadata',
]);
/** The documentation page and its assets. */
const isPage = (url: string): boolean => url === '/docs' || url.startsWith('/docs/');

let town: Town;
let routes: readonly Route[];

beforeAll(async () => {
  const routesOf = watchRoutes();
  town = await startTown();
  routes = routesOf(town.app('mercy'));
});
afterAll(() => town?.close());

const asGet = (route: Route): string => `${route.method === 'HEAD' ? 'GET' : route.method} ${route.url}`;

describe('sessions', () => {
  it('reads the whole route table', () => {
    expect(routes.length).toBeGreaterThan(60);
    for (const name of PUBLIC) expect(routes.map(asGet)).toContain(name);
  });

  it('refuses every route outside the public list without a session', async () => {
    const open: string[] = [];
    for (const route of routes) {
      if (PUBLIC.has(asGet(route)) || isPage(route.url)) continue;
      const answer = await town
        .app('mercy')
        .inject({ method: route.method as 'GET', url: exampleUrl(route.url) });
      if (answer.statusCode !== 401) open.push(`${asGet(route)}: ${answer.statusCode}`);
      else if (route.method !== 'HEAD') expect(problemIn(answer).code).toBe('auth.required');
    }
    expect(open).toEqual([]);
  });

  it('refuses them with a token of another form, another key, and no signature', async () => {
    const payload = Buffer.from(JSON.stringify({ sub: '0'.repeat(32), account: 'admin', iss: 'mercy' }));
    const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${payload.toString('base64url')}.`;
    for (const token of ['x', 'a.b.c', none, `${none}AAAA`]) {
      for (const route of routes.filter((one) => one.url.startsWith('/v1/') && !PUBLIC.has(asGet(one)))) {
        const answer = await town.app('mercy').inject({
          method: route.method as 'GET',
          url: exampleUrl(route.url),
          headers: { authorization: `Bearer ${token}` },
        });
        expect(answer.statusCode, `${asGet(route)} with ${token.slice(0, 8)}`).toBe(401);
      }
    }
  });

  it('answers the public list without a session', async () => {
    for (const name of PUBLIC) {
      const [method, url] = name.split(' ') as ['GET', string];
      if (method !== 'GET') continue;
      const answer = await town.app('mercy').inject({ method, url });
      expect(answer.statusCode, name).toBe(200);
    }
  });
});
