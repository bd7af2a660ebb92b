/**
 * The tour: what Hippocrypt exists for, walked step by step over the REST API and the SDK on a running consortium. Each
 * step prints one line with its figure and the receipt of the entry it made; a step that does not hold ends it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Committed, Hippocrypt, platformRandom, type RecordInfo } from '../../client/index.ts';
import { equalBytes, fromBase64url, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { ImportSource } from '../import.ts';
import { type Output, paint } from '../output.ts';
import { flipOneByte, verifyExport } from '../verify.ts';
import { joined, opensByEquations, type Target, withAllGates, withoutGate } from './attacks.ts';
import type { Cast } from './cast.ts';
import { importSources, type TourImport } from './importing.ts';
import { People } from './people.ts';
import type { Stage } from './stage.ts';

export interface TourOptions {
  readonly stage: Stage;
  readonly dir: string;
  readonly source: ImportSource;
  readonly output: Output;
}

export interface TourStep {
  readonly step: string;
  readonly text: string;
  readonly ms: number;
  readonly entryId: string | null;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** A claim of the tour that must hold. */
function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new CodedError('tour.failed', `the tour expected that ${what}`);
}

class Walk {
  readonly steps: TourStep[] = [];
  readonly #output: Output;
  #started = performance.now();

  constructor(output: Output) {
    this.#output = output;
  }

  /** Ends a step: one line with its letter, what happened, how long it took, and the entry's receipt. */
  done(step: string, text: string, committed?: Committed): void {
    const ms = performance.now() - this.#started;
    const entry =
      committed === undefined ? '' : `  entry ${committed.index} ${committed.entryId.slice(0, 12)}`;
    const proof =
      committed === undefined ? '' : committed.receipt === null ? ' (receipt pending)' : ' receipt ok';
    this.#output.line(
      `${paint('green', 'ok')} ${paint('bold', step)}  ${text} ${paint('dim', `(${figure(ms)})${entry}${proof}`)}`,
    );
    this.steps.push({ step, text, ms: Math.round(ms), entryId: committed?.entryId ?? null });
    this.begin();
  }

  begin(): void {
    this.#started = performance.now();
  }
}

const figure = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Walks the tour. Throws `tour.failed` or the code of what went wrong. */
export async function runTour(options: TourOptions): Promise<readonly TourStep[]> {
  const { stage, dir, output } = options;
  const walk = new Walk(output);
  const people = await People.open(join(dir, 'people'), stage.urls);
  await stepKey(stage, walk);
  const imported = await importSources({
    ...options,
    people,
    onEnrolled: (text, last) => walk.done('b', text, last),
  });
  const { summary } = imported;
  if (summary !== null) {
    const rate = Math.round(summary.records / summary.seconds);
    for (const one of summary.refused.slice(0, 20)) {
      output.note(`refused ${one.file}: ${one.code} ${one.message} at ${JSON.stringify(one.position)}`);
    }
    const more = summary.refused.length === 0 ? '' : `, ${summary.refused.length} refused`;
    walk.done(
      'c',
      `${summary.records} records of ${summary.patients} patients sealed, stored, indexed and committed: ${rate} records/s${more}`,
      summary.entries.at(-1),
    );
  } else walk.done('c', `${imported.count} records are here from an earlier start`);
  const record = await stepOpen(imported, walk);
  await stepDeny(stage, imported, record, walk);
  await stepSearch(imported, walk);
  await stepConsent(imported, record, walk);
  await stepPolicy(imported, record, walk);
  await stepVerify(imported, dir, output, walk);
  return walk.steps;
}

async function stepKey(stage: Stage, walk: Walk): Promise<void> {
  const [url] = stage.urls.values();
  const { context } = await Hippocrypt.connect({ url });
  const keys = await context.authorityKeys();
  walk.done(
    'a',
    `${keys.n} authorities made the public key ${toHex(keys.mpk.hash).slice(0, 12)} without a dealer; any ${keys.t} of them make a key`,
  );
}

