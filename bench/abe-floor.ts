/**
 * What a decryption is made of: each of its steps by itself, on the header and key of one decryption, beside the
 * whole. The steps are the same calls that `openHeader` makes; Miller loops and final exponentiation are told apart on
 * a WebAssembly module of this file's own. The sum of the steps and the whole differ by what calls cost each other.
 */
import { randomBytes } from 'node:crypto';
import { instantiateMcl, MCL_G1_BYTES, MCL_G2_BYTES } from '../src/abe/group/mcl-module.ts';
import {
  addKeyParts,
  attributeLeaves,
  combineKey,
  dealAuthorities,
  decodeHeader,
  decodePolicy,
  emptyKeyRing,
  encodePolicy,
  type G1,
  type G2,
  heldLeaves,
  issueKeyPart,
  makeRegistry,
  openAuthority,
  openGroup,
  openHeader,
  parseAttribute,
  parsePolicy,
  reconstruct,
  sealHeader,
} from '../src/abe/index.ts';
import {
  compileHeader,
  contextHash,
  decryptionSums,
  decryptRaw,
  deriveExponents,
  deriveKek,
  maskWithH1,
  unwrapDataKey,
} from '../src/abe/internal.ts';
import { constantTimeEqual } from '../src/codec/bytes.ts';
import { percentiles, quantile, type Row, round } from './harness/row.ts';

export interface AbeFloorOptions {
  readonly quick?: boolean;
  readonly log?: (line: string) => void;
}

const SIZES = [1, 10, 100] as const;
const WARM_UPS = 30;
const RUNS_MIN = 20;
const REGISTRY = makeRegistry([{ label: 'a', type: 'text' }]);
const random = (n: number): Uint8Array => new Uint8Array(randomBytes(n));

/** For each size the steps of a decryption, their sum, and the whole. Steps take turns, so that load falls on all alike. */
export async function runAbeFloorBench({
  quick = false,
  log = () => {},
}: AbeFloorOptions = {}): Promise<Row[]> {
  const rows: Row[] = [];
  for (const n of SIZES) {
    const steps = await stepsOf(n);
    const times = steps.map((): number[] => []);
    const budgetMs = quick ? 400 : 2500;
    const begin = performance.now();
    for (let run = -WARM_UPS; run < RUNS_MIN || performance.now() - begin < budgetMs; run++) {
      steps.forEach((step, i) => {
        const start = performance.now();
        step.run();
        if (run >= 0) times[i].push(performance.now() - start);
      });
    }
    const measured = steps.map(({ name }, i) => ({ name, ...percentiles(times[i]), p05_ms: low(times[i]) }));
    const whole = measured[measured.length - 1];
    const parts = measured.slice(0, -1);
    const total = (key: 'p50_ms' | 'p05_ms'): number =>
      round(parts.reduce((sum, part) => sum + part[key], 0));
    const sum = { name: 'all steps', p50_ms: total('p50_ms'), p95_ms: whole.p95_ms, p05_ms: total('p05_ms') };
    for (const { name, ...figures } of [...parts, sum]) {
      // Shares of the fast runs: what else the machine does lies in the slow ones.
      const share = round(figures.p05_ms / whole.p05_ms);
      rows.push({
        suite: 'abe',
        op: `in decrypt: ${name}`,
        n,
        backend: 'mcl',
        ...figures,
        runs: times[0].length,
        share,
      });
    }
    log(`n=${n}: steps ${sum.p50_ms} ms, decrypt ${whole.p50_ms} ms`);
  }
  return rows;
}

const low = (times: readonly number[]): number => round(quantile(times, 0.05));

interface Step {
  readonly name: string;
  readonly run: () => unknown;
}

