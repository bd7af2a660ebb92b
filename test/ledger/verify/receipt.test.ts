/** Receipts: good ones hold offline, and nothing that differs from a good one by anything does. */
import { beforeAll, describe, expect, test } from 'vitest';
import { toHex, utf8 } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import {
  assembleCheckpoint,
  checkpointBody,
  checkpointOrigin,
  cosignAsWitness,
  parseCheckpoint,
} from '../../../src/ledger/checkpoint/index.ts';
import { encodeLeaf, entryId } from '../../../src/ledger/entries/leaf.ts';
import { LogTree } from '../../../src/ledger/log/index.ts';
import { MemoryStore } from '../../../src/ledger/ports.ts';
import {
  decodeReceipt,
  encodeReceipt,
  leafHash,
  type Receipt,
  receiptFromJson,
  receiptToJson,
  verifyReceipt,
} from '../../../src/ledger/verify/index.ts';
import { nodeHash } from '../../../src/ledger/verify/rfc6962.ts';
import {
  type Chain,
  certificate,
  consensus,
  cosigned,
  MEMBERS,
  makeChain,
  setOf,
  signerOf,
} from './chain.ts';

let chain: Chain;
let receipt: Receipt;

/** A receipt for entry `index` under the checkpoint of `height`. */
function receiptFor(from: Chain, index: number, height: number): Receipt {
  const checkpoint = from.checkpoints[height - 1];
  const { size } = parseCheckpoint(checkpoint).checkpoint;
  const entry = from.blocks.flatMap((block) => [...block.leaves])[index - 1];
  return { entry, index, proof: from.log.inclusionProof(index, size), checkpoint };
}

/** Root and proof of `leaf` at `index` in a tree whose other leaves are all alike: its subtrees are a few, by size. */
function amongEqualLeaves(leaf: Uint8Array, index: number, size: number) {
  const known = new Map<number, Uint8Array>([[1, sha256(utf8('other'))]]);
  const split = (count: number): number => 2 ** Math.floor(Math.log2(count - 1));
  const alike = (count: number): Uint8Array => {
    const hash = known.get(count) ?? nodeHash(alike(split(count)), alike(count - split(count)));
    known.set(count, hash);
    return hash;
  };
  const proof: Uint8Array[] = [];
  const climb = (at: number, count: number): Uint8Array => {
    if (count === 1) return leaf;
    const left = split(count);
    const isLeft = at < left;
    const own = isLeft ? climb(at, left) : climb(at - left, count - left);
    const sibling = alike(isLeft ? count - left : left);
    proof.push(sibling);
    return isLeft ? nodeHash(own, sibling) : nodeHash(sibling, own);
  };
  return { root: climb(index, size), proof };
}

const codeOf = (bytes: Uint8Array | Receipt, anchor = chain.anchor): string => {
  const verdict = verifyReceipt(bytes, anchor);
  return verdict.ok ? 'ok' : verdict.code;
};

beforeAll(async () => {
  chain = await makeChain({ heights: 6 });
  receipt = receiptFor(chain, 3, 6);
});