/** d, e: a doctor requests a key and opens a record; the plaintext is what was imported, byte for byte. */
async function stepOpen(imported: TourImport, walk: Walk): Promise<RecordInfo> {
  const { doctor, cast, sample } = imported;
  walk.begin();
  const key = await doctor.keys.request();
  must(
    key.received.length >= key.combined.length && key.rejected.length === 0,
    'all parts of the key are good',
  );
  walk.done(
    'd',
    `the ${title(cast)} asked for a key over ${key.attributes.length} attributes: ${key.received.length} parts came, ${key.combined.length} verified and combined`,
    key.committed,
  );
  const opened = await doctor.records.open(sample.record);
  must(equalBytes(opened.plaintext, fromBase64url(sample.content)), 'the plaintext equals what was imported');
  const receipt = await doctor.anchors.receipt(opened.access.receipt ?? '');
  must(receipt.ok, 'the receipt of the access verifies offline');
  walk.done(
    'e',
    `opened ${sample.resourceType} ${sample.record.slice(0, 12)} on the client: ${opened.plaintext.length} bytes, equal to the source`,
    opened.access,
  );
  return opened.record;
}

/** f: a clerk is denied; then the equations themselves are attacked. */
async function stepDeny(stage: Stage, imported: TourImport, record: RecordInfo, walk: Walk): Promise<void> {
  const { clerk, doctor } = imported;
  const denied = await clerk.records.access([record], 'payment');
  must(!denied.verdicts[0].granted, 'the clerk is denied');
  must(denied.parts.parts.length === 0, 'no authority released a gate to the clerk');
  const why = await clerk.records.explain(record.record);
  walk.done(
    'f',
    `the billing clerk is denied (${denied.verdicts[0].reason}: ${firstLine(why.explanation)})`,
    denied.committed,
  );

  const group = await doctor.context.group();
  const header = await doctor.records.header(record);
  const registry = await doctor.proven.registry();
  const target: Target = { group, keys: await doctor.context.authorityKeys(), registry, header };
  const shares = await stage.shares();
  const doctorRing = (await doctor.records.access([record], 'treatment')).ring;
  const clerkRing = withAllGates(target, await clerk.keys.current(), shares);
  must(opensByEquations(target, doctorRing, platformRandom), "the doctor's key opens by the raw equations");
  must(
    !opensByEquations(target, joined(clerkRing, doctorRing), platformRandom),
    "the clerk's key with all gate parts and a doctor's points does not open",
  );
  must(
    !opensByEquations(target, withoutGate(target, await doctor.keys.current()), platformRandom),
    "the doctor's key without the gate does not open",
  );
  walk.done(
    'f',
    `raw equations, checks bypassed: clerk with ${shares.length === 0 ? "the doctor's" : 'every gate part and borrowed'} points fails; doctor without the gate fails`,
  );
}

/** g: a researcher searches over all hospitals; the answer equals the plain scan, and each hit's access is decided. */
async function stepSearch(imported: TourImport, walk: Walk): Promise<void> {
  const { researcher, cast, expected } = imported;
  walk.begin();
  const found = await researcher.search.query(cast.query, { purpose: 'research' });
  must(
    found.missing.length === 0,
    `every custodian answered (${found.missing.map((one) => one.code).join(', ')})`,
  );
  must(
    found.patients.length === expected.length &&
      found.patients.every((patient, i) => patient === expected[i]),
    `the search finds the ${expected.length} patients of the plain scan, and it found ${found.patients.length}`,
  );
  const custodians = new Set(found.records.map((hit) => hit.custodian));
  walk.done(
    'g',
    `"${cast.query}": ${found.patients.length} patients at ${custodians.size} hospitals, as the plain scan says; ${found.evaluated} keywords evaluated blind, ${Math.round(found.cost.bytes / 1024)} KiB of index verified`,
    found.committed.at(-1),
  );
  const hits = await Promise.all(found.records.slice(0, 64).map((hit) => researcher.records.get(hit.record)));
  const access = await researcher.records.access(hits, 'research');
  const granted = hits.filter((_, i) => access.verdicts[i].granted);
  if (granted.length > 0) {
    const header = await researcher.records.header(granted[0]);
    await researcher.records.dataKey(granted[0], access.ring, header);
  }
  walk.done(
    'g',
    `of ${hits.length} records behind the hits the researcher may open ${granted.length}`,
    access.committed,
  );
}

