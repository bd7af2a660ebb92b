/**
 * The faults of a validator's life, each done to real processes under load, with what must hold while it lasts. What must hold
 * afterwards is the same for all and stands in ledger-rounds.ts.
 */
import { rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fromBase64url } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import type { Random } from '../../src/consensus/sim/random.ts';
import {
  decodeReceipt,
  type LedgerAnchor,
  PBFT_LITE,
  validatorsAt,
  verifyReceipt,
} from '../../src/ledger/verify/index.ts';
import { type Consortium, ON_SMALL_DISK } from './consortium.ts';
import { damageWal, flipWhere, type WalDamage } from './damage.ts';
import { verifyStore } from './evidence.ts';
import type { Load } from './load.ts';
import type { Member } from './member.ts';
import type { CutKind } from './network.ts';

/** Facts of a round, for the log and the summary. */
export type Facts = Record<string, string | number | boolean>;

export interface Scene {
  readonly consortium: Consortium;
  readonly load: Load;
  readonly random: Random;
  /** How the faults of one kind have gone through their variants so far. */
  readonly turn: number;
  readonly command: string;
  readonly genesis: string;
  /** For exports; emptied again. */
  readonly scratch: string;
  readonly pauseMs: number;
  fact(name: string, value: string | number | boolean): void;
  /** Something that must never be. */
  violation(what: string): void;
}

/** Commits resume within this of a leader's death, on a machine that is not overloaded. */
export const RESUME_MS_MAX = 3_000;
/** What was under way when a quorum was lost may still be acknowledged for so long. */
const UNDER_WAY_MS = 1_500;

/** The bound, stretched by the machine's load over its processors when that is above one. */
export function resumeBound(cores: number): number {
  return RESUME_MS_MAX * Math.max(1, loadavg()[0] / cores);
}

const others = (consortium: Consortium, ...without: readonly Member[]): readonly Member[] =>
  consortium.members.filter((member) => !without.includes(member));

function draw<T>(random: Random, from: readonly T[], count: number): T[] {
  const left = [...from];
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0]);
}

/** SIGKILL of the leader, or of a member that does not lead; the others must go on. */
async function killOne(scene: Scene, which: 'leader' | 'follower', cores: number): Promise<void> {
  const { consortium, load, random } = scene;
  const leader = await consortium.leader();
  const victim = which === 'leader' ? leader : random.pick(others(consortium, leader));
  const at = performance.now();
  await victim.kill();
  await delay(5_000);
  const silence = load.silence(others(consortium, victim), at, performance.now());
  const bound = resumeBound(cores);
  scene.fact('victim', victim.name);
  scene.fact('silence_ms', Math.round(silence));
  if (silence > bound) {
    scene.violation(`nothing was committed for ${Math.round(silence)} ms after ${victim.name} was killed`);
  }
  victim.start();
  await victim.ready();
}

/** Two at once: a quorum is missing, so nothing may be committed, until they are back. */
async function killTwo(scene: Scene): Promise<void> {
  const { consortium, random } = scene;
  const victims = draw(random, consortium.members, 2);
  scene.fact('victims', victims.map(({ name }) => name).join(', '));
  await Promise.all(victims.map((victim) => victim.kill()));
  await noProgress(scene, others(consortium, ...victims), random.between(3_000, 7_000));
  const [first, second] = victims;
  first.start();
  await delay(random.below(1_500));
  second.start();
  await Promise.all(victims.map((victim) => victim.ready()));
}

async function noProgress(scene: Scene, members: readonly Member[], ms: number): Promise<void> {
  const { consortium, load } = scene;
  await delay(UNDER_WAY_MS);
  const before = await consortium.heights();
  const from = performance.now();
  await delay(ms);
  const after = await consortium.heights();
  const names = new Set(members.map(({ name }) => name));
  const acknowledged = load.acknowledged.filter(({ at, member }) => at > from && names.has(member));
  if (acknowledged.length > 0) {
    scene.violation(`${acknowledged.length} writes were acknowledged without a quorum`);
  }
  for (const name of names) {
    if ((before.get(name) ?? 0) !== (after.get(name) ?? 0)) {
      scene.violation(`${name} went from height ${before.get(name)} to ${after.get(name)} without a quorum`);
    }
  }
}

