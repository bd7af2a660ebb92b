/**
 * CP-ABE under an AND of n attributes, CCA on both sides, beside CIRCL's tkn20 (Go with assembly) in the same run.
 * Keys and policies are parsed before the clock starts; a decryption parses its header. Attribute hashes are warm,
 * as in a running node, except in `encrypt-cold`, where every attribute is new. One thread.
 *
 * `keygen` is the scheme's KeyGen with tables; `keygen-ct` is what an authority runs: constant-time multiplications.
 * `part-verify` checks one authority's part by itself, `combine` is the client's side of a key request: three of four
 * parts into a checked key. `gate-serve` is an authority's part for one opening, `gate-check` the client's check of it;
 * a gate does not depend on the policy, so both stand under n = 1. `bytes` is the size of what each makes or reads: a
 * key, a header, a part, the parts that were combined, a gate part.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  addKeyParts,
  attributeLeaves,
  type BackendName,
  combineKey,
  dealAuthorities,
  emptyKeyRing,
  encodePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  issueKeyPart,
  makeRegistry,
  openAuthority,
  openGroup,
  openHeader,
  parseAttribute,
  parsePolicy,
  sealHeader,
  verifyGate,
  verifyPart,
} from '../src/abe/index.ts';
import { keyGenRaw, reduceWide, scalarToBytes } from '../src/abe/internal.ts';
import { percentiles, round } from './harness/row.ts';

/** One measurement. `n` is the number of attributes, `bytes` the size of the key or ciphertext. */
export interface Row {
  readonly suite: 'abe';
  readonly op: string;
  readonly n: number;
  readonly backend: BackendName | 'circl';
  readonly p50_ms: number;
  readonly p95_ms: number;
  /** Processor time of a run on average, all threads of the process: what a busy machine stretches least. */
  readonly cpu_ms: number;
  readonly runs: number;
  readonly bytes: number;
  /** What a gate adds to a header: its row and what binds it. */
  readonly gate_bytes?: number;
}