/** h: consent for a doctor of another hospital, and its end. */
async function stepConsent(imported: TourImport, record: RecordInfo, walk: Walk): Promise<void> {
  const { visitor, patient, cast } = imported;
  walk.begin();
  const before = await visitor.records.access([record], 'treatment');
  must(!before.verdicts[0].granted, `the doctor of ${cast.other} is denied before the consent`);
  const asked = await visitor.consents.request(record.patient ?? '', new Date(Date.now() + 30 * DAY_MS));
  patient.gateway.see(asked.height);
  const accepted = await patient.consents.accept(asked.entryId);
  visitor.gateway.see(accepted.height);
  const opened = await visitor.records.open(record.record);
  walk.done(
    'h',
    `the patient accepted a 30-day consent; the doctor of ${cast.other} opened ${opened.plaintext.length} bytes`,
    accepted,
  );
  const revoked = await patient.consents.revoke(asked.entryId);
  visitor.gateway.see(revoked.height);
  const after = await visitor.records.access([record], 'treatment');
  must(!after.verdicts[0].granted, 'the doctor is denied after the consent was revoked');
  walk.done('h', `the patient revoked it; the next access is denied (${after.verdicts[0].reason})`, revoked);
}

/** i: another policy, the same payload. */
async function stepPolicy(imported: TourImport, record: RecordInfo, walk: Walk): Promise<void> {
  const { doctor, cast } = imported;
  const addition = ` or ${cast.home}/role:auditor and ${cast.home}/dept:${cast.department}`;
  const policy = record.policy.includes(addition)
    ? record.policy.replace(addition, '')
    : `${record.policy}${addition}`;
  const changed = await doctor.records.changePolicy(record.record, policy);
  const after = await doctor.records.get(record.record);
  must(after.cid === record.cid, 'the CID is the same before and after');
  must(after.version === record.version + 1 && after.policy !== record.policy, 'the policy is another one');
  const opened = await doctor.records.open(record.record);
  must(equalBytes(opened.plaintext, fromBase64url(imported.sample.content)), 'the record opens as before');
  walk.done(
    'i',
    `policy changed to version ${after.version}; CID ${after.cid?.slice(0, 16)}... unchanged, payload untouched`,
    changed,
  );
}

/** j: everything is recomputed; then one byte of a copy is flipped. */
async function stepVerify(imported: TourImport, dir: string, output: Output, walk: Walk): Promise<void> {
  const { doctor } = imported;
  const path = join(dir, 'ledger-export.ndjson');
  await writeFile(path, await doctor.gateway.bytes('GET', '/v1/ledger/export'));
  const anchor = await doctor.anchors.anchor();
  const good = await verifyExport(path, anchor);
  must(good.ok, `the ledger verifies (${good.failures[0]?.what ?? ''})`);
  walk.done(
    'j',
    `ledger verify: ${good.blocks} blocks, ${good.entries} entries, all proofs, signatures and state roots recomputed: ok`,
  );
  const copy = join(dir, 'ledger-tampered.ndjson');
  const flipped = flipOneByte(await readFile(path, 'utf8'));
  await writeFile(copy, flipped.text);
  const bad = await verifyExport(copy, anchor);
  const named = bad.failures.find((failure) => failure.index === flipped.index);
  must(!bad.ok && named !== undefined, `verify names entry ${flipped.index}`);
  output.line(
    `${paint('red', 'x')}     ${paint('red', `tampered copy: entry ${named.index} at height ${named.height} fails (${named.what})`)}`,
  );
  walk.done(
    'j',
    `one byte flipped in a copy: verify names entry ${named.index} and ${bad.failures.length} failures in all`,
  );
}

const title = (cast: Cast): string =>
  cast.department === 'cardiology' ? 'cardiologist' : `doctor of ${cast.department}`;

const firstLine = (text: string): string => text.split('\n', 1)[0];
