/** SIGKILL at random moments of what a custodian's stores do, with a start and a look at everything after each. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { People, type Person } from '../../src/cli/tour/people.ts';
import type { Gateway } from '../../src/client/index.ts';
import { toHex } from '../../src/codec/bytes.ts';
import { Random } from '../../src/consensus/sim/random.ts';
import { Consortium } from './consortium.ts';
import { verifyStore } from './evidence.ts';
import { Book, CODES, openProblem } from './storage-book.ts';
import { caughtUp, indexProblem, sampleProblems } from './storage-checks.ts';
import { type DamageResult, damagePayloads } from './storage-damage.ts';
import { type Operation, STORAGE_OPERATIONS, type Stage } from './storage-operations.ts';

export interface StorageMomentsOptions {
  readonly moments: number;
  readonly seed: number;
  /** The built command. */
  readonly command: string;
  /** Names of operations; all by default. */
  readonly operations?: readonly string[];
  /** Each operation is measured once, and fewer records are opened at the end. */
  readonly quick?: boolean;
  readonly log?: (line: string) => void;
}

export interface Moment {
  readonly moment: number;
  readonly operation: string;
  /** How far into the operation, measured by how long it takes undisturbed; undefined when it was over already. */
  readonly at: number | undefined;
  readonly after_ms: number;
  readonly restart_ms: number;
  readonly violations: readonly string[];
}

export interface StorageSummary {
  readonly seed: number;
  readonly moments: readonly Moment[];
  /** Milliseconds that each operation takes undisturbed. */
  readonly durations: Readonly<Record<string, number>>;
  readonly damage: readonly DamageResult[];
  readonly records: number;
  readonly erased: number;
  readonly violations: readonly string[];
}

/** Undisturbed runs by which an operation's length is known. */
const MEASURED = 2;
/** Thousandths of an operation's length: the last tenth is over too often to be worth a draw. */
const LATEST = 920;
/** A moment that came too late is drawn again, at most so often. */
const DRAWS_MAX = 4;
/** Records that are opened at the end, spread over all that were acknowledged. */
const OPENED = 200;
const VICTIM = 'mercy';
/** Searches of one researcher. */
const SEARCHES_EACH = 30;
const STAFF = {
  author: { name: 'import', attributes: ['mercy/right:author', 'mercy/right:registrar'], kind: 'system' },
  nurse: { name: 'nurse', attributes: ['mercy/role:nurse', 'mercy/role:attending'], kind: 'person' },
  researcher: { name: 'researcher', attributes: ['mercy/role:researcher'], kind: 'person' },
} as const;

export async function storageMoments(options: StorageMomentsOptions): Promise<StorageSummary> {
  const log = options.log ?? (() => undefined);
  const dir = mkdtempSync(join(tmpdir(), 'hippocrypt-moments-'));
  const random = new Random(options.seed);
  writeFileSync(join(dir, 'backup.key'), random.bytes(64));
  const backup = { to: join(dir, 'live'), keyFile: join(dir, 'backup.key'), everyMinutes: 1 };
  const consortium = await Consortium.start({
    dir,
    command: options.command,
    extra: (member) => (member === VICTIM ? { backup } : {}),
  });
  const run = await Run.open(consortium, options, dir, random);
  let finished = false;
  try {
    const operations = STORAGE_OPERATIONS.filter(({ name }) => options.operations?.includes(name) ?? true);
    for (const operation of operations) await run.measure(operation);
    log(JSON.stringify({ durations: run.summary().durations }));
    for (let moment = 1; moment <= options.moments; moment++)
      log(JSON.stringify(await run.moment(moment, operations[(moment - 1) % operations.length])));
    await run.damage();
    await run.lookAtEverything();
    finished = true;
    return run.summary();
  } finally {
    await consortium.stop();
    if (finished && run.summary().violations.length === 0) rmSync(dir, { recursive: true, force: true });
    else log(JSON.stringify({ kept: dir }));
  }
}

class Run {
  readonly #consortium: Consortium;
  readonly #options: StorageMomentsOptions;
  readonly #stage: Stage;
  readonly #researcher: () => Promise<Gateway>;
  readonly #random: Random;
  readonly #durations: Record<string, number> = {};
  readonly #moments: Moment[] = [];
  readonly #violations: string[] = [];
  #damage: readonly DamageResult[] = [];

  private constructor(
    consortium: Consortium,
    options: StorageMomentsOptions,
    stage: Stage,
    researcher: () => Promise<Gateway>,
    random: Random,
  ) {
    this.#consortium = consortium;
    this.#options = options;
    this.#stage = stage;
    this.#researcher = researcher;
    this.#random = random;
  }