export interface AbeBenchOptions {
  /** Less time for each row. */
  readonly quick?: boolean;
  /** Numbers of attributes; 1, 5, 10, 20, 50, 100 unless told. */
  readonly sizes?: readonly number[];
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

const REGISTRY = makeRegistry([{ label: 'a', type: 'text' }]);
const RUNS_MIN = { mcl: 5, noble: 3 } as const;
const WARM_UPS = 30;
const random = (n: number): Uint8Array => new Uint8Array(randomBytes(n));

/** All rows: ours over both backends, and CIRCL's where Go is installed. */
export async function runAbeBench(options: AbeBenchOptions = {}): Promise<Row[]> {
  const sizes = options.sizes ?? [1, 5, 10, 20, 50, 100];
  const budgetMs = options.quick ? 150 : 1000;
  const log = options.log ?? (() => {});
  const rows: Row[] = [];
  const add = (measured: readonly Row[]): void => {
    rows.push(...measured);
    for (const { backend, op, n, p50_ms } of measured) log(`${backend} n=${n}: ${op} ${p50_ms} ms`);
  };
  const [mcl, noble] = [await openGroup('mcl'), await openGroup('noble')];
  const circl = buildCircl(log);
  try {
    // The two that are compared take turns, so that a busy machine is busy for both.
    for (const n of sizes) {
      add(measureScheme(mcl, n, budgetMs));
      if (circl !== undefined) add(runCircl(circl.program, n, budgetMs));
    }
  } finally {
    circl?.remove();
  }
  // The reference is there for the ratio; a few runs of it take as long as all of ours.
  for (const n of sizes) add(measureScheme(noble, n, budgetMs / 5));
  return rows;
}

/** Repeats `run` until the budget is spent. `run` answers the size of what it made. */
function measure(
  row: { readonly op: string; readonly n: number; readonly backend: BackendName },
  budgetMs: number,
  run: () => number,
): Row {
  let bytes = run();
  // Hot attributes get their tables after 24 uses; noble gains nothing and would take minutes.
  if (row.backend === 'mcl') for (let i = 1; i < WARM_UPS; i++) bytes = run();
  const times: number[] = [];
  const before = process.cpuUsage();
  const begin = performance.now();
  while (times.length < RUNS_MIN[row.backend] || performance.now() - begin < budgetMs) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
  const { user, system } = process.cpuUsage(before);
  const cpu_ms = round((user + system) / 1000 / times.length);
  return { suite: 'abe', ...row, ...percentiles(times), cpu_ms, runs: times.length, bytes };
}

function measureScheme(group: Group, n: number, budgetMs: number): Row[] {
  const { keys, shares } = dealAuthorities({ group, n: 4, t: 3, random });
  const { mpk } = keys;
  const authorities = shares.map((share) => openAuthority(group, share));
  const names = Array.from({ length: n }, (_, i) => `h/a:v${i}`);
  const leaves = attributeLeaves(names.map(parseAttribute), REGISTRY);
  const policy = parsePolicy(names.join(' and '));
  const keyId = random(32);
  const seal = {
    group,
    mpk,
    recordId: random(32),
    version: 1,
    policy,
    registry: REGISTRY,
    dataKey: random(32),
    random,
  };
  const offline = { ...seal, gate: 'none', emergency: false } as const;
  const parts = authorities.map((authority) => issueKeyPart(authority, { keyId, generation: 1, leaves }));
  const ring = addKeyParts(emptyKeyRing(keys, keyId, 1), parts);
  const { key } = combineKey({ group, keys, ring, random });
  const header = sealHeader(offline);
  const expected = {
    recordId: seal.recordId,
    version: 1,
    policyBytes: encodePolicy(policy),
    gate: 'none',
  } as const;
  const open = (verify?: 'full'): number => {
    openHeader({ group, mpk, key, header, registry: REGISTRY, expected, ...(verify && { verify }) });
    return header.length;
  };
  const g1Alpha = group.mulSecretG1(group.g1, scalarToBytes(reduceWide(random(64))));
  const row = (op: string) => ({ op, n, backend: group.backend });
  const keygen = (): number => {
    const made = keyGenRaw(group, g1Alpha, reduceWide(random(64)), leaves);
    let bytes = group.encodeG1(made.k1).length + group.encodeG2(made.k3).length;
    for (const point of made.leaves.values()) bytes += group.encodeG1(point).length;
    return bytes;
  };
  const { length: gated } = sealHeader({ ...offline, gate: 'record' });
  let records = 0;
  const serveGate = (): Uint8Array => {
    const leaf = gateLeaf(seal.recordId, records++);
    return extendKeyPart(authorities[0], { keyId, generation: 1, leaves: [leaf] });
  };
  const gate = gateLeaf(seal.recordId, 1);
  const gateRing = addKeyParts(ring, [
    extendKeyPart(authorities[0], { keyId, generation: 1, leaves: [gate] }),
  ]);
  let fresh = 0;
  const coldSeal = (): number => {
    const cold = names.map((name) => `${name}-${group.backend}-${fresh}`).join(' and ');
    fresh += 1;
    return sealHeader({ ...offline, policy: parsePolicy(cold) }).length;
  };
  return [
    measure(row('keygen'), budgetMs, keygen),
    measure(
      row('keygen-ct'),
      budgetMs,
      () => issueKeyPart(authorities[0], { keyId, generation: 1, leaves }).length,
    ),
    {
      ...measure(row('encrypt'), budgetMs, () => sealHeader(offline).length),
      gate_bytes: gated - header.length,
    },
    measure(row('encrypt-cold'), budgetMs, coldSeal),
    measure(row('decrypt'), budgetMs, () => open()),
    measure(row('decrypt-full'), budgetMs, () => open('full')),
    measure(row('part-verify'), budgetMs, () => {
      if (!verifyPart({ group, keys, ring, random }, 1)) throw new Error('a good part');
      return parts[0].length;
    }),
    measure(row('combine'), budgetMs, () => {
      const { quorum } = combineKey({ group, keys, ring, random });
      return quorum.reduce((sum, point) => sum + parts[point - 1].length, 0);
    }),
    ...(n > 1
      ? []
      : [
          measure(row('gate-serve'), budgetMs, () => serveGate().length),
          measure(row('gate-check'), budgetMs, () => {
            if (!verifyGate(group, gateRing, 1, gate)) throw new Error('a good gate');
            return gate.length;
          }),
        ]),
  ];
}

/** Compiles the peer into a temporary folder; undefined, with a line in the log, where that fails. */
function buildCircl(log: (line: string) => void): { program: string; remove: () => void } | undefined {
  const source = fileURLToPath(new URL('./peers/circl', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'circl-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const program = join(folder, 'circl');
  const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: source, encoding: 'utf8' });
  if (built.status === 0) return { program, remove };
  remove();
  log(`CIRCL is left out: go build failed (${built.error?.message ?? built.stderr.trim()})`);
  return undefined;
}

/** CIRCL's rows for one size; throws when its program fails. */
function runCircl(program: string, n: number, budgetMs: number): Row[] {
  const ran = spawnSync(program, ['-n', String(n), '-budget', `${budgetMs}ms`], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`CIRCL failed: ${ran.stderr.trim()}`);
  const { rows } = JSON.parse(ran.stdout) as { rows: Row[] };
  return rows;
}