async function killAll(scene: Scene): Promise<void> {
  const { consortium, random } = scene;
  await Promise.all(consortium.members.map((member) => member.kill()));
  for (const member of draw(random, consortium.members, consortium.members.length)) {
    member.start();
    await delay(random.below(700));
  }
  await Promise.all(consortium.members.map((member) => member.ready()));
}

/** SIGSTOP: a short one for the leader, then a long one for any member. Its clock has jumped when it goes on. */
async function pause(scene: Scene, cores: number): Promise<void> {
  const { consortium, load, random } = scene;
  const leader = await consortium.leader();
  leader.signal('SIGSTOP');
  await delay(random.between(300, 6_000));
  leader.signal('SIGCONT');
  await delay(1_500);
  const victim = random.pick(consortium.members);
  const led = (await consortium.leader()) === victim;
  const at = performance.now();
  victim.signal('SIGSTOP');
  await delay(scene.pauseMs);
  const silence = load.silence(others(consortium, victim), at, performance.now());
  victim.signal('SIGCONT');
  scene.fact('victim', victim.name);
  scene.fact('led', led);
  scene.fact('pause_ms', scene.pauseMs);
  scene.fact('silence_ms', Math.round(silence));
  if (silence > resumeBound(cores)) {
    scene.violation(`nothing was committed for ${Math.round(silence)} ms while ${victim.name} stood still`);
  }
  await victim.ready();
}

const CUTS = ['one way', 'both ways', 'one member alone', 'two and two', 'one member deaf'] as const;

/** Links cut and healed. Three members that hear each other go on; two and two stand still. */
async function cutLinks(scene: Scene): Promise<void> {
  const { consortium, load, random, turn } = scene;
  const { network } = consortium;
  const how: CutKind = random.chance(0.5) ? 'silent' : 'reset';
  const variant = CUTS[turn % CUTS.length];
  const [a, b, c, d] = draw(random, consortium.members, 4);
  const ms = random.between(4_000, 14_000);
  scene.fact('cut', `${variant}, ${how}, ${a.name} first`);
  scene.fact('cut_ms', ms);
  const at = performance.now();
  const apart = (one: Member, other: Member): void => {
    network.cut(one.name, other.name, how);
    network.cut(other.name, one.name, how);
  };
  if (variant === 'one way') network.cut(a.name, b.name, how);
  if (variant === 'both ways') apart(a, b);
  if (variant === 'one member alone') for (const other of [b, c, d]) apart(a, other);
  if (variant === 'one member deaf') for (const other of [b, c, d]) network.cut(other.name, a.name, how);
  if (variant === 'two and two') {
    for (const [one, other] of [
      [a, c],
      [a, d],
      [b, c],
      [b, d],
    ])
      apart(one, other);
    await noProgress(scene, consortium.members, ms);
  } else {
    await delay(ms);
    const alone = variant === 'one member alone' || variant === 'one member deaf';
    const going = alone ? [b, c, d] : consortium.members;
    scene.fact('silence_ms', Math.round(load.silence(going, at, performance.now())));
    if (variant === 'one member alone') {
      const late = load.acknowledged.filter((one) => one.member === a.name && one.at > at + UNDER_WAY_MS);
      if (late.length > 0) scene.violation(`${a.name} acknowledged ${late.length} writes while it was alone`);
    }
  }
  network.heal();
}

/** Less than this is free in the second half: no write of any store can succeed. */
const NOTHING = 0;
const BELOW_RESERVE = 100 * 1024 * 1024;

