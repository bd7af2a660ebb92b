/**
 * The ledger's evidence: appending to the log, proving and verifying entries and state, checkpoints and receipts, on the
 * store that nodes use. Block of 100 leaves, batch of 300 keys; receipts at n = 4 with a quorum of cosignatures.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { u32be, utf8 } from '../src/codec/bytes.ts';
import { sha256 } from '../src/codec/hash.ts';
import { ed25519Signer } from '../src/codec/signature.ts';
import {
  assembleCheckpoint,
  checkpointBody,
  checkpointOrigin,
  cosign,
  verifyCheckpoint,
} from '../src/ledger/checkpoint/index.ts';
import { encodeLeaf } from '../src/ledger/entries/leaf.ts';
import { LOG_TABLE, LogTree } from '../src/ledger/log/index.ts';
import type { KvStore } from '../src/ledger/ports.ts';
import {
  encodeStateProof,
  proveState,
  STATE_NODE_TABLE,
  STATE_TABLE,
  stateRoot,
  updateState,
  verifyStateProof,
} from '../src/ledger/state-tree/index.ts';
import {
  encodeReceipt,
  leafHash,
  type TrustAnchor,
  verifyConsistency,
  verifyInclusion,
  verifyReceipt,
} from '../src/ledger/verify/index.ts';
import { openEnvironment } from '../src/storage/index.ts';
import { withTarget } from './harness/targets.ts';

/** One measurement; further keys as the operation needs them. */
export interface Row {
  readonly suite: 'ledger-log';
  readonly op: string;
  readonly n: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly [key: string]: string | number | boolean;
}

