/**
 * Damage to the payload store of a stopped custodian: torn files, flipped bits, missing blocks. A read must give the
 * record as it was, from another member's copy, or refuse; it never gives other bytes.
 */
import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { flipAt } from './damage.ts';
import { type Content, conditionOf, openProblem, type PutAnswer, putBody } from './storage-book.ts';
import { caughtUp, partsOf } from './storage-checks.ts';
import type { Stage } from './storage-operations.ts';

export interface DamageResult {
  readonly damage: string;
  /** What a reader got. */
  readonly outcome: string;
  readonly problem?: string;
}

type Harm = (path: string, stage: Stage) => void;

const HARMS: Readonly<Record<string, Harm>> = {
  'a torn file': (path, { random }) => truncateSync(path, random.below(statSync(path).size)),
  'an empty file': (path) => truncateSync(path, 0),
  'a flipped bit': (path, { random }) => flipAt(path, random.below(statSync(path).size), random.below(8)),
  'a missing block': (path) => rmSync(path),
};

/** Each harm to a fresh record of several blocks, with its copy in place, and once more with the copy's holder away. */
export async function damagePayloads(stage: Stage): Promise<DamageResult[]> {
  const results: DamageResult[] = [];
  for (const [damage, harm] of Object.entries(HARMS)) {
    results.push(...(await oneDamage(stage, damage, harm)));
  }
  return results;
}

async function oneDamage(stage: Stage, damage: string, harm: Harm): Promise<DamageResult[]> {
  const { victim, author, nurse, book, random, consortium } = stage;
  const content: Content = conditionOf(random, `damage-${stage.name()}`, 1_200_000);
  const before = new Set(filesOf(victim.dir));
  const { records } = await author.json<PutAnswer>('POST', '/v1/records', { body: putBody([content]) });
  book.add(records, [content]);
  const kept = book.get(records[0]);
  if (kept === undefined) throw new Error('the record was not kept');
  const others = consortium.members.filter((member) => member !== victim);
  while (
    !(await copied(
      others.map(({ dir }) => dir),
      before,
      victim.dir,
    ))
  )
    await delay(100);
  await victim.stop();
  const mine = filesOf(victim.dir).filter((path) => !before.has(path));
  harm(random.pick(mine), stage);
  victim.start();
  await victim.ready();
  const results: DamageResult[] = [];
  const problem = await openProblem(nurse, kept);
  results.push({
    damage: `${damage}, copy elsewhere`,
    outcome: problem === undefined ? 'repaired from a copy' : problem,
    ...(problem === undefined ? {} : { problem: 'a copy was there' }),
  });
  const late = await caughtUp(victim);
  if (late !== undefined) results.push({ damage, outcome: late, problem: 'the node does not settle' });
  const parts = await partsOf(victim);
  if (parts === undefined)
    results.push({ damage, outcome: 'no status', problem: 'the node does not answer' });
  return results;
}

/** Whether all new block files of the custodian lie with some other member too. */
async function copied(dirs: readonly string[], before: ReadonlySet<string>, own: string): Promise<boolean> {
  const names = filesOf(own)
    .filter((path) => !before.has(path))
    .map(nameOf);
  return (
    names.length > 0 &&
    dirs.some((dir) => {
      const there = new Set(filesOf(dir).map(nameOf));
      return names.every((name) => there.has(name));
    })
  );
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function filesOf(dir: string): string[] {
  const root = join(dir, 'blocks', 'files');
  return readdirSync(root).flatMap((sub) =>
    readdirSync(join(root, sub)).map((name) => join(root, sub, name)),
  );
}
