/** Opens a pairing group: one frozen instance of each backend a process or worker, tested before first use. */
import { equalBytes, fromHex, toHex, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';
import { ABE_ERROR } from '../errors.ts';
import { mclGroup } from './mcl.ts';
import { instantiateMcl } from './mcl-module.ts';
import { nobleGroup } from './noble.ts';
import { scalarToBytes } from './scalar.ts';
import type { BackendName, Group } from './types.ts';

/** SHA-256 of e(g1, g2) in our order of coordinates, and H("hippocrypt") under our DST. */
const PAIRING_OF_GENERATORS = '06fa588b89fdfb034dbc1c163ecb3dfac228f552b643c7294cc5f2c4dc170b84';
const HASH_OF_NAME =
  '83766aa1b2aa8c8fcf1f940e65b7ba0199cd9ab9da62849b339eb32c8763625b87fc7b14e057da1db6432e90242e8f0d';
/** A scalar with every window non-zero, so that each row of a table is read. */
const TEST_SCALAR = 0x1122334455667788991122334455667788991122334455667788991122334455n;

function selfTest(group: Group): void {
  const failed = (what: string): never => {
    throw new CodedError(
      ABE_ERROR.groupUnusable,
      `the ${group.backend} backend fails its self-test: ${what}`,
    );
  };
  if (toHex(sha256(group.encodeGT(group.gt))) !== PAIRING_OF_GENERATORS) failed('e(g1, g2)');
  const hashed = group.hashToG1(utf8('hippocrypt'));
  if (!equalBytes(group.encodeG1(hashed), fromHex(HASH_OF_NAME))) failed('hash to G1');
  const secret = scalarToBytes(TEST_SCALAR);
  const product1 = group.mulG1(group.g1, TEST_SCALAR);
  const product2 = group.mulG2(group.g2, TEST_SCALAR);
  if (!group.equalG1(product1, group.mulSecretG1(group.g1, secret))) failed('multiplication in G1');
  const again = group.encodeG2(group.mulSecretG2(group.g2, secret));
  if (!equalBytes(group.encodeG2(product2), again)) failed('multiplication in G2');
  if (!group.inSubgroupG1(product1)) failed('subgroup test');
  if (!group.equalGT(group.pairingProduct([[product1, group.g2]]), group.powGT(group.gt, TEST_SCALAR))) {
    failed('bilinearity');
  }
}

async function build(backend: BackendName): Promise<Group> {
  const group = backend === 'mcl' ? mclGroup(await instantiateMcl()) : nobleGroup();
  group.prepare(group.g1);
  group.prepare(group.g2);
  selfTest(group);
  return Object.freeze(group);
}

const opened = new Map<BackendName, Promise<Group>>();

/**
 * The group over `backend` (default `mcl`). The first call builds tables and runs the self-test (about 0.2 s
 * and 5 MiB of wasm memory with mcl); later calls return the same instance. Throws `abe.group_unusable`.
 */
export function openGroup(backend: BackendName = 'mcl'): Promise<Group> {
  let group = opened.get(backend);
  if (group === undefined) {
    group = build(backend);
    opened.set(backend, group);
    // A failure (memory, a foreign version) is reported to whoever asked and may be tried again.
    group.catch(() => opened.delete(backend));
  }
  return group;
}
