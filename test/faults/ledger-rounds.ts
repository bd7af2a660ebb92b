/** Rounds of faults on a consortium under load, and what must hold after each of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toHex } from '../../src/codec/bytes.ts';
import { Random } from '../../src/consensus/sim/random.ts';
import { Consortium } from './consortium.ts';
import { lostAt, verifyStore } from './evidence.ts';
import { type Facts, LEDGER_FAULTS, type LedgerFault, type Scene } from './ledger-faults.ts';
import { type Acknowledged, Load } from './load.ts';
import type { Member } from './member.ts';

export interface LedgerRoundsOptions {
  readonly rounds: number;
  readonly seed: number;
  /** The built command. */
  readonly command: string;
  /** In this rotation; all by default. */
  readonly kinds?: readonly LedgerFault[];
  /** The long pause; half a minute by default. */
  readonly pauseMs?: number;
  readonly log?: (line: string) => void;
}

export interface Round {
  readonly round: number;
  readonly kind: LedgerFault;
  readonly acknowledged: number;
  readonly lost: number;
  readonly height: number;
  readonly seconds: number;
  /** From the end of the fault until every member committed and all had one head. */
  readonly recovered_ms: number;
  readonly load: number;
  readonly facts: Facts;
  readonly violations: readonly string[];
}

export interface LedgerSummary {
  readonly seed: number;
  readonly rounds: readonly Round[];
  readonly acknowledged: number;
  readonly lost: number;
  readonly forks: number;
  readonly verified: readonly {
    readonly member: string;
    readonly blocks: number;
    readonly entries: number;
  }[];
  readonly violations: readonly string[];
}

/** How long members may take to commit again and come together after a fault. */
const TOGETHER_MS_MAX = 180_000;
/** A write that tells that a member commits again is tried for so long. */
const AGAIN_MS_MAX = 180_000;
/** The fault comes when so many writes of the round were acknowledged, or no more is to be expected. */
const UNDER_WAY = 24;
const UNDER_WAY_MS_MAX = 30_000;

/** Runs the rounds; a violation ends nothing, so that one run tells all it finds. */
export async function ledgerRounds(options: LedgerRoundsOptions): Promise<LedgerSummary> {
  const kinds = options.kinds ?? (Object.keys(LEDGER_FAULTS) as LedgerFault[]);
  const log = options.log ?? (() => undefined);
  const dir = mkdtempSync(join(tmpdir(), 'hippocrypt-faults-'));
  const consortium = await Consortium.start({
    dir,
    command: options.command,
    smallDisk: kinds.includes('disk full'),
  });
  const run = new Run(consortium, options, dir);
  try {
    const random = new Random(options.seed);
    let rotation: LedgerFault[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      if (rotation.length === 0) rotation = shuffled(kinds, random);
      const [kind] = rotation.splice(0, 1);
      const done = await run.round(round, kind, new Random(random.u32()));
      log(JSON.stringify(done));
    }
    await run.verify();
    return run.summary();
  } finally {
    await consortium.stop();
    if (run.summary().violations.length === 0) rmSync(dir, { recursive: true, force: true });
    else log(JSON.stringify({ kept: dir }));
  }
}

class Run {
  readonly #consortium: Consortium;
  readonly #options: LedgerRoundsOptions;
  readonly #dir: string;
  readonly #load = new Load();
  readonly #turns = new Map<LedgerFault, number>();
  readonly #rounds: Round[] = [];
  readonly #all: Acknowledged[] = [];
  readonly #violations: string[] = [];
  #verified: LedgerSummary['verified'] = [];
  #lost = 0;
  #forks = 0;

  constructor(consortium: Consortium, options: LedgerRoundsOptions, dir: string) {
    this.#consortium = consortium;
    this.#options = options;
    this.#dir = dir;
  }

