/**
 * The game of the security argument, in the generic group model: everything an adversary holds after corrupting
 * some authorities and talking to the others, as polynomials, and the question whether the session key of a header
 * is a linear combination of it. Rows come from the production compiler, leaves from the production encoding.
 *
 * G1: 1, b, x_u, alpha_i + b r, x_u r, rows b lambda + x s'.  G2: 1, r, s, s'.  GT: shares, all products. Target: alpha s.
 * A leaf that stands in no header is left out: setting its x_u to 0 maps a combination to a combination.
 *
 * What it covers: algebra over the elements that the protocol hands out. Not: the hash function, the group, timing.
 */
import {
  type Attribute,
  attributeLeaves,
  type CompiledPolicy,
  compilePolicy,
  type Entry,
  emergencyLeaf,
  evaluatePolicy,
  gateLeaf,
  type Policy,
  type RecordVersion,
  type Registry,
  type ShareNode,
} from '../../../src/abe/policy/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { add, constant, invert, multiply, ONE, type Polynomial, scale, Variables } from './polynomial.ts';
import { isInSpan } from './span.ts';

export interface HeaderCase {
  readonly policy: Policy;
  readonly gate?: RecordVersion;
  readonly emergency?: RecordVersion;
}

/** What one honest authority has raised for one generation of one key, up to the end of the game. */
export interface Part {
  readonly authority: number;
  readonly keyId: string;
  readonly generation: number;
  /** Index of the share epoch in which it was raised. */
  readonly epoch: number;
  readonly attributes: readonly Attribute[];
  readonly gates: readonly RecordVersion[];
  readonly emergencies: readonly RecordVersion[];
}

/**
 * Authorities are 1..n. One sharing of alpha for each epoch, of which the adversary knows the shares of `corrupt`. Parts
 * of corrupt authorities need not be listed: the adversary makes them itself.
 */
export interface World {
  readonly n: number;
  readonly t: number;
  readonly epochs: readonly { readonly corrupt: readonly number[] }[];
  readonly registry: Registry;
  readonly parts: readonly Part[];
  readonly headers: readonly HeaderCase[];
}

/** A mistake to plant, or an element to publish. */
export type Break =
  | 'generation missing in the PRF'
  | 'one r for all subjects'
  | 'one r at all authorities'
  | "one s' for repeats"
  | "s' shared by headers"
  | 'AND gives its secret to one child'
  | 'g2^v published'
  | 'H(b)^v published'
  | 'H(b)^r_i published'
  | 'a client names the point that is raised'
  | 'g1^alpha_i published'
  | 'g2^alpha_i published'
  | 'g1^r_i published'
  | 'an attribute hashes to H(b)'
  | 'H is a known multiple of g1'
  | 'one r in both share epochs'
  | 'seeds of old epochs are kept';

const isHonest = (world: World, part: Part): boolean =>
  !world.epochs[part.epoch].corrupt.includes(part.authority);

/**
 * The opening rule: in one epoch, corrupt authorities plus honest ones that each satisfied the header for some key
 * reach t. Evaluated on attributes, not on leaves.
 */
export function ruleOpens(world: World, header: HeaderCase): boolean {
  return world.epochs.some(({ corrupt }, epoch) => {
    const satisfied = new Set<number>();
    for (const part of world.parts) {
      if (part.epoch !== epoch || !isHonest(world, part)) continue;
      if (partSatisfies(world.registry, part, header)) satisfied.add(part.authority);
    }
    return corrupt.length + satisfied.size >= world.t;
  });
}

const has = (list: readonly RecordVersion[], wanted: RecordVersion): boolean =>
  list.some(
    ({ recordId, version }) => toHex(recordId) === toHex(wanted.recordId) && version === wanted.version,
  );

/** Whether what stands in `part` satisfies `header` by the meaning of its policy. */
export function partSatisfies(
  registry: Registry,
  part: Pick<Part, 'attributes' | 'gates' | 'emergencies'>,
  header: HeaderCase,
): boolean {
  const emergency = header.emergency !== undefined && has(part.emergencies, header.emergency);
  const hasGate = header.gate === undefined || has(part.gates, header.gate);
  return hasGate && evaluatePolicy(header.policy, part.attributes, registry, { emergency });
}

const leavesKept = new WeakMap<object, readonly string[]>();

