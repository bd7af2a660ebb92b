/** What the tests of the gateway share: problems as they must be, and the route table of an app. */
import { subscribe } from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';
import type { Response } from 'light-my-request';
import { expect } from 'vitest';
import { problemOf } from '../../src/api/problems.ts';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string;
  readonly [extension: string]: unknown;
}

/** Holds an error answer to RFC 9457 and to the table, and gives its problem. */
export function problemIn(answer: Response): Problem {
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  const problem = answer.json() as Problem;
  expect(problem.status).toBe(answer.statusCode);
  expect(problem.type).toBe(`urn:hippocrypt:problem:${problem.code}`);
  expect(problem.title.length).toBeGreaterThan(0);
  expect(problem.detail.length).toBeGreaterThan(0);
  expect(problem.requestId).toMatch(/^[0-9a-f-]{36}$/);
  const known = problemOf(problem.code);
  expect(known, `the table knows ${problem.code}`).toBeDefined();
  expect([problem.status, problem.title]).toEqual(known);
  return problem;
}

export interface Route {
  readonly method: string;
  /** With `:name` for parameters and `*` for the rest of a path. */
  readonly url: string;
}

/**
 * Notes the routes of every gateway that is built from here on, as Fastify itself reports them, so that a new route
 * cannot be forgotten. Call it before the gateways start.
 */
export function watchRoutes(): (app: FastifyInstance) => readonly Route[] {
  const seen = new Map<unknown, Route[]>();
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: FastifyInstance };
    const routes: Route[] = [];
    seen.set(fastify, routes);
    fastify.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) routes.push({ method: one, url });
    });
  });
  return (app) => seen.get(app) ?? [];
}

/** `url` with its parameters filled in by values of the right form that name nothing. */
export function exampleUrl(url: string): string {
  return url
    .replace('/:id/attributes/:attribute', `/${'0'.repeat(32)}/attributes/mercy%2Frole:doctor`)
    .replace('/subjects/:id', `/subjects/${'0'.repeat(32)}`)
    .replace('/segments/:id', `/segments/${'0'.repeat(32)}`)
    .replace(':custodian', 'mercy')
    .replace(':height', '1')
    .replace(':id', '0'.repeat(64))
    .replace('*', 'chain');
}
