/**
 * A seeded fuzzer over everything that reads bytes from outside: headers, keys, parts, rings, shares, policies,
 * ceremony messages, payloads. Each case mutates valid bytes (or invents some) and feeds them to the public door;
 * allowed are success and a typed error. A success where the bytes differ from what was sealed is a finding too.
 */
import {
  addKeyParts,
  attributeLeaves,
  canOpen,
  combineKey,
  decodeAuthorityKeys,
  decodeAuthorityShare,
  decodeKeyRing,
  decodeMpk,
  decodePart,
  decodePolicy,
  emptyKeyRing,
  encodeAuthorityKeys,
  encodeAuthorityShare,
  encodeKeyRing,
  encodeMpk,
  encodePolicy,
  type Group,
  gateLeaf,
  heldLeaves,
  inspectHeader,
  issueKeyPart,
  openHeader,
  openPayloadBytes,
  parseAttribute,
  parsePolicy,
  printPolicy,
  sealHeader,
  sealPayloadBytes,
  startDkg,
  stepDkg,
} from '../../../src/abe/index.ts';
import { concat, equalBytes } from '../../../src/codec/bytes.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { consortium, id, issueRing, keyOf, REGISTRY, seeded } from '../fixtures.ts';

export interface FuzzOptions {
  readonly group: Group;
  readonly seed: string;
  /** Cases for a target of share 1; the shares of the ten targets add up to 10. */
  readonly cases: number;
  /** Called before each case, so that whoever watches knows which one hangs. */
  readonly onCase?: (target: string, index: number) => void;
  /** One target alone, to repeat what was found in it. */
  readonly only?: string;
}

export interface FuzzReport {
  readonly cases: number;
  /** Error codes by how often they were thrown. */
  readonly codes: Readonly<Record<string, number>>;
  /** `target, case: what` for everything that is neither success nor a typed error. */
  readonly findings: readonly string[];
  /** Milliseconds of the slowest case. */
  readonly slowestMs: number;
  /** Resident memory after each target over that after the first, bytes. */
  readonly growth: readonly number[];
  /** Milliseconds spent on each target. */
  readonly targetMs: Readonly<Record<string, number>>;
}

/** Draws below 2^32 from a seed. */
function dice(seed: string): (below: number) => number {
  const random = seeded(seed);
  return (below) => {
    const [a, b, c, d] = random(4);
    return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) % below;
  };
}

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xbf, 0xc0, 0xff, 0x18, 0x1b, 0x5f, 0x9f, 0xf6, 0xf7];

/** One to four damages: bits, bytes, cuts, insertions, repeats, swaps of equal pieces, other donors. */
function mutate(bytes: Uint8Array, donor: Uint8Array, roll: (below: number) => number): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let i = 1 + roll(4); i > 0; i--) {
    const at = roll(out.length + 1);
    const length = 1 + roll(Math.min(100, out.length + 1));
    switch (roll(8)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << roll(8);
        break;
      case 1:
        if (at < out.length) out[at] = INTERESTING[roll(INTERESTING.length)];
        break;
      case 2:
        out = out.slice(0, at);
        break;
      case 3:
        out = concat(out.subarray(0, at), out.subarray(at + length));
        break;
      case 4:
        out = concat(out.subarray(0, at), out.subarray(at, at + length), out.subarray(at));
        break;
      case 5: {
        const from = roll(donor.length + 1);
        const piece = donor.subarray(from, from + length);
        if (at + piece.length <= out.length) out.set(piece, at);
        break;
      }
      case 6:
        out = concat(out, donor.subarray(0, length));
        break;
      default: {
        const other = roll(out.length + 1);
        const [a, b] = [out.slice(at, at + length), out.slice(other, other + length)];
        if (a.length === b.length) {
          out.set(b, at);
          out.set(a, other);
        }
      }
    }
  }
  return out;
}

interface Target {
  readonly name: string;
  /** More cases where a case is cheap, fewer where it is pairings: a part that is checked costs fifty policies. */
  readonly share: number;
  readonly valid: readonly Uint8Array[];
  /** Throws a CodedError, or answers what is wrong with having accepted `bytes`, or undefined. */
  readonly feed: (bytes: Uint8Array) => string | undefined;
}

