/** Verification of a whole ledger: green on an honest file, and red exactly where a file was changed. */
import { beforeAll, describe, expect, test } from 'vitest';
import { toHex, utf8 } from '../../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import { parseCheckpoint } from '../../../src/ledger/checkpoint/index.ts';
import { decodeLeaf, encodeLeaf, entryId } from '../../../src/ledger/entries/leaf.ts';
import {
  type BlockRecord,
  decodeLine,
  encodeBlockLine,
  encodeGenesisLine,
  epochLinks,
  exportLines,
  extendAnchor,
  type LedgerRecord,
  type LedgerReport,
  type LedgerTools,
  RegisteredKeys,
  readExport,
  verifyLedger,
} from '../../../src/ledger/verify/index.ts';
import { type Chain, certificate, consensus, cosigned, MEMBERS, makeChain, setOf } from './chain.ts';

let chain: Chain;

const tools = (more: Partial<LedgerTools> = {}): LedgerTools => ({
  consensus,
  signatures: new RegisteredKeys(),
  ...more,
});

const verify = (records: Iterable<LedgerRecord>, more: Partial<LedgerTools> = {}): Promise<LedgerReport> =>
  verifyLedger(records, chain.anchor, tools(more));

/** The chain's records with block `height` changed. */
function bend(height: number, change: (block: BlockRecord) => Partial<BlockRecord>): LedgerRecord[] {
  return chain.records.map((record, i) =>
    i === height && record.kind === 'block' ? { ...record, ...change(record) } : record,
  );
}

/** `height[/index] what` of each row. */
const rows = (report: LedgerReport): string[] =>
  report.failures.map(
    ({ height, index, what }) => `${height}${index === undefined ? '' : `/${index}`} ${what}`,
  );

const flip = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => {
  const bent = new Uint8Array(bytes);
  bent[at] ^= 1;
  return bent;
};

const withAt = <T>(list: readonly T[], at: number, item: T): T[] =>
  list.map((one, i) => (i === at ? item : one));

beforeAll(async () => {
  chain = await makeChain({ heights: 9 });
});

/** Index in the log of leaf `i` of block `height`. */
const indexOf = (height: number, i: number): number =>
  1 + chain.blocks.slice(0, height - 1).reduce((sum, block) => sum + block.leaves.length, 0) + i;

describe('an honest ledger', () => {
  test('is green, and every entry and block is counted', async () => {
    const report = await verify(chain.records);
    expect(rows(report)).toEqual([]);
    expect(report).toMatchObject({ ok: true, blocks: 9, entries: chain.log.size, moreFailures: 0 });
  });

  test('is green from its export file', async () => {
    const [genesis] = chain.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    const lines = [
      encodeGenesisLine(genesis.chainId, genesis.leaf),
      ...chain.blocks.map(encodeBlockLine),
      '',
    ];
    const report = await verifyLedger(readExport(lines), chain.anchor, tools());
    expect(rows(report)).toEqual([]);
    expect(report.entries).toBe(chain.log.size);
  });

  test('with a change of validators is green, and the links alone extend an anchor', async () => {
    const changed = await makeChain({ heights: 9, reconfigAt: 4 });
    const report = await verifyLedger(changed.records, changed.anchor, tools());
    expect(rows(report)).toEqual([]);
    const { header, qc, nextValidators } = changed.blocks[3];
    if (nextValidators === undefined) throw new Error('expected a change at height 4');
    const anchor = extendAnchor(changed.anchor, [{ header, qc, next: nextValidators }], consensus);
    expect(anchor.periods.map(({ epoch, from }) => [epoch, from])).toEqual([
      [0, 0],
      [1, 5],
    ]);
    expect((await verifyLedger(changed.records, { ...changed.anchor, ...anchor }, tools())).ok).toBe(true);
  });

  test('must reach the checkpoint that the verifier brings along', async () => {
    const tip = parseCheckpoint(chain.checkpoints[8]).checkpoint;
    expect((await verify(chain.records, { tip })).ok).toBe(true);
    expect(rows(await verify(chain.records.slice(0, -1), { tip }))).toEqual(['9 tip']);
    expect(rows(await verify(chain.records, { tip: { ...tip, root: sha256() } }))).toEqual(['9 tip']);
  });

  test('is replayed through a state machine when there is one', async () => {
    const replay = {
      genesis: () => {},
      block: ({ height }: { height: number }) => ({
        leaves: chain.blocks[height - 1].leaves,
        stateRoot: sha256(utf8(`state ${height}`)),
      }),
    };
    expect(rows(await verify(chain.records, { replay }))).toEqual([]);
    const lies = {
      ...replay,
      block: ({ height }: { height: number }) => {
        const { leaves, stateRoot } = replay.block({ height });
        if (height === 3) return { leaves: withAt(leaves, 1, utf8('other')), stateRoot };
        return { leaves, stateRoot: height === 5 ? sha256() : stateRoot };
      },
    };
    expect(rows(await verify(chain.records, { replay: lies }))).toEqual([
      `3/${indexOf(3, 1)} result`,
      '5 state',
    ]);
    const throws = { ...replay, block: () => Promise.reject(new Error('out of step')) };
    expect(rows(await verify(chain.records, { replay: throws }))).toEqual(['1 state']);
  });
});

