/** The bytes of docs/format/ledger.md: its examples, and golden files that later versions must still read and write. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { FRONTIER_KEY, LOG_TABLE, LogTree } from '../../../src/ledger/log/index.ts';
import { MemoryStore } from '../../../src/ledger/ports.ts';
import {
  encodeStateProof,
  proveState,
  STATE_NODE_TABLE,
  updateState,
  verifyStateProof,
} from '../../../src/ledger/state-tree/index.ts';
import {
  encodeBlockLine,
  encodeGenesisLine,
  encodeReceipt,
  leafHash,
  RegisteredKeys,
  readExport,
  receiptFromJson,
  receiptToJson,
  verifyLedger,
  verifyReceipt,
} from '../../../src/ledger/verify/index.ts';
import { type Chain, consensus, makeChain } from './chain.ts';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');
const golden = (name: string): string => read(`test/golden/ledger/${name}`);

/** Text of the fenced block behind a heading `### Example: name`. */
function example(name: string): string {
  const match = new RegExp(`### Example: ${name}\\n[\\s\\S]*?\`\`\`\\w*\\n([\\s\\S]*?)\`\`\``).exec(
    read('docs/format/ledger.md'),
  );
  if (match === null) throw new Error(`docs/format/ledger.md has no example "${name}"`);
  return match[1];
}

let chain: Chain;
beforeAll(async () => {
  chain = await makeChain({ heights: 4 });
});

const receipt = () => {
  const [, entry] = chain.blocks[0].leaves;
  return {
    entry,
    index: 2,
    proof: chain.log.inclusionProof(2, chain.log.size),
    checkpoint: chain.checkpoints[3],
  };
};

describe('the log', () => {
  test('of the three leaves "a", "b", "c" is as in the example', async () => {
    const { leaves, root, frontier, inclusion, consistency } = JSON.parse(example('log'));
    const tree = LogTree.open(new MemoryStore()).append(leaves.map((leaf: string) => leafHash(utf8(leaf))));
    expect(toHex(tree.root)).toBe(root);
    expect(tree.tree.inclusionProof(1).map(toHex)).toEqual(inclusion);
    expect(tree.tree.consistencyProof(2).map(toHex)).toEqual(consistency);
    const store = new MemoryStore();
    await store.write(tree.ops);
    expect(toHex(store.get(LOG_TABLE, FRONTIER_KEY) ?? new Uint8Array())).toBe(frontier);
  });
});

describe('the state', () => {
  test('of three keys is as in the example: root, nodes by path, and proof', async () => {
    const { pairs, root, nodes, absent, proof } = JSON.parse(example('state'));
    const store = new MemoryStore();
    const changes = Object.entries<string>(pairs).map(([key, value]) => [utf8(key), utf8(value)] as const);
    const update = updateState(store, changes);
    await store.write(update.ops);
    expect(toHex(update.root)).toBe(root);
    const rows = [...store.range(STATE_NODE_TABLE, {})].map(([key, value]) => [toHex(key), toHex(value)]);
    expect(Object.fromEntries(rows)).toEqual(nodes);
    const made = proveState(store, utf8(absent));
    expect(toHex(encodeStateProof(made))).toBe(proof);
    expect(verifyStateProof(fromHex(root), utf8(absent), undefined, made)).toBe(true);
  });
});

describe('golden files of version 1', () => {
  test('checkpoint.txt', () => {
    expect(chain.checkpoints[3]).toBe(golden('checkpoint.txt'));
    expect(example('checkpoint')).toBe(golden('checkpoint.txt'));
  });

  test('receipt.hex and receipt.json are one receipt, and it verifies', () => {
    const bytes = encodeReceipt(receipt());
    expect(toHex(bytes)).toBe(golden('receipt.hex').trim());
    const json = JSON.parse(golden('receipt.json'));
    expect(receiptToJson(receipt())).toEqual(json);
    expect(toHex(encodeReceipt(receiptFromJson(json)))).toBe(toHex(bytes));
    expect(verifyReceipt(fromHex(golden('receipt.hex').trim()), chain.anchor).ok).toBe(true);
  });

  test('export.ndjson', async () => {
    const [first] = chain.records;
    if (first.kind !== 'genesis') throw new Error('expected genesis first');
    const lines = [encodeGenesisLine(first.chainId, first.leaf), ...chain.blocks.map(encodeBlockLine)];
    expect(`${lines.join('\n')}\n`).toBe(golden('export.ndjson'));
    const tools = { consensus, signatures: new RegisteredKeys() };
    const report = await verifyLedger(readExport(golden('export.ndjson').split('\n')), chain.anchor, tools);
    expect(report).toMatchObject({ ok: true, blocks: 4 });
  });
});
