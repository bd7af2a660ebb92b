/** Runs ceremonies over one ordered broadcast, with hooks that play the corrupt. */
import { decodeDkg } from '../../../src/abe/dkg/messages.ts';
import {
  type AuthorityKeys,
  type AuthorityShare,
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

/** One process: its point as dealer, its point among the new authorities, and its old share in a resharing. */
export interface Participant {
  readonly dealer?: number;
  readonly me?: number;
  readonly share?: AuthorityShare;
}

export interface Ceremony {
  readonly group: Group;
  readonly n: number;
  readonly t: number;
  readonly participants: readonly Participant[];
  readonly previous?: AuthorityKeys;
  /** What goes out in place of an effect; an empty list is silence. `who` counts participants from 0. */
  readonly replace?: (who: number, effect: DkgEffect) => readonly DkgEffect[];
  /** Tells apart the randomness of several ceremonies. */
  readonly seed?: string;
}

export interface Outcome {
  /** By participant, counted from 0. */
  readonly results: ReadonlyMap<number, DkgResult>;
  readonly left: ReadonlyMap<number, AuthorityKeys>;
  readonly failed: ReadonlySet<number>;
  /** `dealer: reason` as each participant saw it, in order. */
  readonly blames: ReadonlyMap<number, readonly string[]>;
  readonly states: ReadonlyMap<number, DkgState>;
}

/** A first ceremony of n. */
export function fresh(group: Group, n: number, t: number, replace?: Ceremony['replace']): Ceremony {
  const participants = Array.from({ length: n }, (_, i) => ({ dealer: i + 1, me: i + 1 }));
  return { group, n, t, participants, ...(replace === undefined ? {} : { replace }) };
}

/** Delivers until nobody sends any more, then lets time pass: first for sub-shares, then for whole phases. */
export function runCeremony(ceremony: Ceremony): Outcome {
  const { group, n, t, participants, previous, replace, seed = 'dealer' } = ceremony;
  const states = new Map<number, DkgState>();
  const results = new Map<number, DkgResult>();
  const left = new Map<number, AuthorityKeys>();
  const failed = new Set<number>();
  const blames = new Map<number, string[]>();
  const queue: { to: number; input: DkgInput }[] = [];
  const toAll = (input: DkgInput): void => {
    for (let to = 0; to < participants.length; to++) queue.push({ to, input });
  };

  const emit = (who: number, effects: readonly DkgEffect[]): void => {
    const { dealer = 0, me = 0 } = participants[who];
    for (const effect of effects.flatMap((e) => replace?.(who, e) ?? [e])) {
      switch (effect.kind) {
        case 'broadcast': {
          const from = decodeDkg(effect.bytes).kind === 'complain' ? me : dealer;
          toAll({ kind: 'broadcast', from, bytes: effect.bytes });
          break;
        }
        case 'private': {
          const to = participants.findIndex((participant) => participant.me === effect.to);
          queue.push({ to, input: { kind: 'private', from: dealer, bytes: effect.bytes } });
          break;
        }
        case 'blame':
          blames.set(who, [...(blames.get(who) ?? []), `${effect.dealer}: ${effect.reason}`]);
          break;
        case 'done':
          results.set(who, effect.result);
          break;
        case 'left':
          left.set(who, effect.keys);
          break;
        case 'failed':
          failed.add(who);
      }
    }
  };
  const drain = (): void => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      const state = states.get(item.to);
      if (state === undefined) throw new Error('nobody there');
      const step = stepDkg(state, item.input);
      states.set(item.to, step.state);
      emit(item.to, step.effects);
    }
  };
  const started = participants.map(({ me, share }, who) => {
    const config = {
      group,
      session: SESSION,
      n,
      t,
      me,
      ...(previous && { previous: { keys: previous, share } }),
    };
    const step = startDkg(config, seeded(`${seed} ${who}`));
    states.set(who, step.state);
    return step.effects;
  });
  started.forEach((effects, who) => {
    emit(who, effects);
  });
  drain();
  const ended = (): boolean => results.size + failed.size + left.size === participants.length;
  for (let round = 0; round < 8 && !ended(); round++) {
    toAll({ kind: 'overdue' });
    drain();
    toAll({ kind: 'close' });
    drain();
  }
  return { results, left, failed, blames, states };
}