/** The leaves of a part, as hexadecimal. */
export function leavesOfPart(
  registry: Registry,
  part: Pick<Part, 'attributes' | 'gates' | 'emergencies'>,
): readonly string[] {
  const kept = leavesKept.get(part);
  if (kept !== undefined) return kept;
  const leaves = [
    ...attributeLeaves(part.attributes, registry),
    ...part.gates.map(({ recordId, version }) => gateLeaf(recordId, version)),
    ...part.emergencies.map(({ recordId, version }) => emergencyLeaf(recordId, version)),
  ].map(toHex);
  leavesKept.set(part, leaves);
  return leaves;
}

/** Everything the adversary holds in each group, and the variables it is written in. */
export interface Knowledge {
  readonly variables: Variables;
  readonly g1: Polynomial[];
  readonly g2: Polynomial[];
  readonly gt: Polynomial[];
  /** The exponent of H(b). */
  readonly b: Polynomial;
  /** x_u of a leaf: the exponent of H(u). */
  readonly x: (leafHex: string) => Polynomial;
  readonly compiled: readonly CompiledPolicy[];
}

/** All elements of the game in `world`; `planted` is at most one mistake. */
export function knowledgeOf(world: World, planted?: Break): Knowledge {
  const variables = new Variables();
  const compiled = world.headers.map((header) => {
    const made = compilePolicy(header.policy, world.registry, header);
    return planted === 'AND gives its secret to one child' ? withBrokenAnd(made) : made;
  });
  const relevant = new Set(compiled.flatMap(({ rows }) => rows.map(({ leafHex }) => leafHex)));
  // The mistake of an encoding in which a text can be chosen to collide: the first leaf of the first header does.
  const collides = planted === 'an attribute hashes to H(b)' ? compiled[0].rows[0].leafHex : undefined;
  const isLog = planted === 'H is a known multiple of g1';
  const b = isLog ? constant(2n) : variables.of('b');
  const x = (leafHex: string): Polynomial => {
    if (leafHex === collides) return b;
    return isLog ? constant(BigInt(`0x${leafHex}`)) : variables.of(`x/${leafHex}`);
  };

  const g1: Polynomial[] = [ONE, b, ...[...relevant].map(x)];
  const g2: Polynomial[] = [ONE];
  const gt: Polynomial[] = [variables.of('alpha')];
  const shares = world.epochs.map((_, epoch) => sharing(world, epoch, variables));
  for (const share of shares) {
    for (let i = 1; i <= world.n; i++) {
      gt.push(share(i));
      if (planted === 'g1^alpha_i published') g1.push(share(i));
      if (planted === 'g2^alpha_i published') g2.push(share(i));
    }
  }
  const seen = new Set<string>();
  for (const part of world.parts) {
    if (!isHonest(world, part)) continue;
    const name = randomnessName(part, planted);
    // An authority that is corrupted later gives away what it still has: its r of every key of the old epoch.
    const isLeaked =
      planted === 'seeds of old epochs are kept' &&
      world.epochs.some(({ corrupt }, epoch) => epoch > part.epoch && corrupt.includes(part.authority));
    const r = isLeaked ? constant(BigInt(seen.size + 3)) : variables.of(name);
    // Under a planted mistake one r serves several parts, with the same alpha_i or another.
    const blinded = `${name}/${part.authority}/${part.epoch}`;
    if (!seen.has(blinded)) g1.push(add(shares[part.epoch](part.authority), multiply(b, r)));
    if (!seen.has(name)) g2.push(r);
    if (planted === 'g1^r_i published' && !seen.has(name)) g1.push(r);
    if (planted === 'H(b)^r_i published' && !seen.has(name)) g1.push(multiply(b, r));
    // The authority cannot tell what it raises, so any leaf will do.
    if (planted === 'a client names the point that is raised' && !seen.has(name))
      g1.push(...[...relevant].map((leaf) => multiply(x(leaf), r)));
    seen.add(name).add(blinded);
    for (const leaf of leavesOfPart(world.registry, part)) {
      if (relevant.has(leaf) && !seen.has(`${name}#${leaf}`)) g1.push(multiply(x(leaf), r));
      seen.add(`${name}#${leaf}`);
    }
  }
  compiled.forEach((policy, h) => {
    const column = (c: number): Polynomial => variables.of(c === 0 ? `s/${h}` : `v/${h}/${c}`);
    const repeat = (rho: number): Polynomial => {
      if (planted === "one s' for repeats") return variables.of(`s'/${h}/1`);
      return variables.of(planted === "s' shared by headers" ? `s'/${rho}` : `s'/${h}/${rho}`);
    };
    g2.push(column(0));
    for (let rho = 1; rho <= policy.tau; rho++) g2.push(repeat(rho));
    if (planted === 'H(b)^v published')
      for (let c = 1; c < policy.columns; c++) g1.push(multiply(b, column(c)));
    if (planted === 'g2^v published') for (let c = 1; c < policy.columns; c++) g2.push(column(c));
    for (const { leafHex, entries, rho } of policy.rows) {
      const lambda = add(...entries.map((entry) => scale(column(entry.column), entry.value)));
      g1.push(add(multiply(b, lambda), multiply(x(leafHex), repeat(rho))));
    }
  });
  return { variables, b, x, g1, g2, gt, compiled };
}

