/**
 * Golden bytes: a ledger with every kind of entry, as it was first written. Every version, architecture and store must
 * reach the same leaves and roots, else validators part ways (ledger-security 10). A deliberate change of the rules
 * takes a new protocol version and a new file, written with GOLDEN_WRITE=1 and a reason in the commit.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import {
  decodeRequest,
  ENTRY_TYPES,
  encodeTransaction,
  type LedgerEngine,
  MachineReplay,
  type TransactionDraft,
} from '../../../src/ledger/index.ts';
import { SAMPLES } from '../entries/samples.ts';
import { START_MS, subjectOf } from '../support.ts';
import { culpritOf, everyKind } from './every-kind.ts';

interface GoldenBlock {
  readonly time: number;
  readonly batch: readonly string[];
  readonly leaves: readonly string[];
  readonly stateRoot: string;
}
interface Golden {
  readonly genesis: string;
  readonly blocks: readonly GoldenBlock[];
  readonly logRoot: string;
  readonly transactions: Readonly<Record<string, string>>;
}

const FILE = new URL('../../golden/ledger/every-kind-v4.json', import.meta.url);
const host = { verifies: verifySignature, culpritOf };
const replayOf = async (genesis: Uint8Array): Promise<MachineReplay> => {
  const replay = new MachineReplay(host);
  await replay.genesis(genesis);
  return replay;
};

const transactions = (): Record<string, string> =>
  Object.fromEntries(
    ENTRY_TYPES.map((type) => {
      const head = { chainId: 'test-net', subject: subjectOf('ada'), keyIx: 0, nonce: new Uint8Array(16) };
      const draft = {
        ...head,
        type,
        expiresAt: START_MS,
        body: SAMPLES[type],
      } as unknown as TransactionDraft;
      return [type, toBase64url(encodeTransaction(draft))];
    }),
  );

async function written(engine: LedgerEngine): Promise<Golden> {
  const genesis = engine.entryAt(0)?.bytes ?? utf8('');
  const replay = await replayOf(genesis);
  const blocks: GoldenBlock[] = [];
  for (let height = 1; height <= engine.head.height; height++) {
    const block = engine.block(height);
    if (block === undefined) throw new Error(`no block ${height}`);
    const { stateRoot } = await replay.block(block, block.batch);
    blocks.push({
      time: block.time,
      batch: block.batch.map(toBase64url),
      leaves: block.leaves.map(toBase64url),
      stateRoot: toHex(stateRoot),
    });
  }
  return {
    genesis: toBase64url(genesis),
    blocks,
    logRoot: toHex(engine.head.logRoot),
    transactions: transactions(),
  };
}

describe('golden ledger', () => {
  let golden: Golden;

  beforeAll(async () => {
    if (process.env.GOLDEN_WRITE === '1' || !existsSync(FILE)) {
      if (process.env.GOLDEN_WRITE !== '1') throw new Error('the golden file is missing: restore it');
      writeFileSync(FILE, `${JSON.stringify(await written((await everyKind()).engine), null, 1)}\n`);
    }
    golden = JSON.parse(readFileSync(FILE, 'utf8'));
  });

  it('holds every kind of entry', () => {
    const kinds = new Set<string>();
    for (const block of golden.blocks) {
      for (const request of block.batch) {
        kinds.add(decodeRequest(fromBase64url(request)).transaction.type);
      }
    }
    expect([...kinds].sort()).toEqual([...ENTRY_TYPES].sort());
  });

  it('replays to the very leaves and state roots', async () => {
    const replay = await replayOf(fromBase64url(golden.genesis));
    for (const [i, block] of golden.blocks.entries()) {
      const batch = block.batch.map(fromBase64url);
      const { leaves, stateRoot } = await replay.block({ height: i + 1, time: block.time }, batch);
      expect(leaves.map(toBase64url), `block ${i + 1}`).toEqual(block.leaves);
      expect(toHex(stateRoot), `block ${i + 1}`).toBe(block.stateRoot);
    }
  });

  it('is what the same requests give today, through the engine', async () => {
    const { engine } = await everyKind();
    expect(toHex(engine.head.logRoot)).toBe(golden.logRoot);
    expect(toHex(engine.head.stateRoot)).toBe(golden.blocks.at(-1)?.stateRoot);
  });

  it('one transaction of each kind has the same bytes', () => {
    expect(transactions()).toEqual(golden.transactions);
  });
});