  async round(round: number, kind: LedgerFault, random: Random): Promise<Round> {
    const load = this.#load;
    const consortium = this.#consortium;
    const began = performance.now();
    const facts: Facts = {};
    const violations: string[] = [];
    const turn = this.#turns.get(kind) ?? 0;
    this.#turns.set(kind, turn + 1);
    const scene: Scene = {
      consortium,
      load,
      random,
      turn,
      command: this.#options.command,
      genesis: toHex(consortium.anchor.genesisEntry),
      scratch: this.#dir,
      pauseMs: this.#options.pauseMs ?? 30_000,
      fact: (name, value) => {
        facts[name] = value;
      },
      violation: (what) => violations.push(what),
    };
    load.begin(consortium.members);
    const underWay = performance.now() + UNDER_WAY_MS_MAX;
    while (load.acknowledged.length < UNDER_WAY && performance.now() < underWay) await delay(50);
    await delay(random.below(1_500));
    try {
      await LEDGER_FAULTS[kind](scene, cpus().length);
    } catch (error) {
      violations.push(`the round broke off: ${String(error)}`);
    }
    const healed = performance.now();
    consortium.network.heal();
    for (const member of consortium.members) if (!member.running) member.start();
    await Promise.all(consortium.members.map((member) => this.#commitsAgain(member, violations)));
    const recovered = performance.now() - healed;
    await load.end();
    const head = await consortium.together(TOGETHER_MS_MAX);
    if (head === undefined) {
      this.#forks += await this.#forked();
      violations.push(`the members did not come to one head: ${await this.#heads()}`);
    }
    for (const member of consortium.members) {
      const evidence = member.events.filter(({ event }) => event === 'consensus.evidence');
      if (evidence.length > 0) violations.push(`${member.name} holds evidence of a contradiction`);
    }
    const { acknowledged, refused } = load.take();
    const lost = (
      await Promise.all(consortium.living.map((member) => lostAt(member, acknowledged, consortium.anchor)))
    ).flat();
    violations.push(...lost.slice(0, 5));
    this.#lost += lost.length;
    this.#all.push(...acknowledged);
    const refusals = Object.entries(refused).map(([key, count]) => `${key} ${count}`);
    if (refusals.length > 0) facts.refusals = refusals.join(', ');
    const done: Round = {
      round,
      kind,
      acknowledged: acknowledged.length,
      lost: lost.length,
      height: head?.height ?? 0,
      seconds: Math.round((performance.now() - began) / 1000),
      recovered_ms: Math.round(recovered),
      load: Math.round(loadavg()[0] * 10) / 10,
      facts,
      violations,
    };
    this.#rounds.push(done);
    this.#violations.push(...violations.map((what) => `round ${round}, ${kind}: ${what}`));
    return done;
  }

  /** Every store recomputed by `ledger verify`; every acknowledged entry of all rounds in each; one chain of headers. */
  async verify(): Promise<LedgerSummary['verified']> {
    const { command } = this.#options;
    const genesis = toHex(this.#consortium.anchor.genesisEntry);
    const chains = new Set<string>();
    const verified: LedgerSummary['verified'][number][] = [];
    let common = Number.POSITIVE_INFINITY;
    const reports = [];
    for (const member of this.#consortium.living) {
      const store = await verifyStore(member, { command, genesis, dir: this.#dir });
      common = Math.min(common, store.report.blocks);
      reports.push(store);
    }
    for (const { member, report, entries, chain } of reports) {
      const missing = this.#all.filter(({ entryId }) => !entries.has(entryId));
      if (!report.ok)
        this.#violations.push(`ledger verify of ${member}: ${JSON.stringify(report.failures[0])}`);
      if (missing.length > 0)
        this.#violations.push(`${missing.length} acknowledged entries are not in ${member}`);
      this.#lost += missing.length;
      chains.add(chain(common));
      verified.push({ member, blocks: report.blocks, entries: report.entries });
    }
    if (chains.size !== 1) {
      this.#forks++;
      this.#violations.push(`the members have ${chains.size} chains up to height ${common}`);
    }
    this.#verified = verified;
    return verified;
  }

  summary(): LedgerSummary {
    return {
      seed: this.#options.seed,
      rounds: this.#rounds,
      acknowledged: this.#all.length,
      lost: this.#lost,
      forks: this.#forks,
      verified: this.#verified,
      violations: this.#violations,
    };
  }

  async #commitsAgain(member: Member, violations: string[]): Promise<void> {
    const until = performance.now() + AGAIN_MS_MAX;
    let last: unknown;
    while (performance.now() < until) {
      try {
        await this.#load.write(member);
        return;
      } catch (error) {
        last = error;
        await delay(100);
      }
    }
    violations.push(`${member.name} commits nothing ${AGAIN_MS_MAX} ms after the fault: ${String(last)}`);
  }

  /** Members with another header at a height that all have. */
  async #forked(): Promise<number> {
    const heights = await this.#consortium.heights();
    const common = Math.min(...heights.values());
    const headers = new Set<string>();
    for (const member of this.#consortium.living) {
      const block = await member.gateway
        .json<{ header: string }>('GET', `/v1/ledger/blocks/${common}`)
        .catch(() => undefined);
      if (block !== undefined) headers.add(block.header);
    }
    return headers.size > 1 ? 1 : 0;
  }

  async #heads(): Promise<string> {
    const rows = await Promise.all(
      this.#consortium.members.map(
        async (member) => `${member.name} ${JSON.stringify(await member.status())}`,
      ),
    );
    return rows.join('; ');
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0]);
}