/** The disk of one member fills up, first below the reserve, then wholly; it may be killed there. Then there is room again. */
async function fillDisk(scene: Scene): Promise<void> {
  const { consortium, load, random } = scene;
  const { disk } = consortium;
  if (disk === undefined) throw new Error('this machine lets nobody mount a small disk');
  const member = consortium.member(ON_SMALL_DISK);
  const at = performance.now();
  disk.fill(BELOW_RESERVE);
  await delay(3_000);
  disk.fill(NOTHING);
  await delay(3_000);
  const silence = load.silence(others(consortium, member), at, performance.now());
  const refused = [...load.refused.keys()].filter((key) => key.startsWith(member.name));
  const said = member.events.filter(({ event }) => event === 'consensus.halted').map(({ reason }) => reason);
  scene.fact('disk', disk.kind);
  scene.fact('refused', refused.map((key) => key.split(' ')[1]).join(', ') || 'nothing');
  scene.fact('halted', said.length > 0 ? String(said[0]) : 'no');
  scene.fact('silence_ms', Math.round(silence));
  if (refused.length === 0) scene.violation(`${member.name} refused nothing while its disk was full`);
  if (said.length > 0 && (await member.ends(15_000)) === undefined) {
    scene.violation(`${member.name} could not write its log or its store and did not end`);
  }
  if (random.chance(0.5)) {
    if (member.running) await member.kill();
    member.start();
    const ended = await member.ends(15_000);
    const named = /storage\.full|ENOSPC|the disk is full/.test(ended?.stderr ?? '');
    scene.fact(
      'start on a full disk',
      ended === undefined ? 'runs' : named ? 'refused, the disk is named' : 'refused',
    );
    if (ended !== undefined && !named) {
      scene.violation(`${member.name} did not start on a full disk and did not say why: ${ended.stderr}`);
    }
  }
  disk.empty();
  // What stopped writing stays stopped until it is started again, as a supervisor would.
  if (member.running) await member.kill();
  member.start();
  await member.ready();
}

const PARTS = ['entry', 'header', 'certificate'] as const;

interface BlockAnswer {
  readonly header: string;
  readonly qc: string;
}

/** A bit of a stored block flips while its member is down. Nobody may get the damaged bytes as if they were good. */
async function flipBlock(scene: Scene): Promise<void> {
  const { consortium, load, random, turn } = scene;
  const part = PARTS[turn % PARTS.length];
  const member = random.pick(consortium.members);
  const chosen = random.pick(load.acknowledged.slice(0, Math.max(1, load.acknowledged.length - 20)));
  await delay(1_000);
  const { gateway } = member;
  const path = `/v1/ledger/entries/${chosen.entryId}`;
  const before = await gateway.json<{ receipt: string }>('GET', path);
  const leaf = decodeReceipt(fromBase64url(before.receipt)).entry;
  const block = await gateway.json<BlockAnswer>('GET', `/v1/ledger/blocks/${chosen.height}`);
  const pattern = part === 'entry' ? leaf : fromBase64url(part === 'header' ? block.header : block.qc);
  await (random.chance(0.5) ? member.kill() : member.stop());
  const places = flipWhere(
    join(member.dir, 'ledger', 'data.mdb'),
    pattern,
    random.below(pattern.length),
    random.below(8),
  );
  scene.fact('victim', member.name);
  scene.fact('flipped', `${part} at height ${chosen.height}, ${places} places`);
  if (places === 0) scene.violation(`the stored ${part} of height ${chosen.height} was not found to flip`);
  member.start();
  const started = await member.ready().then(
    () => true,
    (error: unknown) => {
      scene.fact('start', String(error).slice(0, 200));
      return false;
    },
  );
  if (started) {
    await damageIsNamed(scene, member, chosen.height);
    await readsAreHonest(scene, member, path, chosen);
    await member.stop();
  }
  // Repair: without its ledger a member fetches the chain from the others; its log of votes stays.
  rmSync(join(member.dir, 'ledger'), { recursive: true, force: true });
  if (member.running) await member.kill();
  member.start();
  await member.ready();
}

