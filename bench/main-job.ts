/**
 * The main job, measured from outside: four hospitals in one process behind their REST APIs, and their users in this
 * one, with the SDK and the import client. Nothing is called that a user could not call; what is opened and found is
 * compared with its source before its time counts. Targets are absolute, for two cores and an idle machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Row } from './harness/row.ts';
import { startServer } from './main-job/consortium.ts';
import { findCorpus, importBundles } from './main-job/importing.ts';
import { enrol, signInAdmins } from './main-job/people.ts';
import { reads } from './main-job/reads.ts';
import { commits, doctorAttributes, keyRequests, putAndOpen } from './main-job/records.ts';
import { searches } from './main-job/searching.ts';

export interface MainJobOptions {
  /** Fewer runs, fewer bundles. */
  readonly quick?: boolean;
  /** Where the members keep their data; the system's temporary directory unless told. */
  readonly directory?: string;
  /** The checkout, for the sample; the working directory unless told. */
  readonly root?: string;
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

/** All rows, in order of running. Takes a minute or two on two cores; a quarter of that when quick. */
export async function runMainJobBench(options: MainJobOptions = {}): Promise<Row[]> {
  const { quick = false, log = () => undefined, root = process.cwd() } = options;
  const runs = quick ? 10 : 40;
  const dir = mkdtempSync(join(options.directory ?? tmpdir(), 'hippocrypt-bench-main-'));
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    log(
      `${row.op}: p50 ${row.p50_ms} ms${row.met === undefined ? '' : row.met ? ', target met' : ', target missed'}`,
    );
  };
  const begin = performance.now();
  const consortium = await startServer(join(dir, 'consortium'), log);
  try {
    const ms = Math.round(performance.now() - begin);
    add({
      suite: 'main',
      op: 'found a consortium of 4, with its key ceremony',
      n: 1,
      p50_ms: ms,
      p95_ms: ms,
    });
    const bench = { consortium, runs };
    const members = [...consortium.urls.keys()];
    const [home, ...others] = members;
    const admins = await signInAdmins(consortium);
    const attributes = doctorAttributes(home);
    const asker = await enrol(consortium, admins, {
      name: 'asker',
      member: home,
      attributes,
      custody: 'client',
    });
    const doctor = await enrol(consortium, admins, {
      name: 'doctor',
      member: home,
      attributes: [`${home}/role:doctor`, `${home}/dept:general`, `${home}/right:author`],
      custody: 'client',
    });
    const nurse = await enrol(consortium, admins, {
      name: 'nurse',
      member: home,
      attributes: [`${home}/role:nurse`, `${home}/dept:general`],
      custody: 'gateway',
    });
    const researcher = await enrol(consortium, admins, {
      name: 'researcher',
      member: others[others.length - 1],
      attributes: members.map((member) => `${member}/role:researcher`),
      custody: 'client',
    });

    const admin = admins.get(home);
    if (admin !== undefined) add(await commits(bench, nurse, admin, home));
    add(await keyRequests(bench, asker, attributes));
    const opened = await putAndOpen(bench, doctor, nurse);
    for (const row of opened.rows) add(row);
    const corpus = findCorpus(root, log);
    const imported = await importBundles({
      consortium,
      corpus,
      bundles: quick ? 8 : 40,
      before: opened.records.length,
    });
    add(imported.row);
    for (const row of await searches({
      consortium,
      connect: researcher,
      records: imported.records,
      cold: quick ? 3 : 8,
      warm: quick ? 8 : 30,
    })) {
      add(row);
    }
    const ids = imported.records.slice(0, 200).map((one) => one.record);
    for (const row of (await reads({ consortium, records: ids, seconds: quick ? 3 : 10 })).rows) add(row);
    return rows;
  } finally {
    await consortium.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