describe('one change is red at its place', () => {
  test.each([1, 2, 3, 5, 8])('a byte of a leaf, block %i', async (height) => {
    for (const [i, leaf] of chain.blocks[height - 1].leaves.entries()) {
      for (const at of [0, leaf.length >> 1, leaf.length - 1]) {
        const bent = bend(height, ({ leaves }) => ({ leaves: withAt(leaves, i, flip(leaf, at)) }));
        const report = await verify(bent);
        expect(rows(report)).toContain(`${height}/${indexOf(height, i)} leaf`);
        expect(report.failures).toHaveLength(1);
      }
    }
  });

  test('a result rewritten with its hash beside it', async () => {
    const [leaf] = chain.blocks[3].leaves;
    const forged = encodeLeaf({ ...decodeLeaf(leaf), result: { verdicts: [] } });
    const report = await verify(
      bend(4, ({ leaves, leafHashes }) => ({
        leaves: withAt(leaves, 0, forged),
        leafHashes: withAt(leafHashes, 0, entryId(forged)),
      })),
    );
    expect(rows(report)).toEqual(['4 log']);
    expect(report.logUnverifiedFrom).toBe(4);
  });

  test('a leaf hash', async () => {
    const report = await verify(
      bend(4, ({ leafHashes }) => ({ leafHashes: withAt(leafHashes, 0, sha256()) })),
    );
    expect(rows(report)).toEqual([`4/${indexOf(4, 0)} record`]);
    const more = await verify(bend(4, ({ leafHashes }) => ({ leafHashes: [...leafHashes, sha256()] })));
    expect(rows(more)).toEqual([`4/${indexOf(5, 0)} record`]);
    const none = await verify(bend(4, () => ({ leafHashes: [] })));
    expect(none.failures.every(({ height, what }) => height === 4 && what === 'record')).toBe(true);
    expect(none.failures).toHaveLength(chain.blocks[3].leaves.length);
  });

  test('a leaf left out, one added, two in another order', async () => {
    const block = chain.blocks[3];
    const out = await verify(bend(4, ({ leaves }) => ({ leaves: leaves.slice(0, -1) })));
    expect(rows(out)).toEqual([`4/${indexOf(4, block.leaves.length - 1)} leaf`]);
    const added = await verify(bend(4, ({ leaves }) => ({ leaves: [...leaves, leaves[0]] })));
    expect(added.ok).toBe(false);
    expect(new Set(added.failures.map(({ height }) => height))).toEqual(new Set([4]));
    const swapped = await verify(
      bend(4, ({ leaves: [a, b, ...more], leafHashes: [c, d, ...rest] }) => ({
        leaves: [b, a, ...more],
        leafHashes: [d, c, ...rest],
      })),
    );
    expect(rows(swapped)).toContain('4 log');
  });

  test('a request: its transaction, its signature, its absence', async () => {
    const [request] = chain.blocks[3].batch;
    const { tx, sig } = decodeCbor(request) as { tx: Uint8Array; sig: Uint8Array };
    const at = `4/${indexOf(4, 0)}`;
    const badSig = encodeCbor({ tx, sig: flip(sig) });
    expect(rows(await verify(bend(4, ({ batch }) => ({ batch: withAt(batch, 0, badSig) }))))).toEqual([
      '4 batch',
      `${at} transaction`,
    ]);
    const badTx = encodeCbor({ tx: flip(tx), sig });
    const bentTx = rows(await verify(bend(4, ({ batch }) => ({ batch: withAt(batch, 0, badTx) }))));
    expect(bentTx.slice(0, 2)).toEqual(['4 batch', `${at} leaf`]);
    const gone = rows(await verify(bend(4, ({ batch }) => ({ batch: batch.slice(1) }))));
    expect(gone.slice(0, 2)).toEqual(['4 batch', `${at} leaf`]);
    expect(rows(await verify(bend(4, () => ({ batch: [utf8('garbage')] }))))).toContain('4 batch');
  });

  test('any byte of a header', async () => {
    const { header } = chain.blocks[4];
    for (let at = 0; at < header.length; at += 3) {
      const report = await verify(bend(5, () => ({ header: flip(header, at) })));
      expect(report.ok).toBe(false);
      expect(report.failures.some(({ what }) => what === 'certificate' || what === 'header')).toBe(true);
      expect(report.failures.filter(({ height }) => height !== 5)).toEqual([]);
    }
  });

  test('a certificate: a bad vote, too few votes, votes of another block or another epoch', async () => {
    const votes = decodeCbor(chain.blocks[4].qc) as { member: string; sig: Uint8Array }[];
    const bad = [
      encodeCbor(withAt(votes, 0, { ...votes[0], sig: flip(votes[0].sig) })),
      encodeCbor(votes.slice(1)),
      encodeCbor([votes[0], votes[0], votes[1]]),
      chain.blocks[5].qc,
      certificate(chain.blocks[4].header, setOf(1, MEMBERS)),
      new Uint8Array(),
    ];
    for (const qc of bad) expect(rows(await verify(bend(5, () => ({ qc }))))).toEqual(['5 certificate']);
  });

  test('a header that a quorum certified twice: the chain above names the other one', async () => {
    const fork = encodeCbor({ ...(decodeCbor(chain.blocks[4].header) as object), stateRoot: sha256() });
    const forked = bend(5, () => ({ header: fork, qc: certificate(fork, setOf(0, MEMBERS)) }));
    expect(rows(await verify(forked))).toEqual(['5 header']);
  });

  test('a checkpoint: a bad signature, another root, another height', async () => {
    const swap = (checkpoint: string) => verify(bend(4, () => ({ checkpoint })));
    expect(rows(await swap(chain.checkpoints[3].replace('height 4', 'height 5')))).toEqual(['4 checkpoint']);
    expect(rows(await swap(chain.checkpoints[4]))).toEqual(['4 checkpoint']);
    const header = consensus.readHeader(chain.blocks[3].header);
    expect(rows(await swap(cosigned({ ...header, logRoot: sha256() }, setOf(0, MEMBERS))))).toEqual([
      '4 checkpoint',
    ]);
    expect(rows(await swap(cosigned(header, setOf(0, MEMBERS), 2)))).toEqual(['4 checkpoint']);
    expect(rows(await swap('garbage'))).toEqual(['4 checkpoint']);
  });

  test('a block left out, repeated, or two in another order', async () => {
    const without = chain.records.filter((_, i) => i !== 5);
    const left = await verify(without);
    expect(rows(left)[0]).toBe('5 height');
    const twice = await verify([...chain.records.slice(0, 6), ...chain.records.slice(5)]);
    expect(rows(twice)).toEqual(['6 height']);
  });

  test('a line that cannot be read is one row, and the blocks after it are still checked', async () => {
    const damaged = chain.records.map((record, i) =>
      i === 5 ? ({ kind: 'damaged', reason: 'a line is not JSON' } as const) : record,
    );
    const votes = decodeCbor(chain.blocks[6].qc) as unknown[];
    damaged[7] = { ...chain.blocks[6], kind: 'block', qc: encodeCbor(votes.slice(1)) };
    expect(rows(await verify(damaged))).toEqual(['5 record', '6 log', '7 certificate']);
  });

  test('two damaged entries are two rows', async () => {
    const both = bend(4, ({ leaves }) => ({ leaves: withAt(leaves, 0, flip(leaves[0])) }));
    both[6] = {
      ...chain.blocks[5],
      kind: 'block',
      leaves: withAt(chain.blocks[5].leaves, 1, flip(chain.blocks[5].leaves[1])),
    };
    const report = await verify(both);
    expect(rows(report)).toEqual([`4/${indexOf(4, 0)} leaf`, `6/${indexOf(6, 1)} leaf`]);
    expect(report.failures[0].expected).toBe(toHex(chain.blocks[3].leafHashes[0]));
  });

  test('another genesis, another chain, no first line, an empty file', async () => {
    const [genesis, ...blocks] = chain.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    expect(rows(await verify([{ ...genesis, leaf: flip(genesis.leaf) }, ...blocks]))[0]).toBe('0/0 genesis');
    expect(rows(await verify([{ ...genesis, chainId: 'other' }, ...blocks]))).toEqual(['0/0 chain']);
    expect(rows(await verify(blocks))[0]).toBe('0 genesis');
    expect(rows(await verify([]))).toEqual(['0 genesis']);
  });
});

