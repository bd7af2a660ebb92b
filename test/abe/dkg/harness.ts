/** Runs a ceremony among honest participants over one ordered broadcast, with hooks that play the corrupt. */
import {
  type DkgEffect,
  type DkgInput,
  type DkgResult,
  type DkgState,
  type Group,
  startDkg,
  stepDkg,
} from '../../../src/abe/index.ts';
import { id, seeded } from '../fixtures.ts';

export const SESSION = id('ceremony');

export interface Hooks {
  /** What goes out in place of an effect; an empty list is silence. */
  readonly replace?: (from: number, effect: DkgEffect) => readonly DkgEffect[];
}

export interface Outcome {
  readonly results: ReadonlyMap<number, DkgResult>;
  readonly failed: ReadonlySet<number>;
  /** `dealer: reason` as each participant saw it, in order. */
  readonly blames: ReadonlyMap<number, readonly string[]>;
}

/** Delivers until nobody sends any more, then lets time pass: first for sub-shares, then for whole phases. */
export function runCeremony(group: Group, n: number, t: number, hooks: Hooks = {}): Outcome {
  const states = new Map<number, DkgState>();
  const results = new Map<number, DkgResult>();
  const failed = new Set<number>();
  const blames = new Map<number, string[]>();
  const queue: { to: number; input: DkgInput }[] = [];

  const emit = (from: number, effects: readonly DkgEffect[]): void => {
    for (const effect of effects.flatMap((e) => hooks.replace?.(from, e) ?? [e])) {
      if (effect.kind === 'broadcast') {
        for (let to = 1; to <= n; to++)
          queue.push({ to, input: { kind: 'broadcast', from, bytes: effect.bytes } });
      } else if (effect.kind === 'private') {
        queue.push({ to: effect.to, input: { kind: 'private', from, bytes: effect.bytes } });
      } else if (effect.kind === 'blame') {
        blames.set(from, [...(blames.get(from) ?? []), `${effect.dealer}: ${effect.reason}`]);
      } else if (effect.kind === 'done') results.set(from, effect.result);
      else failed.add(from);
    }
  };
  const feed = (to: number, input: DkgInput): void => {
    const state = states.get(to);
    if (state === undefined) throw new Error('unknown participant');
    const step = stepDkg(state, input);
    states.set(to, step.state);
    emit(to, step.effects);
  };
  const drain = (): void => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) feed(item.to, item.input);
  };
  const started = Array.from({ length: n }, (_, i) => i + 1).map((me) => {
    const step = startDkg({ group, session: SESSION, n, t, me }, seeded(`dealer ${me}`));
    states.set(me, step.state);
    return { me, effects: step.effects };
  });
  for (const { me, effects } of started) emit(me, effects);
  drain();
  for (let round = 0; round < 8 && results.size + failed.size < n; round++) {
    for (const kind of ['overdue', 'close'] as const) {
      for (let to = 1; to <= n; to++) queue.push({ to, input: { kind } });
      drain();
    }
  }
  return { results, failed, blames };
}
