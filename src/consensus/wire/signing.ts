/**
 * The bytes that validators sign (ledger-security rule 1): domain || type tag || protocol version || chainId ||
 * epoch || height || view || sender || digest, fixed layout, own tag per type.
 */
import { PROTOCOL_VERSION } from '../limits.ts';
import { type Hash, Writer } from './bytes.ts';
import { TAG, tagged } from './hash.ts';
import { type Hello, VOTE_TAG, type VoteKind, type Welcome } from './messages.ts';

const DOMAIN = new TextEncoder().encode('pbft-lite/1');
const HELLO_TAG = 5;
const WELCOME_TAG = 6;

/** Length of every signed string of pbft-lite. */
export const SIGNED_BYTES = 11 + 1 + 2 + 32 + 4 + 8 + 4 + 2 + 32;

function signedBytes(
  tag: number,
  chainId: Uint8Array,
  position: { epoch: number; height: number; view: number; sender: number },
  digest: Hash,
): Uint8Array {
  return new Writer(SIGNED_BYTES)
    .fixed(DOMAIN)
    .u8(tag)
    .u16(PROTOCOL_VERSION)
    .fixed(chainId)
    .u32(position.epoch)
    .u64(position.height)
    .u32(position.view)
    .u16(position.sender)
    .hash(digest)
    .finish();
}

/** What a PRE-PREPARE, PREPARE, COMMIT or VIEW-CHANGE signs. */
export function voteBytes(
  kind: VoteKind,
  chainId: Uint8Array,
  position: { epoch: number; height: number; view: number; sender: number },
  digest: Hash,
): Uint8Array {
  return signedBytes(VOTE_TAG[kind], chainId, position, digest);
}

/** What a HELLO signs. */
export function helloBytes(chainId: Uint8Array, hello: Omit<Hello, 'signature' | 'type'>): Uint8Array {
  const body = new Writer(32).u32(hello.boot).fixed(hello.nonce).finish();
  return signedBytes(
    HELLO_TAG,
    chainId,
    { epoch: hello.epoch, height: 0, view: 0, sender: hello.sender },
    tagged(TAG.hello, body),
  );
}

/** What a WELCOME signs. */
export function welcomeBytes(chainId: Uint8Array, welcome: Omit<Welcome, 'signature' | 'type'>): Uint8Array {
  const { hello, vote } = welcome;
  const body = new Writer(64)
    .u16(welcome.to)
    .fixed(welcome.nonce)
    .u32(hello?.boot ?? 0);
  body
    .u64(vote?.height ?? 0)
    .u32(vote?.view ?? 0)
    .u8(vote === undefined ? 0 : VOTE_TAG[vote.kind]);
  body.u64(welcome.committed);
  return signedBytes(
    WELCOME_TAG,
    chainId,
    { epoch: welcome.epoch, height: 0, view: 0, sender: welcome.sender },
    tagged(TAG.welcome, body.finish()),
  );
}
