/** What must hold after every round, asked through the doors that an auditor has: receipts, exports, `ledger verify`. */
import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fromBase64url, toHex } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import {
  type Checkpoint,
  decodeLine,
  decodeReceipt,
  type LedgerAnchor,
  type LedgerReport,
  leafHash,
  verifyInclusion,
  verifyReceipt,
} from '../../src/ledger/verify/index.ts';
import type { Acknowledged } from './load.ts';
import type { Member } from './member.ts';

/** Reads under way at one member. */
const READERS = 4;
/** A receipt comes with the cosignatures, at the latest so long after the question. */
const RECEIPT_TRIES = 10;

interface EntryAnswer {
  readonly entry: { readonly entryId: string };
  readonly receipt: string | null;
}

/** Acknowledged entries that `member` does not have with a receipt that verifies, each with the reason. */
export async function lostAt(
  member: Member,
  acknowledged: readonly Acknowledged[],
  anchor: LedgerAnchor,
): Promise<string[]> {
  const lost: string[] = [];
  const open = acknowledged.values();
  const vouched: Vouched = new Map();
  const reader = async (): Promise<void> => {
    for (const { entryId } of open) {
      const reason = await whyLost(member, entryId, anchor, vouched);
      if (reason !== undefined) lost.push(`${entryId} at ${member.name}: ${reason}`);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return lost;
}

/** Checkpoints whose cosignatures were verified, with what they vouch for: most receipts of a quiet chain share one. */
type Vouched = Map<string, Checkpoint>;

async function whyLost(
  member: Member,
  entryId: string,
  anchor: LedgerAnchor,
  vouched: Vouched,
): Promise<string | undefined> {
  try {
    for (let i = 0; i < RECEIPT_TRIES; i++) {
      const { entry, receipt } = await member.gateway.json<EntryAnswer>(
        'GET',
        `/v1/ledger/entries/${entryId}`,
      );
      if (entry.entryId !== entryId) return `another entry was answered: ${entry.entryId}`;
      if (receipt === null) continue;
      return receiptProblem(fromBase64url(receipt), entryId, anchor, vouched);
    }
    return 'no quorum cosigned it';
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
}

function receiptProblem(
  bytes: Uint8Array,
  wanted: string,
  anchor: LedgerAnchor,
  vouched: Vouched,
): string | undefined {
  const receipt = decodeReceipt(bytes);
  const known = vouched.get(receipt.checkpoint);
  const hash = leafHash(receipt.entry);
  if (known === undefined) {
    const verdict = verifyReceipt(receipt, anchor);
    if (!verdict.ok) return `its receipt does not verify: ${verdict.code}`;
    vouched.set(receipt.checkpoint, verdict.checkpoint);
  } else if (!verifyInclusion(hash, receipt.index, known.size, receipt.proof, known.root)) {
    return 'its receipt does not verify: receipt.not_included';
  }
  return toHex(hash) === wanted ? undefined : `the receipt is for ${toHex(hash)}`;
}

export interface StoreReport {
  readonly member: string;
  readonly report: LedgerReport;
  /** Ids of all its entries. */
  readonly entries: ReadonlySet<string>;
  /** Hash over all its block headers up to the height asked for. */
  readonly chain: (height: number) => string;
}

/** Exports `member`'s whole ledger and has `hippocrypt ledger verify` recompute it. */
export async function verifyStore(
  member: Member,
  options: { readonly command: string; readonly genesis: string; readonly dir: string },
): Promise<StoreReport> {
  const path = join(options.dir, `${member.name}.ndjson`);
  await pipeline(
    Readable.from(member.gateway.stream('GET', '/v1/ledger/export', { timeoutMs: 300_000 })),
    createWriteStream(path),
  );
  try {
    const report = await verifyFile(path, options);
    const { entries, headers } = await contents(path);
    const chain = (height: number): string => toHex(sha256(Buffer.concat(headers.slice(0, height))));
    return { member: member.name, report, entries, chain };
  } finally {
    rmSync(path, { force: true });
  }
}

/** The command's own answer, as an auditor would get it. */
export async function verifyFile(
  path: string,
  { command, genesis }: { readonly command: string; readonly genesis: string },
): Promise<LedgerReport> {
  const child = spawn(
    process.execPath,
    [command, 'ledger', 'verify', path, '--genesis', genesis, '--json', '--quiet'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await new Promise((resolve) => child.once('close', resolve));
  try {
    return JSON.parse(stdout) as LedgerReport;
  } catch {
    throw new Error(`ledger verify gave no report: ${stderr}`);
  }
}

async function contents(path: string): Promise<{ entries: Set<string>; headers: Uint8Array[] }> {
  const entries = new Set<string>();
  const headers: Uint8Array[] = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const record = decodeLine(line);
    if (record.kind !== 'block') continue;
    headers.push(record.header);
    for (const leaf of record.leaves) entries.add(toHex(leafHash(leaf)));
  }
  return { entries, headers };
}
