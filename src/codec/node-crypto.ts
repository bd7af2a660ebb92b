/**
 * node:crypto where there is a Node, undefined in a browser, so that modules shared with browsers need no
 * bundler setting. Callers fall back to @noble; both give equal bytes (test/codec).
 */
type NodeCrypto = typeof import('node:crypto');

const host = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };

export const nodeCrypto = host.process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined;
