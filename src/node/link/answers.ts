/** How an answer on the member link says yes or no: dag-cbor `{ ok: bytes }` or `{ code, message }`. */

import type { LinkHandler } from '../../authority/link.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import type { MemberId } from '../../codec/ids.ts';

/** Longest message of a refusal. */
const MESSAGE_MAX = 500;
const CODE_FORM = /^[a-z][a-z_]*(?:\.[a-z][a-z_]*){1,2}$/;

/** Runs `handler` and encodes what came out. A fault without a code is told as `link.peer_fault` and kept local. */
export async function answerBytes(
  handler: LinkHandler | undefined,
  from: MemberId,
  body: Uint8Array,
): Promise<Uint8Array> {
  if (handler === undefined)
    return encodeCbor({ code: 'link.no_handler', message: 'nobody serves this channel' });
  try {
    return encodeCbor({ ok: await handler(from, body) });
  } catch (error) {
    if (error instanceof CodedError) {
      return encodeCbor({ code: error.code, message: error.message.slice(0, MESSAGE_MAX) });
    }
    return encodeCbor({ code: 'link.peer_fault', message: 'the peer met a fault of its own' });
  }
}

/** The bytes of a good answer; throws the peer's coded error, or `link.malformed`. */
export function readAnswer(from: MemberId, bytes: Uint8Array): Uint8Array {
  const answer = decodeCbor(bytes, 64 * 1024 * 1024);
  if (answer !== null && typeof answer === 'object') {
    const { ok, code, message } = answer as { ok?: unknown; code?: unknown; message?: unknown };
    if (ok instanceof Uint8Array) return ok;
    if (typeof code === 'string' && typeof message === 'string' && CODE_FORM.test(code)) {
      throw new CodedError(code, `${from}: ${message.slice(0, MESSAGE_MAX)}`);
    }
  }
  throw new CodedError('link.malformed', `${from} answered with bytes of another form`);
}