function targets(group: Group): Target[] {
  const all = consortium(group, 4, 3, 'fuzz');
  const recordId = id('fuzz record');
  const dataKey = id('fuzz data key');
  const leaves = attributeLeaves(
    ['h/role:doctor', 'h/ward:icu', 'h/clearance:2'].map(parseAttribute),
    REGISTRY,
  );
  const ring = issueRing(all, [...leaves, gateLeaf(recordId, 1)]);
  const key = keyOf(all, ring);
  const texts = [
    'h/role:doctor',
    'h/role:doctor and (h/ward:icu or h/clearance >= 2)',
    '2 of (h/ward:a, h/ward:icu, h/role:doctor)',
  ];
  const policies = texts.map(parsePolicy);
  const headers = policies.map((policy) =>
    sealHeader({
      group,
      mpk: all.keys.mpk,
      recordId,
      version: 1,
      policy,
      registry: REGISTRY,
      gate: 'record',
      emergency: true,
      dataKey,
      random: seeded('fuzz m'),
    }),
  );
  const request = { keyId: ring.keyId, generation: 1, leaves };
  const parts = all.authorities.map((authority) => issueKeyPart(authority, request));
  const name = { recordId, payloadId: id('fuzz payload').subarray(0, 16) };
  const payload = sealPayloadBytes(
    dataKey,
    { ...name, random: seeded('fuzz nonce') },
    seeded('text')(70_000),
  );
  const dkg = startDkg({ group, session: id('fuzz session'), n: 4, t: 3, me: 1 }, seeded('fuzz dkg'));
  const dkgMessages = dkg.effects.flatMap((effect) => (effect.kind === 'broadcast' ? [effect.bytes] : []));
  const same = (bytes: Uint8Array, again: Uint8Array): string | undefined =>
    equalBytes(bytes, again) ? undefined : 'accepted bytes that are not canonical';
  return [
    {
      name: 'header',
      share: 1,
      valid: headers,
      feed: (bytes) => {
        const { policyBytes } = inspectHeader(bytes);
        canOpen(bytes, REGISTRY, heldLeaves(key));
        // The ledger vouches for the header that it knows; here it vouches for whatever came.
        const expected = { recordId, version: 1, policyBytes };
        const opened = openHeader({
          group,
          mpk: all.keys.mpk,
          key,
          header: bytes,
          registry: REGISTRY,
          expected,
        });
        if (!equalBytes(opened, dataKey)) return 'opened to another data key';
        return headers.some((header) => equalBytes(header, bytes)) ? undefined : 'a changed header opened';
      },
    },
    {
      name: 'part',
      share: 0.2,
      valid: parts,
      feed: (bytes) => {
        const part = decodePart(bytes);
        const grown = addKeyParts(emptyKeyRing(all.keys, ring.keyId, 1), [bytes, ...parts.slice(0, 3)]);
        combineKey({ group, keys: all.keys, ring: grown, random: seeded('fuzz check') });
        return part.leaves.length > 8192 ? 'too many leaves' : undefined;
      },
    },
    {
      name: 'ring',
      share: 0.5,
      valid: [encodeKeyRing(ring)],
      feed: (bytes) => same(bytes, encodeKeyRing(decodeKeyRing(bytes))),
    },
    {
      name: 'mpk',
      share: 0.3,
      valid: [encodeMpk(all.keys.mpk)],
      feed: (bytes) => same(bytes, encodeMpk(decodeMpk(group, bytes))),
    },
    {
      name: 'authority keys',
      share: 0.15,
      valid: [encodeAuthorityKeys(group, all.keys)],
      feed: (bytes) => same(bytes, encodeAuthorityKeys(group, decodeAuthorityKeys(group, bytes))),
    },
    {
      name: 'share',
      share: 2,
      valid: all.authorities.map(({ share }) => encodeAuthorityShare(share)),
      feed: (bytes) => same(bytes, encodeAuthorityShare(decodeAuthorityShare(bytes))),
    },
    {
      name: 'policy',
      share: 2.5,
      valid: policies.map(encodePolicy),
      feed: (bytes) => same(bytes, encodePolicy(decodePolicy(bytes))),
    },
    {
      name: 'policy text',
      share: 2.5,
      valid: texts.map((text) => new TextEncoder().encode(text)),
      feed: (bytes) => {
        const policy = parsePolicy(new TextDecoder().decode(bytes));
        return same(encodePolicy(policy), encodePolicy(parsePolicy(printPolicy(policy))));
      },
    },
    {
      name: 'ceremony',
      share: 0.6,
      valid: dkgMessages,
      feed: (bytes) => {
        const { state } = stepDkg(dkg.state, { kind: 'broadcast', from: 2, bytes });
        stepDkg(state, { kind: 'private', from: 2, bytes });
        return undefined;
      },
    },
    {
      name: 'payload',
      share: 0.25,
      valid: [payload],
      feed: (bytes) => {
        openPayloadBytes(dataKey, name, bytes);
        return equalBytes(bytes, payload) ? undefined : 'a changed payload opened';
      },
    },
  ];
}

/** Runs all targets. The same seed and number give the same cases. */
export function fuzzAbe({ group, seed, cases, onCase = () => {}, only }: FuzzOptions): FuzzReport {
  const codes: Record<string, number> = {};
  const findings: string[] = [];
  let slowestMs = 0;
  let count = 0;
  const all = targets(group);
  const resident: number[] = [];
  const targetMs: Record<string, number> = {};
  for (const { name, share, valid, feed } of all) {
    if (only !== undefined && name !== only) continue;
    const from = performance.now();
    const roll = dice(`${seed}/${name}`);
    for (let i = 0; i < Math.ceil(share * cases); i++) {
      const base = valid[roll(valid.length)];
      const donors = all[roll(all.length)].valid;
      const bytes = i === 0 ? base : mutate(base, donors[roll(donors.length)], roll);
      onCase(name, i);
      const begin = performance.now();
      try {
        const finding = feed(bytes);
        if (finding !== undefined) findings.push(`${name}, ${i}: ${finding}`);
        codes.accepted = (codes.accepted ?? 0) + 1;
      } catch (error) {
        if (error instanceof CodedError) codes[error.code] = (codes[error.code] ?? 0) + 1;
        else findings.push(`${name}, ${i}: ${error instanceof Error ? error.stack : String(error)}`);
      }
      slowestMs = Math.max(slowestMs, performance.now() - begin);
      count++;
    }
    targetMs[name] = performance.now() - from;
    globalThis.gc?.();
    resident.push(process.memoryUsage().rss);
  }
  const growth = resident.map((bytes) => bytes - resident[0]);
  return { cases: count, codes, findings, slowestMs, growth, targetMs };
}