describe('a receipt', () => {
  test('holds for every entry under every later checkpoint, as bytes and as JSON', () => {
    for (let height = 1; height <= 6; height++) {
      const { size } = parseCheckpoint(chain.checkpoints[height - 1]).checkpoint;
      for (let index = 1; index < size; index++) {
        const one = receiptFor(chain, index, height);
        const verdict = verifyReceipt(encodeReceipt(one), chain.anchor);
        expect(verdict).toMatchObject({ ok: true, members: MEMBERS.slice(0, 3) });
        expect(verdict.ok && verdict.entryId).toBe(toHex(leafHash(one.entry)));
        const json: unknown = JSON.parse(JSON.stringify(receiptToJson(one)));
        expect(verifyReceipt(receiptFromJson(json), chain.anchor).ok).toBe(true);
      }
    }
  });

  test('fails with any byte changed, and with any byte cut off or added', () => {
    const bytes = encodeReceipt(receipt);
    for (let i = 0; i < bytes.length; i++) {
      for (const bit of [i % 8, (i + 5) % 8]) {
        const bent = new Uint8Array(bytes);
        bent[i] ^= 1 << bit;
        expect(codeOf(bent), `byte ${i} bit ${bit}`).not.toBe('ok');
      }
    }
    for (let i = 0; i < bytes.length; i += 7) expect(codeOf(bytes.subarray(0, i))).not.toBe('ok');
    expect(codeOf(Uint8Array.of(...bytes, 0))).not.toBe('ok');
  });

  test('fails with another entry, another place, or a proof of another size', () => {
    const other = receiptFor(chain, 4, 6);
    expect(codeOf({ ...receipt, entry: other.entry })).toBe('receipt.not_included');
    expect(codeOf({ ...receipt, index: 4 })).toBe('receipt.not_included');
    expect(codeOf({ ...other, proof: receipt.proof })).toBe('receipt.not_included');
    expect(codeOf({ ...receipt, proof: receipt.proof.slice(1) })).toBe('receipt.not_included');
    expect(codeOf({ ...receipt, proof: [...receipt.proof, receipt.proof[0]] })).toBe('receipt.not_included');
  });

  test('fails when the checkpoint is newer or older than the proof', () => {
    expect(codeOf({ ...receipt, checkpoint: chain.checkpoints[2] })).toBe('receipt.not_included');
    const older = receiptFor(chain, 3, 2);
    expect(codeOf(older)).toBe('ok');
    expect(codeOf({ ...older, checkpoint: chain.checkpoints[5] })).toBe('receipt.not_included');
  });

  test('fails with f+1 signatures, with one signer several times, and with lines of nobody known', () => {
    const { body } = parseCheckpoint(receipt.checkpoint);
    const lines = receipt.checkpoint.slice(body.length + 1).split(/(?<=\n)/);
    const with_ = (...chosen: string[]): string =>
      codeOf({ ...receipt, checkpoint: assembleCheckpoint(body, chosen) });
    expect(with_(...lines)).toBe('ok');
    expect(with_(lines[0], lines[1])).toBe('checkpoint.quorum');
    expect(with_(lines[0], lines[1], lines[1])).toBe('checkpoint.duplicate');
    const witness = cosignAsWitness(body, 'witness.example', signerOf('w'), 1_700_000_000);
    expect(with_(...lines, witness)).toBe('receipt.unknown_signature');
    const known = {
      ...chain.anchor,
      witnesses: [{ name: 'witness.example', key: signerOf('w').publicKey.key }],
    };
    const cosignedTwice = { ...receipt, checkpoint: assembleCheckpoint(body, [...lines, witness]) };
    expect(verifyReceipt(cosignedTwice, known)).toMatchObject({
      ok: true,
      witnesses: [{ name: 'witness.example', time: 1_700_000_000 }],
    });
  });

  test('fails under validators of another epoch, another chain, or a height nobody vouches for', () => {
    const { anchor } = chain;
    const late = { ...anchor, periods: [{ ...setOf(1, MEMBERS), from: 0 }] };
    expect(codeOf(receipt, late)).toBe('checkpoint.epoch');
    const wrongKeys = { ...anchor, periods: [{ ...setOf(1, MEMBERS), epoch: 0, from: 0 }] };
    expect(codeOf(receipt, wrongKeys)).toBe('checkpoint.quorum');
    expect(codeOf(receipt, { ...anchor, chainId: 'other' })).toBe('checkpoint.origin');
    const past = { ...anchor, periods: [{ ...anchor.periods[0], until: 6 }] };
    expect(codeOf(receipt, past)).toBe('anchor.unknown_height');
  });

  test('fails with COMMIT signatures pasted as cosignatures', () => {
    const { body, signatures, checkpoint } = parseCheckpoint(receipt.checkpoint);
    const header = chain.blocks[checkpoint.height - 1].header;
    const message = consensus.headerHash(header);
    const pasted = signatures.map(({ name, keyId }) => {
      const member = name.slice(name.lastIndexOf('/') + 1);
      const signature = signerOf(`validator 0 ${member}`).sign(message);
      return `— ${name} ${Buffer.concat([keyId, signature]).toString('base64')}\n`;
    });
    expect(certificate(header, setOf(0, MEMBERS)).length).toBeGreaterThan(0);
    expect(codeOf({ ...receipt, checkpoint: assembleCheckpoint(body, pasted) })).toBe(
      'checkpoint.bad_signature',
    );
  });

  test('fails when the leaf says that it stands elsewhere, even under a true root', () => {
    const leaf = encodeLeaf({ height: 1, index: 9, time: 5, tx: utf8('x'), item: 0, result: {} });
    const log = LogTree.open(new MemoryStore()).append([entryId(leaf)]);
    const header = { height: 1, time: 10, epoch: 0, treeSize: 1, logRoot: log.root, stateRoot: sha256() };
    const checkpoint = cosigned(header, setOf(0, MEMBERS));
    expect(codeOf({ entry: leaf, index: 0, proof: [], checkpoint })).toBe('receipt.misplaced');
    const early = cosigned({ ...header, height: 0 }, setOf(0, MEMBERS));
    const first = encodeLeaf({ height: 1, index: 0, time: 5, tx: utf8('x'), item: 0, result: {} });
    const root = LogTree.open(new MemoryStore()).append([entryId(first)]).root;
    const under = (h: typeof header): Receipt => ({
      entry: first,
      index: 0,
      proof: [],
      checkpoint: cosigned({ ...h, logRoot: root }, setOf(0, MEMBERS)),
    });
    expect(codeOf(under(header))).toBe('ok');
    expect(codeOf(under({ ...header, height: 0 }))).toBe('receipt.misplaced');
    expect(codeOf(under({ ...header, time: 4 }))).toBe('receipt.misplaced');
    expect(early).toContain('height 0');
  });
});

