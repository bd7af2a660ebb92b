/** Limits and logs of a gateway that need no consortium behind it: rates, and what a log line may hold. */
import { Writable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { type AppOptions, buildApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/ports.ts';
import { memberId } from '../../src/codec/ids.ts';
import { problemIn } from './shared.ts';

let app: FastifyInstance | undefined;
afterEach(() => app?.close());

/** A gateway whose ledger tells nothing and whose accounts are empty: the routes asked here reach no other port. */
async function gateway(options: Partial<AppOptions>): Promise<FastifyInstance> {
  const services = {
    member: memberId('mercy'),
    chainId: 'limits',
    ledger: { subscribe: () => () => undefined, tip: () => ({ height: 0, timeMs: 0, size: 0 }) },
    accounts: {
      verify: async () => undefined,
      session: () => {
        throw new Error('patient Jane Roe, seed 0xfeed');
      },
    },
    status: async () => ({ ready: true, parts: {} }),
    ipfs: { public: false },
  } as unknown as Services;
  app = await buildApp({ services, tokenSecret: new Uint8Array(32), ...options });
  return app;
}

const login = {
  method: 'POST',
  url: '/v1/auth/login',
  payload: { account: 'a', password: 'hunter2hunter2' },
} as const;

describe('rates', () => {
  it('answers the request above the rate with 429 and when to come back, and the one at it as before', async () => {
    const limited = await gateway({ ratePerMinute: 5 });
    for (let i = 0; i < 5; i++) expect((await limited.inject('/healthz')).statusCode).toBe(200);
    const answer = await limited.inject('/healthz');
    expect(problemIn(answer)).toMatchObject({ status: 429, code: 'request.rate' });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('takes at most 60 attempts to sign in a minute from one address', async () => {
    const limited = await gateway({});
    for (let i = 0; i < 60; i++) expect((await limited.inject(login)).statusCode).toBe(401);
    expect(problemIn(await limited.inject(login)).code).toBe('request.rate');
  });
});

describe('the log', () => {
  it('names a fault by request id, and holds no password, token or address line', async () => {
    const lines: string[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const logged = await gateway({ logger: { level: 'trace', stream }, ratePerMinute: 0 });
    await logged.inject(login);
    const token = logged.jwt.sign({ sub: '0'.repeat(32), account: 'a' });
    const answer = await logged.inject({
      url: '/v1/me?secret=1',
      headers: { authorization: `Bearer ${token}` },
    });
    const problem = problemIn(answer);
    expect([problem.status, problem.code]).toEqual([500, 'internal']);
    expect(JSON.stringify(problem)).not.toContain('Jane');
    const all = lines.join('');
    expect(all).toContain('request.failed');
    for (const secret of ['hunter2', token, 'secret=1']) expect(all).not.toContain(secret);
  });
});
