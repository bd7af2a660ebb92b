/** Every format of src/abe once, from fixed randomness: what test/golden/abe/suite1.json keeps. */
import { dealingHash, drawPolynomial, encodeDealing, subShare } from '../../../src/abe/dkg/dealing.ts';
import { encodeDkg } from '../../../src/abe/dkg/messages.ts';
import {
  addKeyParts,
  attributeLeaves,
  combineKey,
  dataKeyCommitment,
  dealAuthorities,
  emptyKeyRing,
  encodeAuthorityKeys,
  encodeAuthorityShare,
  encodeKeyRing,
  encodeMpk,
  encodePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  headerHash,
  issueKeyPart,
  openAuthority,
  openHeader,
  openPayloadBytes,
  parseAttribute,
  parsePolicy,
  sealHeader,
  sealPayloadBytes,
} from '../../../src/abe/index.ts';
import { toHex, utf8 } from '../../../src/codec/bytes.ts';
import { id, REGISTRY, seeded } from '../fixtures.ts';

const recordId = id('golden record');
const payloadId = id('golden payload').subarray(0, 16);
const dataKey = id('golden data key');
const keyId = id('golden key');
const POLICY = 'mercy/role:doctor and (mercy/ward:icu or mercy/clearance >= 3)';

/** Hexadecimal by the name that docs/format/abe.md uses. Throws when what was sealed does not open. */
export function scene(group: Group): Record<string, string> {
  const { keys, shares } = dealAuthorities({ group, n: 3, t: 2, random: seeded('golden dealer') });
  const authorities = shares.map((share) => openAuthority(group, share));
  const leaves = attributeLeaves(['mercy/role:doctor', 'mercy/ward:icu'].map(parseAttribute), REGISTRY);
  const request = { keyId, generation: 1 };
  const parts = authorities.map((authority) => issueKeyPart(authority, { ...request, leaves }));
  const gates = authorities.map((authority) =>
    extendKeyPart(authority, { ...request, leaves: [gateLeaf(recordId, 1)] }),
  );
  const policy = parsePolicy(POLICY);
  const seal = {
    group,
    mpk: keys.mpk,
    recordId,
    version: 1,
    policy,
    registry: REGISTRY,
    gate: 'record',
    emergency: true,
    dataKey,
    random: seeded('golden m'),
  } as const;
  const header = sealHeader(seal);
  const offline = sealHeader({
    ...seal,
    gate: 'none',
    emergency: false,
    epoch: 7,
    random: seeded('golden offline'),
  });
  const ring = addKeyParts(emptyKeyRing(keys, keyId, 1), [...parts, ...gates]);
  const { key } = combineKey({ group, keys, ring, random: seeded('golden check') });
  const expected = { recordId, version: 1, policyBytes: encodePolicy(policy) };
  const opened = openHeader({
    group,
    mpk: keys.mpk,
    key,
    header,
    registry: REGISTRY,
    expected,
    verify: 'full',
  });
  const name = { recordId, payloadId };
  const payload = sealPayloadBytes(
    opened,
    { ...name, random: seeded('golden nonce') },
    utf8('{"resourceType":"Basic"}'),
  );
  if (openPayloadBytes(dataKey, name, payload).length !== 24) throw new Error('the payload does not open');

  const session = id('golden session');
  const polynomial = drawPolynomial(2, seeded('golden polynomial'));
  const opening = encodeDealing(group, session, 1, polynomial, seeded('golden proof'));
  return Object.fromEntries(
    Object.entries({
      mpk: encodeMpk(keys.mpk),
      'mpk hash': keys.mpk.hash,
      'authority keys': encodeAuthorityKeys(group, keys),
      'authority share': encodeAuthorityShare(shares[0]),
      'first part': parts[0],
      extension: gates[0],
      'key ring': encodeKeyRing(ring),
      header,
      'header hash': headerHash(header),
      'offline header': offline,
      payload,
      'data key commitment': dataKeyCommitment(dataKey, payloadId),
      announce: encodeDkg({ kind: 'announce', hash: dealingHash(session, 1, opening) }),
      open: encodeDkg({ kind: 'open', opening }),
      complain: encodeDkg({ kind: 'complain', dealers: [2, 3] }),
      answer: encodeDkg({ kind: 'answer', shares: [{ receiver: 3, share: subShare(polynomial, 3) }] }),
      share: encodeDkg({ kind: 'share', share: subShare(polynomial, 2) }),
    }).map(([name, bytes]) => [name, toHex(bytes)]),
  );
}
