/** Sign-in state of a request: a short JWT of this gateway, checked before any route runs. */
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { CodedError } from '../codec/errors.ts';
import { subjectId } from '../codec/ids.ts';
import type { Services, Session } from './ports.ts';

/** How long a token lives. Short, because a token cannot be taken back. */
export const TOKEN_TTL = '15m';

declare module 'fastify' {
  interface FastifyRequest {
    session?: Session;
  }
  interface FastifyContextConfig {
    /** Reachable without a session. */
    public?: boolean;
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: { sub: string; account: string };
    user: { sub: string; account: string; exp: number };
  }
}

/** Routes outside the table (the docs page and its assets) that need no session. */
const PUBLIC_PREFIXES = ['/docs'];

/** Hook that puts the session on the request, or refuses. A revoked subject is refused at once. */
export function requireSession(services: Services): onRequestAsyncHookHandler {
  return async (request) => {
    if (request.routeOptions.config?.public === true || request.is404) return;
    if (PUBLIC_PREFIXES.some((prefix) => request.url === prefix || request.url.startsWith(`${prefix}/`)))
      return;
    const token = await request.jwtVerify<{ sub: string; account: string }>();
    const session = services.accounts.session(token.account);
    if (session === undefined || session.subject !== token.sub) {
      throw new CodedError('auth.required', 'the account of this token is gone: sign in again');
    }
    const subject = services.ledger.get(`subject/${subjectId(token.sub)}`) as
      | { revoked?: boolean }
      | undefined;
    if (subject?.revoked === true)
      throw new CodedError('subject.revoked', 'this subject was revoked on the ledger');
    request.session = session;
  };
}

/** The session of a route behind `requireSession`. */
export function sessionOf(request: FastifyRequest): Session {
  if (request.session === undefined) throw new CodedError('auth.required', 'sign in first');
  return request.session;
}