  static async open(
    consortium: Consortium,
    options: StorageMomentsOptions,
    dir: string,
    random: Random,
  ): Promise<Run> {
    const urls = new Map(consortium.members.map(({ name, url }) => [name, url]));
    const people = await People.open(join(dir, 'people'), urls);
    const enrol = async ({
      name,
      attributes,
      kind,
    }: Pick<Person, 'name' | 'attributes' | 'kind'>): Promise<Gateway> =>
      (await people.enrol({ name, attributes, kind, member: VICTIM, custody: 'gateway' })).gateway;
    const author = await enrol(STAFF.author);
    const nurse = await enrol(STAFF.nurse);
    let searches = 0;
    let current: Gateway | undefined;
    // A day's budget is used up by fewer searches than a long run makes.
    const researcher = async (): Promise<Gateway> => {
      if (current === undefined || ++searches % SEARCHES_EACH === 0)
        current = await enrol({ ...STAFF.researcher, name: `researcher-${searches}` });
      return current;
    };
    let names = 0;
    const stage: Stage = {
      consortium,
      victim: consortium.member(VICTIM),
      book: new Book(),
      random,
      command: options.command,
      dir,
      author,
      nurse,
      reader: (member) => people.admin(member),
      name: () => `${options.seed}-${names++}`,
    };
    return new Run(consortium, options, stage, researcher, random);
  }

  /** Runs an operation undisturbed and keeps how long it takes. */
  async measure(operation: Operation): Promise<void> {
    const times: number[] = [];
    for (let i = 0; i < (this.#options.quick ? 1 : MEASURED); i++) {
      await operation.prepare?.(this.#stage);
      const from = performance.now();
      const started = await operation.begin(this.#stage);
      const began = operation.name === 'index' ? performance.now() : from;
      await started.over;
      times.push(performance.now() - began);
      await this.#up();
      this.#note(0, operation.name, await started.check());
    }
    this.#durations[operation.name] = Math.round(Math.max(...times));
  }

  async moment(moment: number, operation: Operation): Promise<Moment> {
    const { victim } = this.#stage;
    for (let draw = 1; ; draw++) {
      const at = this.#random.below(LATEST) / 1_000;
      const after = at * this.#durations[operation.name];
      await operation.prepare?.(this.#stage);
      const started = await operation.begin(this.#stage);
      let over = false;
      void started.over.then(() => {
        over = true;
      });
      await delay(after);
      const late = over;
      await started.kill();
      const from = performance.now();
      await this.#up();
      const restart = performance.now() - from;
      const problems = [
        ...(await started.check()),
        await caughtUp(victim),
        ...(await sampleProblems(
          this.#random,
          this.#stage.book,
          this.#stage.nurse,
          await this.#researcher(),
        )),
      ];
      const violations = this.#note(moment, operation.name, problems);
      if (late && draw < DRAWS_MAX && violations.length === 0) continue;
      const done: Moment = {
        moment,
        operation: operation.name,
        at: late ? undefined : at,
        after_ms: Math.round(after),
        restart_ms: Math.round(restart),
        violations,
      };
      this.#moments.push(done);
      return done;
    }
  }

  async damage(): Promise<void> {
    this.#damage = await damagePayloads(this.#stage);
    for (const { damage, outcome, problem } of this.#damage)
      if (problem !== undefined) this.#violations.push(`${damage}: ${outcome}: ${problem}`);
    await this.#up();
  }

  /** Everything that was ever acknowledged, every code, and every member's ledger. */
  async lookAtEverything(): Promise<void> {
    const { book, nurse, command, dir } = this.#stage;
    const problems: (string | undefined)[] = [];
    const living = book.living;
    const opened = this.#options.quick ? OPENED / 10 : OPENED;
    for (let i = 0; i < living.length; i += Math.ceil(living.length / opened))
      problems.push(await openProblem(nurse, living[i]));
    for (const code of CODES) problems.push(await indexProblem(await this.#researcher(), book, code));
    const genesis = toHex(this.#consortium.anchor.genesisEntry);
    const { report } = await verifyStore(this.#stage.victim, { command, genesis, dir });
    if (!report.ok) problems.push(`ledger verify: ${JSON.stringify(report.failures[0])}`);
    this.#note(this.#options.moments, 'everything', problems);
  }

  summary(): StorageSummary {
    const { book } = this.#stage;
    return {
      seed: this.#options.seed,
      moments: this.#moments,
      durations: this.#durations,
      damage: this.#damage,
      records: book.all.length,
      erased: book.all.length - book.living.length,
      violations: this.#violations,
    };
  }

  async #up(): Promise<void> {
    const { victim } = this.#stage;
    if (!victim.running) victim.start();
    await victim.ready();
  }

  #note(moment: number, operation: string, problems: readonly (string | undefined)[]): string[] {
    const violations = problems.filter((one) => one !== undefined);
    this.#violations.push(...violations.map((what) => `moment ${moment}, ${operation}: ${what}`));
    return violations;
  }
}
