/**
 * The second phase of a simulation: everybody honest is up and connected. Every valid request must commit within four
 * time-outs and a second, all meet on one height and view, pools drain, and a leader that does its work stays.
 */

import { viewTimeout } from '../core/timers.ts';
import { toHex } from '../wire/bytes.ts';
import type { SimNode } from './node.ts';
import type { Simulation } from './simulation.ts';

/** Pools must have drained after this: the longest row of views that remain from the first phase. */
const DRAIN_MS = 200_000;
/** How long nothing may happen to a leader that works. */
const QUIET_MS = 4_000;

/** Runs the phase; the events it took. */
export function heal(simulation: Simulation): number {
  const { network, machines, checks, timing, clients } = simulation;
  network.heal();
  machines.heal();
  let steps = simulation.runFor(2 * timing.statusMs + timing.viewTimeoutMs);
  if (!simulation.live) return steps;
  const { honest } = simulation;
  const requests = honest.map((node) => {
    const request = clients.issue(500_000);
    node.submit(request);
    return toHex(node.application.idOf(request));
  });
  const patience = patienceOf(simulation);
  const deadline = simulation.schedule.now + patience;
  const done = (): boolean =>
    honest.every((node) => requests.every((id) => node.application.executedIds.has(id)));
  steps += simulation.runUntil(() => done() || simulation.schedule.now > deadline);
  if (checks.violations.length > 0) return steps;
  if (!done()) {
    checks.fail(`not everything valid was committed ${patience} ms after healing (${seen(honest)})`);
    return steps;
  }
  return steps + settle(simulation);
}

/** Four time-outs at the views reached plus one second; more only for a row of more than one faulty leader. */
function patienceOf({ honest, byzantine, timing }: Simulation): number {
  const view = Math.max(...honest.map((node) => node.replica?.view ?? 0));
  return (4 + 2 * byzantine) * viewTimeout(timing.viewTimeoutMs, view + byzantine) + 1000;
}

/** Pools drain, all are at one height and view, and without liars no leader is deposed any more. */
function settle(simulation: Simulation): number {
  const { honest, checks, clients, schedule } = simulation;
  const drained = (): boolean => honest.every((node) => (node.replica?.pooled ?? 0) === 0);
  const deadline = schedule.now + DRAIN_MS;
  let steps = simulation.runUntil(() => drained() || schedule.now > deadline);
  if (checks.violations.length === 0 && !drained()) {
    const waiting = honest.map((node) => node.replica?.pooled ?? 0).join(', ');
    checks.fail(`requests wait for ever after healing (${waiting} in the pools)`);
  }
  if (checks.violations.length > 0 || simulation.byzantine > 0) return steps;
  checks.calm = true;
  clients.giveTwo(120_000);
  steps += simulation.runFor(QUIET_MS);
  const places = (): Set<string> => new Set(honest.map((node) => `${node.height} ${node.replica?.view}`));
  // A block may be on its way at this very moment.
  const soon = schedule.now + 1000;
  steps += simulation.runUntil(() => places().size === 1 || schedule.now > soon);
  if (checks.violations.length === 0 && places().size > 1)
    checks.fail(`members do not meet on one height and view (${seen(honest)})`);
  return steps;
}

function seen(nodes: readonly SimNode[]): string {
  return nodes.map((node) => `${node.index}: h${node.height} v${node.replica?.view}`).join(', ');
}