describe('form', () => {
  test('is canonical dag-cbor of five fields; anything else is refused', () => {
    const good = { v: 1, entry: receipt.entry, index: 3, proof: new Uint8Array(64), checkpoint: 'x' };
    expect(decodeReceipt(encodeCbor(good)).proof).toHaveLength(2);
    for (const bad of [
      { ...good, v: 2 },
      { ...good, more: 1 },
      { ...good, index: -1 },
      { ...good, index: '3' },
      { ...good, entry: 'x' },
      { ...good, proof: new Uint8Array(63) },
      { ...good, proof: new Uint8Array(54 * 32) },
      { ...good, checkpoint: new Uint8Array(1) },
      { ...good, checkpoint: 'x'.repeat(64 * 1024 + 1) },
      [good],
      null,
    ]) {
      expect(() => decodeReceipt(encodeCbor(bad))).toThrow();
      expect(codeOf(encodeCbor(bad))).toBe('receipt.malformed');
    }
    expect(decodeReceipt(encodeCbor({ ...good, proof: new Uint8Array(53 * 32) })).proof).toHaveLength(53);
  });

  test('in JSON refuses what the byte form refuses', () => {
    const json = receiptToJson(receipt);
    expect(receiptFromJson(json)).toEqual(receipt);
    for (const bad of [
      { ...json, v: 2 },
      { ...json, more: 1 },
      { ...json, index: 1.5 },
      { ...json, entry: `${json.entry}=` },
      { ...json, proof: ['AA'] },
      { ...json, proof: 'AA' },
      null,
      7,
    ]) {
      expect(() => receiptFromJson(bad)).toThrow();
    }
  });

  test('takes at most 2 kB for a 400-byte entry among a million, signed by a quorum of four', async () => {
    const size = 1_000_000;
    const index = 777_777;
    const tx = new Uint8Array(341);
    const entry = encodeLeaf({ height: 4321, index, time: 1_700_000_000_000, tx, item: 0, result: {} });
    expect(entry.length).toBeGreaterThanOrEqual(400);
    const { root, proof } = amongEqualLeaves(entryId(entry), index, size);
    const header = { height: 98_765, time: 1_700_000_500_000, epoch: 0, treeSize: size, logRoot: root };
    const checkpoint = cosigned({ ...header, stateRoot: sha256() }, setOf(0, MEMBERS));
    const bytes = encodeReceipt({ entry, index, proof, checkpoint });
    expect(codeOf(bytes)).toBe('ok');
    expect(decodeReceipt(bytes).proof).toHaveLength(20);
    expect(bytes.length).toBeLessThanOrEqual(2000);
    expect(checkpointOrigin('demo')).toBe('hippocrypt/demo');
    expect(checkpointBody(parseCheckpoint(checkpoint).checkpoint).length).toBeLessThan(250);
  });
});
