/** Secrets of headers, of their holders and of ceremonies; and the controls. */
import { evaluate } from '../../src/abe/group/scalar.ts';
import { type DecryptionKey, type Group, makeRegistry, openGroup, parsePolicy } from '../../src/abe/index.ts';
import {
  compileHeader,
  decryptionSums,
  decryptRaw,
  deriveExponents,
  deriveRandomness,
  encryptRaw,
  keyGenRaw,
  reduceWide,
} from '../../src/abe/internal.ts';
import { equalBytes, utf8 } from '../../src/codec/bytes.ts';
import { draw, operation, type SecretOperation, scalar, seededFrom } from './operation.ts';

const HEADER = "one header's randomness, on the machine that has the plaintext";
const HOLDER = "the holder's own key, on its own machine; one error and no timing goes to the sealer";
const CEREMONY = "once a ceremony, on the member's own machine, before anybody can ask for anything";

const REGISTRY = makeRegistry([{ label: 'x', type: 'text' }]);

export function sealing(group: Group): SecretOperation[] {
  const E = group.powGT(group.gt, 7n);
  group.prepare(E);
  const context = draw(32);
  const compiled = compileHeader(parsePolicy('h/x:a and h/x:b'), REGISTRY, {
    recordId: draw(32),
    version: 1,
    gate: 'record',
    emergency: false,
    epoch: undefined,
  });
  return [
    operation({
      op: 'seal: s and s prime from m',
      claim: 'varies',
      why: HEADER,
      make: (seed) => seed.slice(0, 32),
      run: (m) => deriveExponents(m, context, 1),
    }),
    operation({
      op: 'seal: c1 = g2^s',
      claim: 'varies',
      why: HEADER,
      make: reduceWide,
      run: (s) => group.mulG2(group.g2, s),
    }),
    operation({
      op: 'seal: K = E^s',
      claim: 'varies',
      why: HEADER,
      make: reduceWide,
      run: (s) => group.powGT(E, s),
    }),
    operation({
      op: 'seal: all of an AND of 2 with its gate',
      claim: 'varies',
      why: HEADER,
      make: (seed) => deriveRandomness(seed.slice(0, 32), context, compiled.tau, compiled.columns),
      run: (randomness) => encryptRaw(group, compiled, randomness),
    }),
  ];
}

export function opening(group: Group): SecretOperation[] {
  const compiled = compileHeader(parsePolicy('h/x:a and h/x:b'), REGISTRY, {
    recordId: draw(32),
    version: 1,
    gate: 'none',
    emergency: false,
    epoch: undefined,
  });
  const leaves = compiled.rows.map(({ leaf }) => leaf);
  const g1Alpha = group.mulG1(group.g1, reduceWide(draw(64)));
  const { c1, c2, c3 } = encryptRaw(
    group,
    compiled,
    deriveRandomness(draw(32), draw(32), 1, compiled.columns),
  );
  const used = compiled.rows.map((_, index) => ({ index, coefficient: 1n }));
  const decrypt = (key: Pick<DecryptionKey, 'k1' | 'k3' | 'leaves'>): unknown => {
    const sums = decryptionSums(group, compiled, used, key.leaves, (i) => c3[i]);
    if (sums === undefined) throw new Error('the key has both leaves');
    return group.encodeGT(decryptRaw(group, key, sums, c1, (j) => c2[j - 1]));
  };
  return [
    operation({
      op: 'open: pairings with a key',
      claim: 'varies',
      why: HOLDER,
      make: (seed) => keyGenRaw(group, g1Alpha, reduceWide(seed), leaves),
      run: decrypt,
    }),
  ];
}

export function ceremony(group: Group): SecretOperation[] {
  return [
    operation({
      op: 'ceremony: a share of a polynomial',
      claim: 'varies',
      why: CEREMONY,
      make: (seed) => [1, 2, 3].map((i) => reduceWide(seededFrom(seed)(64 * i).subarray(64 * (i - 1)))),
      run: (polynomial) => evaluate(polynomial, 4n),
    }),
    operation({
      op: 'ceremony: commit to a coefficient in GT',
      claim: 'varies',
      why: CEREMONY,
      make: reduceWide,
      run: (a) => group.powGT(group.gt, a),
    }),
  ];
}

export async function controls(group: Group): Promise<SecretOperation[]> {
  const noble = await openGroup('noble');
  const hot = group.hashToG1(utf8('control'));
  group.prepare(hot);
  const zeros = new Uint8Array(4096);
  return [
    operation({
      op: 'the reference backend: multiply in G1',
      claim: 'varies',
      why: 'noble, bigint: for tests and as a fallback; an authority does not run on it',
      make: scalar,
      run: (k) => noble.mulSecretG1(noble.g1, k),
    }),
    operation({
      op: 'control: multiply in G1 for public scalars',
      claim: 'control',
      why: 'reads the entries that the scalar names',
      make: reduceWide,
      run: (k) => group.mulG1(hot, k),
    }),
    operation({
      op: 'control: compare public bytes',
      claim: 'control',
      why: 'ends at the first that differs',
      make: (seed) => new Uint8Array(4096).fill(seed[0]),
      fixed: () => zeros.slice(),
      run: (bytes) => equalBytes(bytes, zeros),
    }),
  ];
}
