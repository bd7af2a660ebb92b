/**
 * Refresh and resharing over the ledger: the public key stays, t valid shares of the epoch in force exist at every
 * instant wherever members are stopped, and old shares go only when they may (ledger-security rule 27).
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeAuthorityShare, type Group, openGroup } from '../../src/abe/index.ts';
import { bytesToBigint, lagrangeScalars, mod } from '../../src/abe/internal.ts';
import { ERASE_AFTER_MS } from '../../src/authority/retention.ts';
import { fromHex } from '../../src/codec/bytes.ts';
import { hpkeKeyPair } from '../../src/codec/hpke.ts';
import { admissionMessage, STATE } from '../../src/ledger/index.ts';
import {
  bytesOf,
  CHAIN_ID,
  DAY_MS,
  MEMBER_IDS,
  MINUTE_MS,
  memberOf,
  operatorOf,
  signerOf,
  subjectOf,
  validatorOf,
} from '../ledger/support.ts';
import { Circle, Crash, type DiskAction, Seat } from './circle.ts';

let group: Group;
beforeAll(async () => {
  group = await openGroup('mcl');
});

/** The master secret that the shares at `points` of an epoch give. */
function masterOf(circle: Circle, epoch: number, members: readonly string[]): bigint {
  const points = members.map((one) => circle.share(epoch).members.indexOf(one) + 1);
  const weights = lagrangeScalars(points);
  return members.reduce((sum, one, i) => {
    const bytes = circle.seat(one).disk.kept.get(`share/${epoch}`);
    return mod(sum + weights[i] * bytesToBigint(decodeAuthorityShare(bytes ?? new Uint8Array()).alpha));
  }, 0n);
}

async function renew(circle: Circle, members?: readonly string[]): Promise<void> {
  await circle.ledger.renew(members ?? circle.ledger.engine.get(STATE.members));
  await circle.settle();
}

/** All but one, who may lie: as many as make a key. */
const HONEST = ['alder', 'birch', 'cedar'];
/** Most of the honest that hold shares of one epoch. */
const together = (circle: Circle): number =>
  Math.max(
    ...[0, circle.epoch ?? 0].map(
      (epoch) => circle.holders(epoch).filter((one) => HONEST.includes(one)).length,
    ),
  );

const namesOf = (seat: Seat): readonly string[] => [...seat.disk.kept.keys()];

describe('a refresh', () => {
  it('gives every member another share of the same key, and leaves nothing of the old ones', async () => {
    const circle = await Circle.dealt(group);
    const secret = masterOf(circle, 0, ['alder', 'birch', 'cedar']);
    const old = circle.seats.map((seat) => seat.disk.kept.get('share/0'));
    await renew(circle);
    expect(circle.epoch).toBe(1);
    expect(circle.share(1).mpk).toEqual(circle.share(0).mpk);
    expect(circle.holders(1)).toEqual(MEMBER_IDS);
    expect(masterOf(circle, 1, ['dogwood', 'birch', 'cedar'])).toBe(secret);
    for (const [i, seat] of circle.seats.entries()) {
      expect(namesOf(seat)).toEqual(['share/1']);
      expect([...seat.loaded]).toEqual([1]);
      const [before, after] = [old[i], seat.disk.kept.get('share/1')].map((one) =>
        decodeAuthorityShare(one ?? new Uint8Array()),
      );
      expect(after.alpha).not.toEqual(before.alpha);
      expect(after.seed).not.toEqual(before.seed);
    }
  });

  it('keeps old shares until a quorum has cosigned the block that put the new epoch in force', async () => {
    const circle = await Circle.dealt(group);
    const held = circle.ledger.engine.head.time;
    circle.cosignedTimeMs = () => held;
    await renew(circle);
    expect(circle.epoch).toBe(1);
    for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/0', 'share/1']);
    circle.cosignedTimeMs = () => circle.ledger.engine.head.time;
    for (const seat of circle.seats) seat.restart();
    await circle.settle();
    for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/1']);
  });

  it('goes on without a member that is away, which builds its share from the ledger when it is back', async () => {
    const circle = await Circle.dealt(group);
    circle.seat('birch').isUp = false;
    await renew(circle);
    expect(circle.phase).toBe('join');
    for (let i = 0; i < 4 && circle.epoch === 0; i++) await circle.pass(2 * MINUTE_MS);
    expect(circle.epoch).toBe(1);
    expect(circle.holders(1)).toEqual(['alder', 'cedar', 'dogwood']);
    // Three proofs are no t + f: one of the three may lie.
    for (const one of ['alder', 'cedar', 'dogwood'])
      expect(namesOf(circle.seat(one))).toEqual(['share/0', 'share/1']);
    circle.seat('birch').isUp = true;
    await circle.settle();
    expect(circle.holders(1)).toEqual(MEMBER_IDS);
    expect(circle.share(1).confirmations).toEqual(MEMBER_IDS);
    for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/1']);
  });

  it('goes on without a dealer whose opening is not what it announced, and keeps the key', async () => {
    const circle = await Circle.dealt(group);
    circle.seat('dogwood').tamper = (step) =>
      step.kind === 'deal'
        ? { ...step, body: { ...step.body, opening: step.body.opening.toReversed() } }
        : step;
    await renew(circle);
    expect(circle.epoch).toBe(1);
    expect(circle.seat('alder').blamed).toEqual(['dogwood: bad opening']);
    expect(circle.holders(1)).toEqual(MEMBER_IDS);
    expect(circle.share(1).mpk).toEqual(circle.share(0).mpk);
  });
});