/** What authority and key an r belongs to: r is drawn anew for each name. */
function randomnessName(part: Part, planted: Break | undefined): string {
  const { authority, keyId, generation, epoch } = part;
  switch (planted) {
    case 'generation missing in the PRF':
      return `r/${epoch}/${authority}/${keyId}`;
    case 'one r for all subjects':
      return `r/${epoch}/${authority}//${generation}`;
    case 'one r at all authorities':
      return `r/${epoch}//${keyId}/${generation}`;
    case 'one r in both share epochs':
      return `r//${authority}/${keyId}/${generation}`;
    default:
      return `r/${epoch}/${authority}/${keyId}/${generation}`;
  }
}

/**
 * alpha_i for each authority in an epoch: the polynomial of degree t - 1 through alpha at 0, known constants at the
 * corrupt points and free variables at as many honest ones as are needed.
 */
function sharing(world: World, epoch: number, variables: Variables): (authority: number) => Polynomial {
  const nodes = new Map<number, Polynomial>([[0, variables.of('alpha')]]);
  for (const i of world.epochs[epoch].corrupt)
    nodes.set(i, constant(BigInt(i + 100 * epoch) * 0x9e3779b97f4a7c15n));
  for (let i = 1; nodes.size < world.t; i++)
    if (!nodes.has(i)) nodes.set(i, variables.of(`alpha/${epoch}/${i}`));
  const shares = new Map(nodes);
  for (let i = 1; i <= world.n; i++) {
    if (shares.has(i)) continue;
    const terms = [...nodes].map(([node, value]) => {
      let above = 1n;
      let below = 1n;
      for (const other of nodes.keys()) {
        if (other === node) continue;
        above *= BigInt(i - other);
        below *= BigInt(node - other);
      }
      return scale(value, above * invert(below));
    });
    shares.set(i, add(...terms));
  }
  return (authority) => {
    const known = shares.get(authority);
    if (known === undefined) throw new RangeError(`no authority ${authority}`);
    return known;
  };
}

/** Whether the session key of header `h` is in the span of what the adversary holds. */
export function spanOpens(world: World, h: number, planted?: Break): boolean {
  const { variables, g1, g2, gt } = knowledgeOf(world, planted);
  const target = multiply(variables.of('alpha'), variables.of(`s/${h}`));
  return isInSpan(target, [...gt, ...products(g1, g2)]);
}

export function products(g1: readonly Polynomial[], g2: readonly Polynomial[]): Polynomial[] {
  return g1.flatMap((left) => g2.map((right) => multiply(left, right)));
}

/** The matrix of a compiler whose AND gives the whole share to its first member and nothing to the others. */
function withBrokenAnd(compiled: CompiledPolicy): CompiledPolicy {
  const rows = [...compiled.rows];
  let columns = 1;
  const share = (node: ShareNode, entries: readonly Entry[]): void => {
    if (node.kind === 'row') {
      rows[node.index] = { ...rows[node.index], entries };
      return;
    }
    const { k, of } = node;
    if (k === of.length) {
      of.forEach((member, i) => {
        share(member, i === 0 ? entries : []);
      });
      return;
    }
    const first = columns;
    columns += k - 1;
    of.forEach((member, i) => {
      const point = BigInt(i + 1);
      const added = Array.from({ length: k - 1 }, (_, j) => ({
        column: first + j,
        value: point ** BigInt(j + 1),
      }));
      share(member, [...entries, ...added]);
    });
  };
  share(compiled.tree, [{ column: 0, value: 1n }]);
  return { ...compiled, rows, columns };
}
