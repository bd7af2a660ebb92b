/** The core's signer over a validator key: own votes as wire messages. Deterministic, because Ed25519 is. */
import type { CoreSigner } from '../core/types.ts';
import { viewChangeDigest } from '../wire/codec.ts';
import { helloBytes, voteBytes, welcomeBytes } from '../wire/signing.ts';
import type { ValidatorKey } from './keys.ts';

/** Signs for `chainId` (32 bytes) with `key`. */
export function coreSigner(key: Pick<ValidatorKey, 'sign'>, chainId: Uint8Array): CoreSigner {
  return {
    vote: (kind, position, digest) => key.sign(voteBytes(kind, chainId, position, digest)),
    viewChange(position, parentQc, prepared) {
      const digest = viewChangeDigest(parentQc, prepared);
      const signature = key.sign(voteBytes('view-change', chainId, position, digest));
      return { type: 'view-change', ...position, parentQc, prepared, digest, signature };
    },
    hello: (hello) => ({ type: 'hello', ...hello, signature: key.sign(helloBytes(chainId, hello)) }),
    welcome: (welcome) => ({
      type: 'welcome',
      ...welcome,
      signature: key.sign(welcomeBytes(chainId, welcome)),
    }),
  };
}