describe('members that say they hold a share', () => {
  it('count only with a proof: with one false proof old shares are kept for a day, not longer', async () => {
    const circle = await Circle.dealt(group);
    circle.seat('dogwood').tamper = (step) =>
      step.kind === 'hold' ? { ...step, body: { proof: new Uint8Array(64).fill(1) } } : step;
    await renew(circle);
    expect(circle.ledger.engine.get(STATE.ceremony)?.held).toEqual(MEMBER_IDS);
    for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/0', 'share/1']);
    const inForce = circle.ledger.engine.get(STATE.ceremony)?.since ?? 0;
    await circle.ledger.block([], inForce + ERASE_AFTER_MS - 1);
    await circle.settle();
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
    await circle.ledger.block([], inForce + ERASE_AFTER_MS);
    await circle.settle();
    for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/1']);
  });

  it('and throw it away, while an honest one is away: t shares of the old epoch are kept until all others hold the new', async () => {
    const circle = await Circle.dealt(group);
    const [liar, away] = [circle.seat('dogwood'), circle.seat('cedar')];
    away.tamper = (step) => {
      if (step.kind === 'complain') away.isUp = false;
      return step;
    };
    await renew(circle);
    for (let i = 0; i < 4 && circle.epoch === 0; i++) await circle.pass(2 * MINUTE_MS);
    // It has proved its new share, and now has neither that nor the old one.
    liar.isUp = false;
    liar.disk.kept.clear();
    await circle.settle();
    expect(circle.share(1).confirmations).toEqual(['alder', 'birch', 'dogwood']);
    expect(circle.holders(1)).toEqual(['alder', 'birch']);
    expect(circle.holders(0)).toEqual(HONEST);
    away.tamper = (step) => step;
    away.isUp = true;
    await circle.settle();
    expect(circle.holders(1)).toEqual(HONEST);
  });
});