export interface LedgerLogBenchOptions {
  /** Entries in the log; a million unless told. */
  readonly entries?: number;
  /** Keys in the state; a million unless told. */
  readonly keys?: number;
  /** Where the store is made; the system's temporary directory unless told. */
  readonly directory?: string;
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

const BLOCK = 100;
const BATCH = 300;
const SAMPLES = 500;
const MEMBERS = ['alder', 'birch', 'cedar', 'dogwood'];
const origin = checkpointOrigin('bench');

const signerOf = (member: string) => ed25519Signer(sha256(utf8(`validator ${member}`)));

/** The rows in order of running: about a minute at a million of each. */
export async function runLedgerLogBench(options: LedgerLogBenchOptions = {}): Promise<Row[]> {
  const dir = mkdtempSync(join(options.directory ?? tmpdir(), 'hippocrypt-bench-ledger-log-'));
  const store = openEnvironment(dir, { tables: [LOG_TABLE, STATE_TABLE, STATE_NODE_TABLE] });
  const rows: Row[] = [];
  const add = (...more: Row[]): void => {
    rows.push(...more);
    for (const one of more) options.log?.(JSON.stringify(one));
  };
  try {
    const tree = await appends(store, options.entries ?? 1_000_000, add);
    add(...proofs(tree), ...receipts(tree));
    await states(store, options.keys ?? 1_000_000, add);
    return rows;
  } finally {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function appends(store: KvStore, entries: number, add: (row: Row) => void): Promise<LogTree> {
  let tree = LogTree.open(store);
  const times: number[] = [];
  while (tree.size < entries) {
    const leaves = Array.from({ length: Math.min(BLOCK, entries - tree.size) }, (_, i) =>
      leafHash(u32be(tree.size + i)),
    );
    const { ms, result } = timed(() => tree.append(leaves));
    times.push(ms);
    // The first write of a store would stand in for all: only tree work is timed, the store is written all the same.
    await store.write(result.ops);
    tree = result.tree.settled(store);
  }
  add(row('append a block of 100', entries, times, { us_per_leaf: round((1000 * median(times)) / BLOCK) }));
  return tree;
}

function proofs(tree: LogTree): Row[] {
  const { size } = tree;
  const root = tree.root();
  const places = Array.from({ length: SAMPLES }, (_, i) => (i * 7919) % size);
  const made = places.map((index) => timed(() => tree.inclusionProof(index)));
  const leaves = places.map((index) => tree.leafHash(index));
  const checked = places.map((index, i) =>
    timed(() => verifyInclusion(leaves[i], index, size, made[i].result, root)),
  );
  const newest = places.map((_, i) => timed(() => tree.inclusionProof(size - 1 - (i % BLOCK))));
  const older = places.map((index) => timed(() => tree.consistencyProof(index + 1)));
  const olderRoots = places.map((index) => tree.rootAt(index + 1));
  const olderChecked = places.map((index, i) =>
    timed(() => verifyConsistency(index + 1, size, older[i].result, olderRoots[i], root)),
  );
  if (![...checked, ...olderChecked].every(({ result }) => result))
    throw new Error('a proof does not verify');
  return [
    withTarget(
      row('prove inclusion', size, of(made), { bytes: mean(made.map(({ result }) => 32 * result.length)) }),
      'p50_ms < 1',
    ),
    row('prove inclusion, newest block', size, of(newest)),
    withTarget(row('verify inclusion', size, of(checked)), 'p50_ms < 0.2'),
    row('prove consistency', size, of(older), { bytes: mean(older.map(({ result }) => 32 * result.length)) }),
    row('verify consistency', size, of(olderChecked)),
  ];
}

function receipts(tree: LogTree): Row[] {
  const index = tree.size;
  const tx = new Uint8Array(256);
  const entry = encodeLeaf({ height: 9, index, time: 1_700_000_000_000, tx, item: 0, result: {} });
  const after = tree.append([leafHash(entry)]);
  const validators = MEMBERS.map((member) => ({ member, key: signerOf(member).publicKey.key }));
  const body = checkpointBody({
    origin,
    size: after.size,
    root: after.root,
    height: 9,
    time: 1_700_000_000_000,
    stateRoot: sha256(),
    epoch: 0,
  });
  const lines = MEMBERS.slice(0, 3).map((member) => cosign(body, origin, member, signerOf(member)));
  const checkpoint = assembleCheckpoint(body, lines);
  const set = { epoch: 0, validators };
  const anchor: TrustAnchor = { chainId: 'bench', genesisEntry: sha256(), periods: [{ ...set, from: 0 }] };
  const bytes = encodeReceipt({ entry, index, proof: after.tree.inclusionProof(index), checkpoint });
  const signer = signerOf('alder');
  const cosigned = repeated(() => cosign(body, origin, 'alder', signer));
  const notes = repeated(() => verifyCheckpoint(checkpoint, origin, set));
  const verified = repeated(() => verifyReceipt(bytes, anchor));
  if (!verified.every(({ result }) => result.ok)) throw new Error('the receipt does not verify');
  return [
    row('cosign a checkpoint', after.size, of(cosigned)),
    row('verify a checkpoint, 3 cosignatures', after.size, of(notes), { bytes: utf8(checkpoint).length }),
    withTarget(row('verify a receipt', after.size, of(verified), { bytes: bytes.length }), 'bytes <= 2048'),
  ];
}

async function states(store: KvStore, keys: number, add: (row: Row) => void): Promise<void> {
  const key = (i: number): Uint8Array => utf8(`record/${i}`);
  for (let from = 0; from < keys; from += 50_000) {
    const count = Math.min(50_000, keys - from);
    const batch = Array.from({ length: count }, (_, i) => [key(from + i), u32be(from + i)] as const);
    await store.write(updateState(store, batch).ops);
  }
  const times: number[] = [];
  for (let round_ = 0; round_ < 50; round_++) {
    // Half of the keys are new, half replaced, as in blocks of accesses and records.
    const batch = Array.from({ length: BATCH }, (_, i) => {
      const at = ((round_ * BATCH + i) * 104_729) % keys;
      return [i % 2 === 0 ? key(at) : utf8(`nonce/${round_}/${i}`), u32be(i)] as const;
    });
    const { ms, result } = timed(() => updateState(store, batch));
    times.push(ms);
    await store.write(result.ops);
  }
  add(row('update a state by 300 keys', keys, times, { us_per_key: round((1000 * median(times)) / BATCH) }));
  const root = stateRoot(store);
  const places = Array.from({ length: SAMPLES }, (_, i) => (i * 15_485_863) % keys);
  const made = places.map((at) => timed(() => proveState(store, key(at))));
  const checked = places.map((at, i) =>
    timed(() => verifyStateProof(root, key(at), store.get(STATE_TABLE, key(at)), made[i].result)),
  );
  if (!checked.every(({ result }) => result)) throw new Error('a state proof does not verify');
  const bytes = mean(made.map(({ result }) => encodeStateProof(result).length));
  add(row('prove a state key', keys, of(made), { bytes }));
  add(row('verify a state proof', keys, of(checked)));
}

function timed<T>(run: () => T): { readonly ms: number; readonly result: T } {
  const begin = performance.now();
  const result = run();
  return { ms: performance.now() - begin, result };
}

const repeated = <T>(run: () => T) => Array.from({ length: SAMPLES }, () => timed(run));
const of = (runs: readonly { readonly ms: number }[]): number[] => runs.map(({ ms }) => ms);
const at = (times: readonly number[], share: number): number =>
  times.toSorted((a, b) => a - b)[Math.floor(share * (times.length - 1))];
const median = (times: readonly number[]): number => at(times, 0.5);
const mean = (values: readonly number[]): number =>
  Math.round(values.reduce((sum, value) => sum + value, 0) / values.length);
const round = (value: number): number => Math.round(1000 * value) / 1000;

function row(op: string, n: number, times: readonly number[], more: Record<string, number> = {}): Row {
  return {
    suite: 'ledger-log',
    op,
    n,
    p50_ms: round(median(times)),
    p95_ms: round(at(times, 0.95)),
    ...more,
  };
}
