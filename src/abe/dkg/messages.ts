/** Bytes of the ceremony's messages: dag-cbor [format, kind, ...]. Private ones are encrypted by the caller. */
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { ABE_ERROR } from '../errors.ts';
import { GT_BYTES, SCALAR_BYTES } from '../group/types.ts';

const DKG_FORMAT = 1;
const KIND = { announce: 0, open: 1, complain: 2, answer: 3, share: 4 } as const;
const MESSAGE_BYTES_MAX = 64 * GT_BYTES + 4096;

/** Messages that everybody sees in one order. */
export type DkgBroadcast =
  | { readonly kind: 'announce'; readonly hash: Uint8Array }
  | { readonly kind: 'open'; readonly opening: Uint8Array }
  | { readonly kind: 'complain'; readonly dealers: readonly number[] }
  | {
      readonly kind: 'answer';
      readonly shares: readonly { readonly receiver: number; readonly share: Uint8Array }[];
    };

/** A sub-share for one receiver. */
export interface DkgPrivate {
  readonly kind: 'share';
  readonly share: Uint8Array;
}

export function encodeDkg(message: DkgBroadcast | DkgPrivate): Uint8Array {
  switch (message.kind) {
    case 'announce':
      return encodeCbor([DKG_FORMAT, KIND.announce, message.hash]);
    case 'open':
      return encodeCbor([DKG_FORMAT, KIND.open, message.opening]);
    case 'complain':
      return encodeCbor([DKG_FORMAT, KIND.complain, message.dealers]);
    case 'answer':
      return encodeCbor([
        DKG_FORMAT,
        KIND.answer,
        message.shares.map(({ receiver, share }) => [receiver, share]),
      ]);
    case 'share':
      return encodeCbor([DKG_FORMAT, KIND.share, message.share]);
  }
}

function malformed(): never {
  throw new CodedError(ABE_ERROR.dkgInput, 'expected a message of the key generation ceremony');
}

function ascending(indices: readonly number[]): boolean {
  return indices.every((index, i) => i === 0 || indices[i - 1] < index);
}

/** Throws `abe.dkg_input` for bytes that are no message. */
export function decodeDkg(bytes: Uint8Array): DkgBroadcast | DkgPrivate {
  const [format, kind, body] = decodeFields(bytes, 3, MESSAGE_BYTES_MAX) ?? malformed();
  if (format !== DKG_FORMAT) malformed();
  if (body instanceof Uint8Array) {
    if (kind === KIND.announce && body.length === 32) return { kind: 'announce', hash: body };
    if (kind === KIND.open) return { kind: 'open', opening: body };
    if (kind === KIND.share && body.length === SCALAR_BYTES) return { kind: 'share', share: body };
    return malformed();
  }
  if (!Array.isArray(body)) return malformed();
  if (kind === KIND.complain && body.every(isWhole) && ascending(body)) {
    return { kind: 'complain', dealers: body };
  }
  if (kind !== KIND.answer) return malformed();
  const shares = body.map((pair: unknown) => {
    const [receiver, share] = (Array.isArray(pair) && pair.length === 2 ? pair : []) as readonly unknown[];
    if (!isWhole(receiver) || !isBytes(share, SCALAR_BYTES)) return malformed();
    return { receiver, share };
  });
  if (!ascending(shares.map(({ receiver }) => receiver))) return malformed();
  return { kind: 'answer', shares };
}
