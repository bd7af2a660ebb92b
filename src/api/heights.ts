/**
 * Which state an answer is of. Every answer carries the height that this node has applied; a caller who has seen a higher
 * one, at another gateway perhaps, says so, and is answered when this node is there, or not at all: never with older state.
 */
import type { FastifyInstance } from 'fastify';
import { CodedError } from '../codec/errors.ts';
import type { Services } from './ports.ts';

/** Answer header: height of the last block that this node has applied. */
export const HEIGHT_HEADER = 'hippocrypt-height';
/** Request header: the answer must be of this height or a later one. */
export const MIN_HEIGHT_HEADER = 'hippocrypt-min-height';
/** How long a request waits for its height. */
const WAIT_MS = 5_000;

export function readYourWrites(app: FastifyInstance, services: Services): void {
  app.addHook('onRequest', async (request) => {
    const wanted = request.headers[MIN_HEIGHT_HEADER];
    if (wanted === undefined) return;
    if (typeof wanted !== 'string' || !/^\d{1,15}$/.test(wanted)) {
      throw new CodedError('request.invalid', `expected a height in ${MIN_HEIGHT_HEADER}`);
    }
    if (!(await services.ledger.reached(Number(wanted), WAIT_MS))) {
      throw new CodedError(
        'ledger.behind',
        `this node has not applied height ${wanted} yet: try again or ask another member`,
      );
    }
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header(HEIGHT_HEADER, services.ledger.tip().height);
  });
}