/** The steps in their order, and last the whole. */
async function stepsOf(n: number): Promise<readonly Step[]> {
  const group = await openGroup('mcl');
  const { keys, shares } = dealAuthorities({ group, n: 1, t: 1, random });
  const { mpk } = keys;
  const names = Array.from({ length: n }, (_, i) => `h/a:v${i}`);
  const leaves = attributeLeaves(names.map(parseAttribute), REGISTRY);
  const policy = parsePolicy(names.join(' and '));
  const keyId = random(32);
  const part = issueKeyPart(openAuthority(group, shares[0]), { keyId, generation: 1, leaves });
  const ring = addKeyParts(emptyKeyRing(keys, keyId, 1), [part]);
  const { key } = combineKey({ group, keys, ring, random });
  const sealed = sealHeader({
    group,
    mpk,
    recordId: random(32),
    version: 1,
    policy,
    registry: REGISTRY,
    gate: 'none',
    emergency: false,
    dataKey: random(32),
    random,
  });
  const header = decodeHeader(sealed);
  const expected = {
    recordId: header.recordId,
    version: 1,
    policyBytes: encodePolicy(policy),
    gate: 'none',
  } as const;

  const compiled = compileHeader(policy, REGISTRY, header);
  const choose = () =>
    reconstruct(compileHeader(decodePolicy(header.policyBytes), REGISTRY, header), heldLeaves(key));
  const used = choose()?.rows ?? [];
  const points2 = (): G2[] => [header.c1, header.c2].map((bytes) => group.decodeG2(bytes, 'curve'));
  const rowsOf = (): G1[] =>
    used.map(({ index }) => group.decodeG1(header.c3.subarray(48 * index, 48 * index + 48), 'curve'));
  const [c1, c2] = points2();
  const rows = rowsOf();
  const sum = () => {
    const sums = decryptionSums(group, compiled, used, key.leaves, (i) => rows[i]);
    if (sums === undefined) throw new Error('the key has every leaf');
    return sums;
  };
  const sums = sum();
  const pair = () => decryptRaw(group, key, sums, c1, () => c2);
  const value = pair();
  const K = group.encodeGT(value);
  const m = maskWithH1(header.w, K);
  const context = { mpk, ...header };
  const exponents = () =>
    deriveExponents(maskWithH1(header.w, group.encodeGT(value)), contextHash(context), 1);
  const [s, sPrime] = exponents();
  const { loops, final } = await pairingSteps([
    [key.k1, c1],
    [sums.keySums[0].sum, c2],
    [group.negG1(sums.rowSum), key.k3],
  ]);
  return [
    { name: 'read the header, compile the policy, choose rows', run: () => [decodeHeader(sealed), choose()] },
    { name: 'decompress c1 and c2', run: points2 },
    { name: `decompress the rows in use`, run: rowsOf },
    { name: 'sums of rows and key elements', run: sum },
    { name: '3 Miller loops', run: loops },
    { name: 'final exponentiation', run: final },
    { name: 'H1 and exponents from m', run: exponents },
    {
      name: 'check c1 and c2: two powers of g2',
      run: () => [s, sPrime].map((k) => group.encodeG2(group.mulG2(group.g2, k))),
    },
    {
      name: 'check K: one power of E',
      run: () => constantTimeEqual(group.encodeGT(group.powGT(mpk.E, s)), K),
    },
    {
      name: 'H2 and unwrapping',
      run: () => unwrapDataKey(deriveKek(K, m, header.core), header.core, header.commitment, header.wrapped),
    },
    {
      name: 'whole',
      run: () => openHeader({ group, mpk, key, header: sealed, registry: REGISTRY, expected }),
    },
  ];
}

/** Miller loops of `pairs` and the final exponentiation of their product, on a module where they can be called apart. */
async function pairingSteps(
  pairs: readonly (readonly [G1, G2])[],
): Promise<{ loops: () => void; final: () => void }> {
  const mcl = await instantiateMcl();
  const group = await openGroup('mcl');
  const [out, lines, g1At, g2At] = [576, 576, 3 * MCL_G1_BYTES, 3 * MCL_G2_BYTES].map((bytes) =>
    mcl._malloc(bytes),
  );
  const bytesAt = mcl._malloc(96);
  pairs.forEach(([p, q], i) => {
    mcl.HEAP8.set(group.encodeG1(p), bytesAt);
    mcl._mclBnG1_deserialize(g1At + i * MCL_G1_BYTES, bytesAt, 48);
    mcl.HEAP8.set(group.encodeG2(q), bytesAt);
    mcl._mclBnG2_deserialize(g2At + i * MCL_G2_BYTES, bytesAt, 96);
  });
  return {
    loops: () => void mcl._mclBn_millerLoopVec(lines, g1At, g2At, pairs.length),
    final: () => void mcl._mclBn_finalExp(out, lines),
  };
}
