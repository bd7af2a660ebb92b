/** Key ceremonies over the ledger, with dealers that misbehave: who is blamed, who goes on, and who is waited for. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Group, openGroup } from '../../src/abe/index.ts';
import { toHex } from '../../src/codec/bytes.ts';
import { ceremonyId, nextAttempt, type ShareStep } from '../../src/ledger/index.ts';
import { bytesOf, CHAIN_ID, MEMBER_IDS, MINUTE_MS, operatorOf } from '../ledger/support.ts';
import { Circle, type Tamper } from './circle.ts';

let group: Group;
beforeAll(async () => {
  group = await openGroup('mcl');
});

/** Begins the first ceremony of a circle, with a window of a minute. */
async function begin(circle: Circle): Promise<void> {
  const { ledger } = circle;
  const ceremony = ceremonyId(CHAIN_ID, nextAttempt(ledger.engine.state));
  const open: ShareStep = { ceremony, kind: 'open', body: { windowMs: MINUTE_MS } };
  await ledger.put(operatorOf('alder'), 'ShareStep', open);
}

/** The first ceremony with dogwood as it is told to be. */
async function first(tamper: Tamper): Promise<Circle> {
  const circle = await Circle.open(group);
  circle.seat('dogwood').tamper = tamper;
  await begin(circle);
  await circle.settle();
  return circle;
}

const HONEST = ['alder', 'birch', 'cedar'];
const blames = (circle: Circle): readonly (readonly string[])[] =>
  HONEST.map((one) => circle.seat(one).blamed);
const all = (what: string): readonly (readonly string[])[] => HONEST.map(() => [what]);

/** A sub-share that does not open, in the place of birch's. */
const spoilt: Tamper = (step) =>
  step.kind === 'deal'
    ? {
        ...step,
        body: { ...step.body, sealed: step.body.sealed.map((one, i) => (i === 1 ? bytesOf('bad') : one)) },
      }
    : step;

describe('the first ceremony', () => {
  it('gives everybody a share of one key, and each is answered for once it is in force', async () => {
    const circle = await first((step) => step);
    expect(circle.epoch).toBe(0);
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
    expect(circle.share(0)).toMatchObject({ threshold: 3, confirmations: MEMBER_IDS });
    for (const seat of circle.seats) {
      expect([...seat.disk.kept.keys()]).toEqual(['share/0']);
      expect([...seat.loaded]).toEqual([0]);
      expect(seat.blamed).toEqual([]);
    }
  });

  it('a bad sub-share is complained about and shown, and its dealer stays', async () => {
    const circle = await first(spoilt);
    expect(circle.epoch).toBe(0);
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
    expect(blames(circle)).toEqual(HONEST.map(() => []));
  });

  it.each<[string, Tamper, string, number]>([
    [
      'shows another sub-share than it dealt',
      (step) =>
        step.kind === 'answer'
          ? {
              ...step,
              body: { shares: step.body.shares.map((one) => ({ ...one, share: bytesOf('x').fill(1) })) },
            }
          : spoilt(step),
      'dogwood: bad answer',
      0,
    ],
    [
      'does not answer a complaint',
      (step) => (step.kind === 'answer' ? undefined : spoilt(step)),
      'dogwood: bad answer',
      1,
    ],
    [
      'never opens what it announced',
      (step) => (step.kind === 'deal' ? undefined : step),
      'dogwood: silent',
      1,
    ],
    [
      'opens something else than it announced',
      (step) =>
        step.kind === 'join' ? { ...step, body: { ...step.body, dealing: bytesOf('other') } } : step,
      'dogwood: bad opening',
      0,
    ],
  ])('goes on without a dealer that %s, and everybody names it', async (_, tamper, blamed, windows) => {
    const circle = await first(tamper);
    for (let i = 0; i < windows; i++) await circle.pass(2 * MINUTE_MS);
    expect(blames(circle)).toEqual(all(blamed));
    expect(circle.epoch).toBe(0);
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
  });

  it('a dealer cannot tell two members different things: its second word is refused', async () => {
    const circle = await Circle.open(group);
    await begin(circle);
    const { ledger } = circle;
    await circle.seat('dogwood').turn();
    const again: ShareStep = {
      ceremony: ceremonyId(CHAIN_ID, 0),
      kind: 'join',
      body: { hpkeKey: bytesOf('other'), dealing: bytesOf('other') },
    };
    expect(await ledger.refusal(operatorOf('dogwood'), 'ShareStep', again)).toBe('share.step');
    await circle.settle();
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
  });

  it('waits for a member that is not there, however long, and is whole when it comes', async () => {
    const circle = await Circle.open(group);
    circle.seat('cedar').isUp = false;
    await begin(circle);
    await circle.pass(60 * MINUTE_MS);
    expect(circle.phase).toBe('join');
    expect(circle.waitsFor()).toEqual(['cedar']);
    circle.seat('cedar').isUp = true;
    await circle.settle();
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
  });

  it('fails when fewer than t deal, names them, and the next one gives a key', async () => {
    const circle = await Circle.open(group);
    const silent: Tamper = (step) => (step.kind === 'deal' ? undefined : step);
    for (const one of ['cedar', 'dogwood']) circle.seat(one).tamper = silent;
    await begin(circle);
    await circle.settle();
    expect([circle.phase, circle.waitsFor()]).toEqual(['deal', ['cedar', 'dogwood']]);
    await circle.pass(2 * MINUTE_MS);
    expect([circle.phase, circle.waitsFor()]).toEqual(['failed', []]);
    expect(circle.epoch).toBeNull();
    for (const seat of circle.seats) expect([...seat.disk.kept.keys()]).toEqual([]);
    for (const seat of circle.seats) seat.tamper = (step) => step;
    await begin(circle);
    await circle.settle();
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
  });

  it('says for whom each phase waits', async () => {
    const circle = await Circle.open(group);
    const seat = circle.seat('dogwood');
    const waits: string[] = [];
    for (const kind of ['complain', 'answer', 'hold'] as const) {
      seat.tamper = (step) => (step.kind === kind ? undefined : spoilt(step));
      if (waits.length === 0) await begin(circle);
      await circle.settle();
      waits.push(`${circle.phase}: ${circle.waitsFor().join()}`);
    }
    expect(waits).toEqual(['complain: dogwood', 'answer: dogwood', 'done: ']);
  });

  it('goes on after all members were stopped in any phase, with the same words', async () => {
    const circle = await Circle.open(group);
    await begin(circle);
    const sent = new Map<string, string>();
    for (const seat of circle.seats) {
      seat.tamper = (step) => {
        if (step.kind === 'deal') {
          const name = `${seat.id}/${step.kind}`;
          const said = toHex(step.body.opening);
          expect(sent.get(name) ?? said).toBe(said);
          sent.set(name, said);
        }
        return step;
      };
    }
    for (let turn = 0; circle.epoch === null && turn < 40; turn++) {
      for (const seat of circle.seats) {
        await seat.turn();
        seat.restart();
      }
    }
    expect(circle.holders(0)).toEqual(MEMBER_IDS);
  });
});