describe('signatures', () => {
  test('are checked against the keys that the ledger registered: unknown, retired and revoked ones are red', async () => {
    // Without block 3 the patient's second key is nobody's, and from there on nothing is said of signatures.
    const gone = await verify(chain.records.filter((_, i) => i !== 3));
    expect(gone.signaturesUnverifiedFrom).toBe(3);
    expect(gone.failures.filter(({ what }) => what === 'transaction')).toEqual([]);
    const keys = new RegisteredKeys();
    const [genesis] = chain.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    keys.genesis(genesis.leaf);
    const parts = (height: number, i: number) =>
      decodeCbor(chain.blocks[height - 1].batch[i]) as { tx: Uint8Array; sig: Uint8Array };
    const say = ({ tx, sig }: { tx: Uint8Array; sig: Uint8Array }) => keys.check(tx, sig);
    const take = (height: number, i: number) => keys.follow(parts(height, i).tx, new Map());
    expect(say(parts(2, 0))).toBe('a subject that was not enrolled');
    take(1, 0);
    expect(say(parts(2, 0))).toBeUndefined();
    expect(say(parts(4, 0))).toBe('a key that is not in force');
    take(3, 1);
    expect(say(parts(4, 0))).toBeUndefined();
    expect(say(parts(2, 0))).toBe('a key that is not in force');
    expect(say({ ...parts(4, 0), sig: parts(5, 0).sig })).toBe('a signature that does not verify');
    take(8, 0);
    expect(say(parts(4, 0))).toBe('a subject that was revoked');
  });

  test('of the genesis members are demanded', () => {
    const [genesis] = chain.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    const leaf = decodeLeaf(genesis.leaf);
    const { document, signatures } = decodeCbor(leaf.tx) as {
      document: Uint8Array;
      signatures: Uint8Array[];
    };
    const forged = encodeCbor({ document, signatures: withAt(signatures, 2, flip(signatures[2])) });
    expect(() => new RegisteredKeys().genesis(encodeLeaf({ ...leaf, tx: forged }))).toThrow('every member');
  });
});

