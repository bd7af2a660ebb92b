/**
 * Ed25519 verification for keys that sign often, in half of OpenSSL's time. It imports nothing of ours;
 * pbft-lite and the codec both stand on it. In a browser it proves nothing.
 */
import { TableVerifier } from './verifier.ts';

type NodeCrypto = typeof import('node:crypto');

const host = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
const nodeCrypto = host.process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined;

const shared = nodeCrypto && new TableVerifier((bytes) => nodeCrypto.hash('sha512', bytes, 'buffer'));

/**
 * True when `signature` is that of `key` over `message`. False says nothing: ask OpenSSL then. `name` stands for `key`, and for
 * no other key.
 */
export function provesEd25519(
  name: string,
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return shared?.proves(name, key, message, signature) ?? false;
}