describe('a crash', () => {
  const isOn = (action: DiskAction, op: DiskAction['op'], kind: string): boolean =>
    action.op === op && action.names.some((name) => name.startsWith(kind));

  /** Where every member is stopped, once. */
  const POINTS: readonly (readonly [string, 'before' | 'after', (action: DiskAction) => boolean])[] = [
    ['before the secret of the ceremony is written', 'before', (one) => isOn(one, 'put', 'ceremony/')],
    ['after the secret of the ceremony is written', 'after', (one) => isOn(one, 'put', 'ceremony/')],
    ['before the new share is written', 'before', (one) => isOn(one, 'put', 'share/1')],
    ['after the new share is written', 'after', (one) => isOn(one, 'put', 'share/1')],
    ['before the secret of the ceremony is erased', 'before', (one) => isOn(one, 'delete', 'ceremony/')],
    ['after the secret of the ceremony is erased', 'after', (one) => isOn(one, 'delete', 'ceremony/')],
    ['before the old share is erased', 'before', (one) => isOn(one, 'delete', 'share/0')],
    ['after the old share is erased', 'after', (one) => isOn(one, 'delete', 'share/0')],
  ];

  it.each(POINTS)(
    'of every member %s leaves t honest shares of one epoch at every instant',
    async (_, when, is) => {
      const circle = await Circle.dealt(group);
      let fewest = HONEST.length;
      const crashed = new Set<string>();
      for (const seat of circle.seats) {
        seat.disk.watch = (now, action) => {
          fewest = Math.min(fewest, together(circle));
          if (now !== when || crashed.has(seat.id) || !is(action)) return;
          crashed.add(seat.id);
          throw new Crash();
        };
      }
      await renew(circle);
      await circle.settle();
      expect([...crashed].sort()).toEqual(MEMBER_IDS);
      expect(circle.epoch).toBe(1);
      expect(circle.holders(1)).toEqual(MEMBER_IDS);
      expect(fewest).toBe(circle.share(1).threshold);
      for (const seat of circle.seats) expect(namesOf(seat)).toEqual(['share/1']);
    },
  );

  it('between the writing of the new share and its reading back is not taken for a share', async () => {
    const circle = await Circle.dealt(group);
    const { disk } = circle.seat('alder');
    let torn = false;
    disk.watch = (now, action) => {
      if (torn || now !== 'after' || !isOn(action, 'put', 'share/1')) return;
      torn = true;
      disk.kept.delete('share/1');
    };
    await expect(renew(circle)).rejects.toMatchObject({ code: 'storage.hash_mismatch' });
    expect(circle.ledger.engine.get(STATE.ceremony)?.held).not.toContain('alder');
    circle.seat('alder').restart();
    await circle.settle();
    expect(circle.holders(1)).toEqual(MEMBER_IDS);
  });
});

describe('resharing', () => {
  const FIVE = [...MEMBER_IDS, 'elm'];

  async function reconfigure(circle: Circle, body: object, approvals: readonly string[]): Promise<void> {
    const { ledger } = circle;
    const change = { kind: 'Reconfig', body, until: ledger.time + DAY_MS } as never;
    const { id } = await ledger.put(operatorOf('alder'), 'Proposal', change);
    for (const one of approvals) await ledger.put(operatorOf(one), 'Approval', { proposal: fromHex(id) });
    await ledger.block([]);
    await ledger.block([]);
  }

  it('to a fifth member and back to four keeps the key; who left holds nothing of it', async () => {
    const circle = await Circle.dealt(group);
    const secret = masterOf(circle, 0, ['alder', 'birch', 'cedar']);
    const hpke = await hpkeKeyPair(bytesOf('hpke seed elm'));
    const member = { ...memberOf('elm'), hpkeKey: hpke.publicKey };
    const operator = {
      subject: subjectOf(operatorOf('elm')),
      member: 'elm',
      key: signerOf(operatorOf('elm')).publicKey,
      hpkeKey: bytesOf('hpke elm'),
    };
    const checkpoint = circle.ledger.checkpoint();
    const proof = validatorOf('elm').sign(admissionMessage(CHAIN_ID, member, operator, checkpoint));
    await reconfigure(circle, { add: { member, operator, checkpoint, proof }, remove: null }, [
      'birch',
      'cedar',
    ]);
    circle.sit(new Seat(circle, 'elm'));
    // The holders stay those of the share epoch until it changes.
    expect(circle.share(0).members).toEqual(MEMBER_IDS);
    await renew(circle, FIVE);
    expect(circle.share(1)).toMatchObject({ members: FIVE, threshold: 4, mpk: circle.share(0).mpk });
    expect(circle.holders(1)).toEqual(FIVE);
    expect(masterOf(circle, 1, ['elm', 'dogwood', 'cedar', 'birch'])).toBe(secret);
    await reconfigure(circle, { add: null, remove: 'birch' }, ['birch', 'cedar', 'dogwood']);
    const left = FIVE.filter((one) => one !== 'birch');
    await renew(circle, left);
    for (let i = 0; i < 6 && circle.epoch === 1; i++) await circle.pass(2 * MINUTE_MS);
    expect(circle.share(2)).toMatchObject({ members: left, threshold: 3, mpk: circle.share(0).mpk });
    expect(circle.holders(2)).toEqual(left);
    expect(masterOf(circle, 2, ['elm', 'dogwood', 'alder'])).toBe(secret);
    for (const one of left) expect(namesOf(circle.seat(one))).toEqual(['share/2']);
    expect(namesOf(circle.seat('birch'))).toEqual([]);
    expect([...circle.seat('birch').loaded]).toEqual([]);
  });
});