async function damageIsNamed(scene: Scene, member: Member, height: number): Promise<void> {
  const { command, genesis, scratch: dir } = scene;
  try {
    const { report } = await verifyStore(member, { command, genesis, dir });
    const [first] = report.failures;
    scene.fact('ledger verify', report.ok ? 'ok' : `${first?.what} at height ${first?.height}`);
    if (report.ok) scene.violation(`ledger verify passes on the damaged store of ${member.name}`);
    else if (first.height !== height) {
      scene.violation(`ledger verify blames height ${first.height}, the damage is at ${height}`);
    }
  } catch (error) {
    scene.fact('ledger verify', `refused: ${error instanceof CodedError ? error.code : String(error)}`);
  }
}

/** What the damaged member answers is refused, or what everybody else answers, or comes with a receipt that does not verify. */
async function readsAreHonest(
  scene: Scene,
  member: Member,
  entry: string,
  { height }: { readonly height: number },
): Promise<void> {
  const { consortium } = scene;
  const [witness] = others(consortium, member);
  const answers: string[] = [];
  for (const path of [entry, `/v1/ledger/blocks/${height}`]) {
    const truth = await witness.gateway.json<Record<string, unknown>>('GET', path);
    try {
      const got = await member.gateway.json<Record<string, unknown>>('GET', path);
      const differs = ['entry', 'header', 'batch'].some(
        (key) => JSON.stringify(got[key]) !== JSON.stringify(truth[key]),
      );
      // A certificate proves itself: a damaged one deceives nobody who looks at it.
      const spoilt = got.qc !== truth.qc && !certifies(got, consortium.anchor);
      const proved =
        typeof got.receipt === 'string' && verifyReceipt(fromBase64url(got.receipt), consortium.anchor).ok;
      answers.push(
        differs ? 'other bytes' : spoilt ? 'a certificate that fails' : proved ? 'true, proved' : 'true',
      );
      if (differs) scene.violation(`${member.name} answers ${path.split('/')[3]} with damaged bytes`);
    } catch (error) {
      answers.push(error instanceof CodedError ? error.code : String(error));
    }
  }
  scene.fact('reads', answers.join('; '));
}

function certifies({ header, qc }: Record<string, unknown>, anchor: LedgerAnchor): boolean {
  if (typeof header !== 'string' || typeof qc !== 'string') return false;
  const bytes = fromBase64url(header);
  const set = validatorsAt(anchor, PBFT_LITE.readHeader(bytes).height);
  return PBFT_LITE.verifyQc(bytes, fromBase64url(qc), set) === undefined;
}

const WAL_DAMAGE: readonly WalDamage[] = ['a record', 'the boot file', 'the last record'];

/** A bit of the log of votes flips: the member must not vote on what it no longer knows. */
async function flipWal(scene: Scene): Promise<void> {
  const { consortium, random, turn } = scene;
  const what = WAL_DAMAGE[turn % WAL_DAMAGE.length];
  const member = random.pick(consortium.members);
  await member.kill();
  scene.fact('victim', member.name);
  scene.fact('flipped', damageWal(join(member.dir, 'wal'), what, random));
  member.start();
  await member.ready();
  const named = member.events.some(({ event }) => event === 'consensus.wal_damaged');
  scene.fact('named', named);
  if (what !== 'the last record' && !named)
    scene.violation(`${member.name} did not name the damage of its log`);
}

export const LEDGER_FAULTS = {
  'leader killed': (scene: Scene, cores: number) => killOne(scene, 'leader', cores),
  'follower killed': (scene: Scene, cores: number) => killOne(scene, 'follower', cores),
  'two killed': (scene: Scene) => killTwo(scene),
  'all killed': (scene: Scene) => killAll(scene),
  paused: (scene: Scene, cores: number) => pause(scene, cores),
  'links cut': (scene: Scene) => cutLinks(scene),
  'disk full': (scene: Scene) => fillDisk(scene),
  'block flipped': (scene: Scene) => flipBlock(scene),
  'wal flipped': (scene: Scene) => flipWal(scene),
} as const;

export type LedgerFault = keyof typeof LEDGER_FAULTS;