describe('links of epochs', () => {
  test('are refused unless the set before them certified exactly that change', async () => {
    const changed = await makeChain({ heights: 6, reconfigAt: 4 });
    const { header, qc, nextValidators: next } = changed.blocks[3];
    if (next === undefined) throw new Error('expected a change at height 4');
    const extend = (link: { header: Uint8Array; qc: Uint8Array; next: typeof next }, base = changed.anchor) =>
      extendAnchor(base, [link], consensus);
    expect(() => extend({ header, qc, next })).not.toThrow();
    expect(() => extend({ header, qc: changed.blocks[4].qc, next })).toThrow('certificate');
    expect(() => extend({ header, qc: certificate(header, setOf(1, MEMBERS)), next })).toThrow('certificate');
    expect(() => extend({ header, qc, next: setOf(1, MEMBERS) })).toThrow('next height');
    expect(() => extend({ header, qc, next: { ...next, epoch: 2 } })).toThrow('epoch');
    expect(() => extend({ header: changed.blocks[4].header, qc: changed.blocks[4].qc, next })).toThrow(
      'epoch 0',
    );
    expect(() => extend({ header, qc, next }, { ...changed.anchor, genesisEntry: sha256() })).toThrow(
      'another chain',
    );
    const twice = extend({ header, qc, next });
    expect(() => extendAnchor(twice, [{ header, qc, next }], consensus)).toThrow('before the epoch');
  });
});

