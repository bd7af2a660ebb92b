import { describe, expect, test } from 'vitest';
import { Handoff } from '../../src/storage/kubo/handoff.ts';
import { WriteGate } from '../../src/storage/kubo/write-gate.ts';
import { codeOf } from './support.ts';

/** Lets every promise that can go on do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('the write gate', () => {
  test('who is alone waits for the writers inside and keeps later ones out', async () => {
    const gate = new WriteGate();
    const order: string[] = [];
    const [leaveOne, leaveTwo] = [await gate.enter(), await gate.enter()];
    const alone = gate.alone(async () => {
      order.push('alone');
    });
    const late = gate.writing(async () => {
      order.push('late');
    });
    await settle();
    leaveOne();
    leaveOne();
    await settle();
    expect(order).toEqual([]);
    leaveTwo();
    await Promise.all([alone, late]);
    expect(order).toEqual(['alone', 'late']);
  });

  test('a failure of who is alone, or of a writer, opens the gate again', async () => {
    const gate = new WriteGate();
    await expect(gate.alone(() => Promise.reject(new Error('broke')))).rejects.toThrow('broke');
    await expect(gate.writing(() => Promise.reject(new Error('broke too')))).rejects.toThrow('broke too');
    expect(await gate.alone(async () => 'done')).toBe('done');
  });

  test('two who want to be alone take turns', async () => {
    const gate = new WriteGate();
    let inside = 0;
    const visit = () =>
      gate.alone(async () => {
        inside += 1;
        await settle();
        expect(inside).toBe(1);
        inside -= 1;
      });
    await Promise.all([visit(), visit(), visit()]);
  });
});

describe('handing over', () => {
  test('a giver waits until its item was taken', async () => {
    const handoff = new Handoff<number>(10_000);
    const given: number[] = [];
    const giving = (async () => {
      for (let i = 0; i < 3; i++) {
        await handoff.give(i);
        given.push(i);
      }
      handoff.end();
    })();
    await settle();
    expect(given).toEqual([]);
    const taken: number[] = [];
    for await (const item of handoff) {
      await settle();
      expect(given).toEqual(taken);
      taken.push(item);
    }
    await giving;
    expect(taken).toEqual([0, 1, 2]);
  });

  test('nobody taking is storage.kubo_timeout, for the item in hand as well', async () => {
    const handoff = new Handoff<number>(20);
    const taking = handoff[Symbol.asyncIterator]();
    const first = handoff.give(1);
    expect(await taking.next()).toEqual({ value: 1, done: false });
    expect(await codeOf(first)).toBe('storage.kubo_timeout');
    expect(await codeOf(handoff.give(2))).toBe('storage.kubo_timeout');
    expect(await codeOf(taking.next())).toBe('storage.kubo_timeout');
  });

  test('a failure reaches the givers that wait and those to come, with its first cause', async () => {
    const handoff = new Handoff<number>(10_000);
    const waiting = handoff.give(1);
    handoff.fail(new Error('the daemon hung up'));
    handoff.fail(new Error('and again'));
    await expect(waiting).rejects.toThrow('the daemon hung up');
    await expect(handoff.give(2)).rejects.toThrow('the daemon hung up');
  });
});