describe('a member that exports', () => {
  test('writes block by block, names new validators where they change, and ends where its blocks end', async () => {
    const changed = await makeChain({ heights: 6, reconfigAt: 4 });
    const [genesis] = changed.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    const next = changed.blocks[3].nextValidators;
    if (next === undefined) throw new Error('expected a change at height 4');
    const source = {
      chainId: changed.anchor.chainId,
      height: 6,
      genesisLeaf: genesis.leaf,
      block: (height: number) => changed.blocks[height - 1],
      validators: (epoch: number) => (epoch === 1 ? { ...next, from: 5 } : undefined),
      checkpoint: (height: number) => (height % 2 === 0 ? changed.checkpoints[height - 1] : undefined),
    };
    const lines = [...exportLines(source, consensus)];
    const own = [encodeGenesisLine(genesis.chainId, genesis.leaf), ...changed.blocks.map(encodeBlockLine)];
    expect(lines).toEqual(own);
    const pruned = {
      ...source,
      block: (height: number) => (height === 5 ? undefined : source.block(height)),
    };
    expect([...exportLines(pruned, consensus)]).toEqual(own.slice(0, 5));
    expect([...epochLinks(source, 0)]).toEqual([
      { header: changed.blocks[3].header, qc: changed.blocks[3].qc, next },
    ]);
    expect([...epochLinks(source, 1)]).toEqual([]);
    expect([...epochLinks({ ...source, block: () => undefined }, 0)]).toEqual([]);
  });
});

describe('export lines', () => {
  test('that are damaged in any way become damaged records, never an exception', async () => {
    const line = encodeBlockLine(chain.blocks[3]);
    const bad = [
      '',
      'x',
      '[]',
      'null',
      '7',
      '{}',
      line.slice(0, -1),
      line.replace('"qc":"', '"qc":"!'),
      line.replace('"batch":[', '"batch":7,"x":['),
      line.replace('"header"', '"heading"'),
      line.replace('{', '{"more":1,'),
      JSON.stringify({ format: 'other', v: 1, chainId: 'demo', genesis: '' }),
      JSON.stringify({ format: 'hippocrypt-ledger', v: 2, chainId: 'demo', genesis: '' }),
      JSON.stringify({ ...JSON.parse(line), nextValidators: { epoch: 'x', validators: [] } }),
      JSON.stringify({ ...JSON.parse(line), nextValidators: { epoch: 1, validators: [7] } }),
      JSON.stringify({ ...JSON.parse(line), checkpoint: 7 }),
    ];
    for (const text of bad) expect(decodeLine(text).kind, text.slice(0, 40)).toBe('damaged');
    const read = decodeLine(line);
    expect(read.kind === 'block' && encodeBlockLine(read)).toBe(line);
  });

  test('with any character of the file changed are red, and verification ends with a report', async () => {
    const short = await makeChain({ heights: 4 });
    const [genesis] = short.records;
    if (genesis.kind !== 'genesis') throw new Error('expected genesis first');
    const lines = [encodeGenesisLine(genesis.chainId, genesis.leaf), ...short.blocks.map(encodeBlockLine)];
    const file = lines.join('\n');
    for (let at = 0; at < file.length; at += 37) {
      const bent = `${file.slice(0, at)}${file[at] === 'A' ? 'B' : 'A'}${file.slice(at + 1)}`;
      const report = await verifyLedger(readExport(bent.split('\n')), short.anchor, tools());
      expect(report.ok, `character ${at}`).toBe(false);
    }
  });
});
