/** The engine as an application of an ordering engine: admission, execution, durable application, restart. */
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import {
  type KvOp,
  LedgerEngine,
  MachineReplay,
  MemoryStore,
  STATE,
  signTransaction,
  stateRoot,
  VerifiedSignatures,
  verifyStateProof,
} from '../../../src/ledger/index.ts';
import { anchorOfGenesis, verifyReceipt } from '../../../src/ledger/verify/index.ts';
import {
  applyTo,
  CHAIN_ID,
  CID,
  genesisDocument,
  MEMBER_IDS,
  operatorOf,
  recordItem,
  recordOf,
  START_MS,
  signerOf,
  signGenesis,
  subjectHex,
  subjectOf,
  TestLedger,
  validatorOf,
} from '../support.ts';

const ALDER = operatorOf('alder');
const silent = (): void => undefined;
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: { code?: string }) => error.code ?? String(error),
  );

/** A store whose next writes fail or wait. */
class ControlledStore extends MemoryStore {
  failing = false;
  held: Promise<void> | undefined;

  override async write(ops: readonly KvOp[]): Promise<void> {
    if (this.failing) throw new Error('disk full');
    await super.write(ops);
    await this.held;
  }
}

/** The same engine on each of four members, cosigning. */
async function consortium(): Promise<readonly LedgerEngine[]> {
  const genesis = signGenesis(genesisDocument());
  const signatures = new VerifiedSignatures();
  return Promise.all(
    MEMBER_IDS.map((member) =>
      LedgerEngine.open({
        store: new MemoryStore(),
        genesis,
        signatures,
        cosign: { member, signer: validatorOf(member) },
        onListenerError: silent,
      }),
    ),
  );
}

describe('opening', () => {
  it('begins with the genesis, and only with the one it holds', async () => {
    const store = new MemoryStore();
    expect(await codeOf(LedgerEngine.open({ store, onListenerError: silent }))).toBe('ledger.no_genesis');
    const genesis = signGenesis(genesisDocument());
    const engine = await LedgerEngine.open({ store, genesis, onListenerError: silent });
    expect(engine.head).toMatchObject({ height: 0, time: START_MS, size: 1 });
    expect(engine.entryAt(0)?.type).toBe('Genesis');
    expect(engine.get(STATE.chain)).toMatchObject({ chainId: CHAIN_ID, threshold: 3, shareEpoch: null });
    const other = signGenesis({ ...genesisDocument(), time: START_MS + 1 });
    expect(await codeOf(LedgerEngine.open({ store, genesis: other, onListenerError: silent }))).toBe(
      'ledger.other_genesis',
    );
  });

  it('refuses a genesis that a member did not sign or whose threshold is not the quorum', async () => {
    const { document } = { document: genesisDocument() };
    const open = (genesis: Uint8Array): Promise<string> =>
      codeOf(LedgerEngine.open({ store: new MemoryStore(), genesis, onListenerError: silent }));
    const bytes = encodeCbor(document);
    const signatures = MEMBER_IDS.map(() => validatorOf('alder').sign(bytes));
    expect(await open(encodeCbor({ document: bytes, signatures }))).toBe('genesis.invalid');
    expect(await open(signGenesis({ ...document, threshold: 2 }))).toBe('genesis.invalid');
    expect(await open(signGenesis({ ...document, operators: document.operators.toReversed() }))).toBe(
      'genesis.invalid',
    );
  });
});

describe('admission', () => {
  it('tells the code at once, and a refused request enters no block', async () => {
    const ledger = await TestLedger.open();
    const good = ledger.request(ALDER, 'Stored', { cids: [CID] });
    await expect(ledger.engine.check(good)).resolves.toMatchObject({ client: subjectHex(ALDER) });
    const stranger = ledger.request('nobody', 'Stored', { cids: [CID] });
    expect(await codeOf(ledger.engine.check(stranger))).toBe('tx.signer');
    expect(await ledger.refusalOf(stranger)).toBe('tx.signer');
    expect(await codeOf(ledger.engine.check(utf8('no request')))).toBe('cbor.malformed');
  });

  it('verifies the signature over the very bytes, with the registered key', async () => {
    const ledger = await TestLedger.open();
    const request = ledger.request(ALDER, 'Stored', { cids: [CID] });
    const forged = request.slice();
    forged[forged.length - 1] ^= 1;
    expect(await ledger.refusalOf(forged)).toBe('tx.signature');
    const tx = {
      chainId: CHAIN_ID,
      type: 'Stored',
      subject: subjectOf(ALDER),
      keyIx: 0,
      nonce: new Uint8Array(16),
      expiresAt: ledger.time + 1000,
      body: { cids: [CID] },
    } as const;
    const other = signTransaction(signerOf(operatorOf('birch')), tx);
    expect(await ledger.refusalOf(encodeCbor(other))).toBe('tx.signature');
  });

  it('a signature cache shared by members takes no signature for another message or key', () => {
    const cache = new VerifiedSignatures();
    const signer = signerOf('one');
    const message = utf8('message');
    const signature = signer.sign(message);
    expect(cache.verify(signer.publicKey, message, signature)).toBe(true);
    expect(cache.verify(signer.publicKey, message, signature)).toBe(true);
    expect(cache.verify(signer.publicKey, utf8('massage'), signature)).toBe(false);
    expect(cache.verify(signerOf('two').publicKey, message, signature)).toBe(false);
    expect(cache.verify(signer.publicKey, message, signature.subarray(0, 63))).toBe(false);
  });

  it('a request is valid until its end, and until its nonce is used', async () => {
    const ledger = await TestLedger.open();
    const request = ledger.request(ALDER, 'Stored', { cids: [CID] });
    const info = await ledger.engine.check(request);
    expect(ledger.engine.stillValid(info, info.expiresAt - 1)).toBe(true);
    expect(ledger.engine.stillValid(info, info.expiresAt)).toBe(false);
    expect(ledger.engine.stillValid(info, info.expiresAt - 10 * 60_000)).toBe(true);
    expect(ledger.engine.stillValid(info, info.expiresAt - 10 * 60_000 - 1)).toBe(false);
    await ledger.block([request]);
    expect(ledger.engine.stillValid(info, ledger.time)).toBe(false);
    expect(await codeOf(ledger.engine.check(request))).toBe('tx.duplicate');
  });

  it('a waiting request that the rules have come to refuse leaves the pool with the next block', async () => {
    const ledger = await TestLedger.open();
    const body = { seq: 1, manifestHash: new Uint8Array(32), covered: 0 };
    const late = ledger.request(ALDER, 'IndexCommit', body);
    const info = await ledger.engine.check(late);
    await ledger.put(ALDER, 'IndexCommit', body);
    expect(ledger.engine.stillValid(info, ledger.time)).toBe(false);
    expect(ledger.engine.resultOf(toHex(info.id))).toMatchObject({ ok: false, code: 'index.seq' });
  });
});

describe('execution', () => {
  it('names the refused request and leaves no trace of the batch', async () => {
    const ledger = await TestLedger.open();
    const before = ledger.engine.head;
    const batch = [
      ledger.request(ALDER, 'Stored', { cids: [CID] }),
      ledger.request(ALDER, 'Erase', { record: recordOf('none'), reason: 'error' }),
    ];
    const context = { height: 1, time: ledger.time, proposer: 0, batchHash: 'a' };
    expect(await ledger.engine.execute(context, batch)).toEqual({
      ok: false,
      reason: 'record.unknown',
      offending: [1],
    });
    expect(ledger.engine.head).toEqual(before);
    expect((await ledger.engine.execute({ ...context, batchHash: 'b' }, batch.slice(0, 1))).ok).toBe(true);
  });

  it('one transaction twice in a batch, or one nonce for two, is refused', async () => {
    const ledger = await TestLedger.open();
    const nonce = new Uint8Array(16).fill(7);
    const one = ledger.request(ALDER, 'Stored', { cids: [CID] }, { nonce });
    const two = ledger.request(ALDER, 'Stored', { cids: [CID] }, { nonce, expiresAt: ledger.time + 5000 });
    const context = { height: 1, time: ledger.time, proposer: 0, batchHash: 'a' };
    expect(await ledger.engine.execute(context, [one, one])).toMatchObject({ reason: 'tx.duplicate' });
    expect(await ledger.engine.execute(context, [one, two])).toMatchObject({ reason: 'tx.nonce_reused' });
  });

  it('is of the next height and a later time', async () => {
    const ledger = await TestLedger.open();
    const at = (height: number, time: number) =>
      ledger.engine.execute({ height, time, proposer: 0, batchHash: `${height} ${time}` }, []);
    expect(await at(2, START_MS + 1)).toEqual({ ok: false, reason: 'block.height' });
    expect(await at(1, START_MS)).toEqual({ ok: false, reason: 'block.time' });
    expect(await at(1, START_MS + 1)).toMatchObject({ ok: true });
  });

  it('refuses a batch over the bounds before it looks inside', async () => {
    const ledger = await TestLedger.open();
    const context = { height: 1, time: ledger.time, proposer: 0, batchHash: 'a' };
    const many = Array.from({ length: 4097 }, () => utf8('x'));
    expect(await ledger.engine.execute(context, many)).toEqual({ ok: false, reason: 'block.too_many' });
    const large = [new Uint8Array(4 * 1024 * 1024 + 1)];
    expect(await ledger.engine.execute(context, large)).toEqual({ ok: false, reason: 'block.too_large' });
  });

  it('four members that apply the same blocks have the same roots, entries and state', async () => {
    const engines = await consortium();
    const ledger = await TestLedger.open();
    for (let height = 1; height <= 5; height++) {
      const batch = Array.from({ length: height }, () => ledger.request(ALDER, 'Stored', { cids: [CID] }));
      for (const engine of engines) await applyTo(engine, height, ledger.time, batch);
      ledger.time += 1000;
    }
    const [first, ...others] = engines.map(({ head }) => head);
    expect(first.size).toBe(1 + 15);
    for (const head of others) expect(head).toEqual(first);
  });
});

describe('application', () => {
  it('is idempotent by height and refuses a gap', async () => {
    const ledger = await TestLedger.open();
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    await ledger.block(batch);
    const { head } = ledger.engine;
    const block = { height: 1, batch } as unknown as Parameters<LedgerEngine['commit']>[0];
    expect(await ledger.engine.commit(block)).toEqual({});
    expect(ledger.engine.head).toEqual(head);
    expect(await codeOf(ledger.engine.commit({ ...block, height: 3 }))).toBe('ledger.gap');
  });

  it('stops for good when a certified header has other roots', async () => {
    const ledger = await TestLedger.open();
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    const block = {
      height: 1,
      header: {
        time: ledger.time,
        proposer: 0,
        batchHash: 'a',
        stateRoot: 'ff',
        logRoot: 'ff',
        treeSize: 2,
      },
      headerHash: '00'.repeat(32),
      headerBytes: utf8('header'),
      batch,
      qc: utf8('qc'),
      parentQc: utf8(''),
      encoded: utf8('block'),
      resume: utf8('resume'),
    };
    expect(await codeOf(ledger.engine.commit(block))).toBe('ledger.diverged');
    expect(await codeOf(ledger.block(batch))).toBe('ledger.diverged');
    expect(ledger.engine.head.height).toBe(0);
  });

  it('a failed write changes nothing and can be repeated', async () => {
    const store = new ControlledStore();
    const ledger = await TestLedger.open({ store });
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    store.failing = true;
    await expect(ledger.block(batch)).rejects.toThrow('disk full');
    expect(ledger.engine.head.height).toBe(0);
    store.failing = false;
    await ledger.block(batch);
    expect(ledger.engine.head.height).toBe(1);
  });

  it('answers from the block before while the next one is being written', async () => {
    const store = new ControlledStore();
    const ledger = await TestLedger.open({ store });
    await ledger.enrol('ada', 'alder');
    const key = STATE.subject(subjectHex('ada'));
    let release = silent;
    store.held = new Promise((resolve) => {
      release = resolve;
    });
    const body = { subject: subjectOf('ada'), reason: 'left' } as const;
    const writing = ledger.put(ALDER, 'SubjectRevoke', body);
    // The store has the new state already; execution and writing take a few turns of the event loop.
    while (stateRoot(store).join() === ledger.engine.head.stateRoot.join()) await Promise.resolve();
    expect(ledger.engine.get(key)?.revoked).toBe(false);
    release();
    await writing;
    expect(ledger.engine.get(key)?.revoked).toBe(true);
  });

  it('a restarted node has the same head, entries and answers', async () => {
    const store = new MemoryStore();
    const ledger = await TestLedger.open({ store });
    await ledger.enrol('import', 'alder', ['right:author']);
    const put = await ledger.put('import', 'RecordPut', { records: [recordItem('a', 'alder/role:doctor')] });
    const again = await TestLedger.open({ store });
    expect(again.engine.head).toEqual(ledger.engine.head);
    expect(again.engine.entry(put.id)).toEqual(put);
    expect(again.engine.get(STATE.record(toHex(recordOf('a'))))).toEqual(
      ledger.engine.get(STATE.record(toHex(recordOf('a')))),
    );
    expect(await again.engine.tip()).toEqual({ height: 3, resume: utf8('resume 3') });
    again.time = ledger.time;
    await again.put(
      'import',
      'RecordPut',
      { records: [recordItem('b', 'alder/role:doctor')] },
      { nonce: new Uint8Array(16) },
    );
    expect(again.engine.get(STATE.counter('alder'))).toBe(2);
  });

  it('listeners get each block once, and one that throws harms nobody', async () => {
    const errors: unknown[] = [];
    const ledger = await TestLedger.open({ onListenerError: (error) => errors.push(error) });
    const seen: string[] = [];
    const stop = ledger.engine.subscribe((block) => {
      seen.push(`${block.height}: ${block.entries.map(({ type, index }) => `${type} ${index}`).join(', ')}`);
      throw new Error('listener');
    });
    const [entry] = await ledger.block([ledger.request(ALDER, 'Stored', { cids: [CID] })]);
    stop();
    await ledger.block([]);
    expect(seen).toEqual(['1: Stored 1']);
    expect(errors).toHaveLength(1);
    expect(entry.leaf.height).toBe(1);
  });
});

describe('reading', () => {
  it('gives a block back as it was ordered, with the certificate that the chain commits to', async () => {
    const ledger = await TestLedger.open();
    const batch = [
      ledger.request(ALDER, 'Stored', [{ cids: [CID] }, { cids: [CID] }]),
      ledger.request(operatorOf('birch'), 'Stored', { cids: [CID] }),
    ];
    await ledger.block(batch);
    await ledger.block([]);
    const block = ledger.engine.block(1);
    expect(block?.batch).toEqual(batch);
    expect(block?.leaves).toHaveLength(3);
    expect(block?.qc).toEqual(utf8('parent certificate 1'));
    expect(ledger.engine.block(3)).toBeUndefined();
    expect(await ledger.engine.blocks.get(1)).toBeDefined();
  });

  it('finds entries by subject, record, patient and kind, newest first, page by page', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('import', 'alder', ['right:author']);
    const patient = subjectOf('pat');
    for (const name of ['a', 'b', 'c']) {
      await ledger.put('import', 'RecordPut', {
        records: [recordItem(name, 'alder/role:doctor', { patient })],
      });
    }
    await ledger.put('import', 'Erase', { record: recordOf('b'), reason: 'error' });
    const kinds = (filter: Parameters<LedgerEngine['entries']>[0]): readonly string[] =>
      ledger.engine.entries(filter, { limit: 10 }).entries.map(({ type }) => type);
    expect(kinds({ record: toHex(recordOf('b')) })).toEqual(['Erase', 'RecordPut']);
    expect(kinds({ patient: toHex(patient) })).toEqual(['Erase', 'RecordPut', 'RecordPut', 'RecordPut']);
    expect(kinds({ subject: subjectHex('import'), kind: 'RecordPut' })).toHaveLength(3);
    expect(kinds({ subject: subjectHex('import') })).toHaveLength(6);
    expect(kinds({ kind: 'Genesis' })).toEqual(['Genesis']);
    expect(kinds({ kind: 'RecordPut', fromHeight: 4, toHeight: 4 })).toHaveLength(1);
    const pages: number[][] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const options = cursor === undefined ? { limit: 3 } : { limit: 3, cursor };
      const page = ledger.engine.entries({}, options);
      pages.push(page.entries.map(({ index }) => index));
      cursor = page.cursor;
      more = cursor !== undefined;
    }
    expect(pages.flat()).toEqual([6, 5, 4, 3, 2, 1, 0]);
    const oldest = ledger.engine.entries({}, { limit: 2, ascending: true });
    expect(oldest.entries.map(({ index }) => index)).toEqual([0, 1]);
    expect(() => ledger.engine.entries({}, { limit: 1, cursor: 'x' })).toThrow('cursor');
  });

  it('pages that end within a block go on within it, in both directions and under two conditions', async () => {
    const ledger = await TestLedger.open();
    const names = [ALDER, operatorOf('birch'), ALDER, ALDER, operatorOf('birch'), ALDER, ALDER];
    for (let i = 0; i < 3; i++) {
      await ledger.block(names.map((name) => ledger.request(name, 'Stored', { cids: [CID] })));
    }
    const wanted = [0, 7, 14].flatMap((first) => [1, 3, 4, 6, 7].map((place) => first + place));
    for (const ascending of [true, false]) {
      for (const limit of [1, 2, 3, 4, 5, 100]) {
        const seen: number[] = [];
        for (let cursor: string | undefined, more = true; more; ) {
          const options = { limit, ascending, ...(cursor === undefined ? {} : { cursor }) };
          const filter = { subject: subjectHex(ALDER), kind: 'Stored' } as const;
          const page = ledger.engine.entries(filter, options);
          expect(page.entries.length).toBeLessThanOrEqual(limit);
          seen.push(...page.entries.map(({ index }) => index));
          cursor = page.cursor;
          more = cursor !== undefined;
        }
        expect(seen).toEqual(ascending ? wanted : wanted.toReversed());
      }
    }
    const birch = { subject: subjectHex(operatorOf('birch')), kind: 'Stored' } as const;
    expect(ledger.engine.entries(birch, { limit: 99 }).entries.map(({ index }) => index)).toEqual([
      19, 16, 12, 9, 5, 2,
    ]);
  });

  it('lists state by prefix in pages', async () => {
    const ledger = await TestLedger.open();
    const first = await ledger.engine.list('member/', { limit: 3 });
    expect(first.map(([key]) => key)).toEqual(['member/alder', 'member/birch', 'member/cedar']);
    const rest = await ledger.engine.list('member/', { after: 'member/cedar', limit: 3 });
    expect(rest.map(([key]) => key)).toEqual(['member/dogwood']);
  });

  it('tells the sender what became of a transaction, done or refused', async () => {
    const ledger = await TestLedger.open();
    const request = ledger.request(ALDER, 'Stored', [{ cids: [CID] }, { cids: [CID] }]);
    const id = toHex((await ledger.engine.check(request)).id);
    expect(ledger.engine.resultOf(id)).toBeUndefined();
    const waiting = ledger.engine.awaitResult(id);
    const entries = await ledger.block([request]);
    expect(await waiting).toEqual({ ok: true, entries });
    expect(entries.map(({ leaf }) => leaf.item)).toEqual([0, 1]);
    expect(entries[1].leaf.tx).toEqual(fromHex(id));
    expect(entries[1].transaction).toEqual(entries[0].transaction);
  });

  it('a wait ends with its signal, and with the ledger', async () => {
    const ledger = await TestLedger.open();
    const abort = new AbortController();
    const waiting = ledger.engine.awaitEntry('00'.repeat(32), abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const other = ledger.engine.awaitEntry('00'.repeat(32));
    await ledger.engine.close();
    expect(await codeOf(other)).toBe('ledger.closed');
  });
});

describe('cosignatures', () => {
  it('a receipt verifies once a quorum has cosigned, not before', async () => {
    const engines = await consortium();
    const ledger = await TestLedger.open();
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    const lines: (Uint8Array | undefined)[] = [];
    for (const engine of engines) lines.push(await applyTo(engine, 1, ledger.time, batch));
    const [engine] = engines;
    const id = engine.entryAt(1)?.id ?? '';
    const waiting = engine.awaitReceipt(id);
    const deliver = (from: number): void => {
      const line = lines[from];
      const peer = toHex(validatorOf(MEMBER_IDS[from]).publicKey.key);
      if (line !== undefined) engine.onCosignature(peer, 1, line);
    };
    deliver(1);
    deliver(1);
    expect(engine.receipt(id)).toBeUndefined();
    deliver(2);
    const receipt = await waiting;
    const anchor = anchorOfGenesis(engine.entryAt(0)?.bytes ?? utf8(''));
    expect(verifyReceipt(receipt, anchor)).toMatchObject({ ok: true, entryId: id, leaf: { index: 1 } });
    const { checkpoint, value, proof } = await engine.getWithProof('members');
    expect(checkpoint).toBe(receipt.checkpoint);
    expect(verifyStateProof(engine.head.stateRoot, utf8('members'), value ?? undefined, proof)).toBe(true);
    const absent = await engine.getWithProof('member/nobody');
    expect(absent.value).toBeNull();
    expect(verifyStateProof(engine.head.stateRoot, utf8('member/nobody'), undefined, absent.proof)).toBe(
      true,
    );
  });

  it('a cosignature that comes before the block is counted when the block is applied', async () => {
    const engines = await consortium();
    const ledger = await TestLedger.open();
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    const [late, ...others] = engines;
    for (const [i, engine] of others.entries()) {
      const line = await applyTo(engine, 1, ledger.time, batch);
      late.onCosignature(MEMBER_IDS[i + 1], 1, line ?? utf8(''));
    }
    expect(late.checkpoint()).toBeUndefined();
    await applyTo(late, 1, ledger.time, batch);
    expect(late.checkpoint()?.checkpoint.height).toBe(1);
  });

  it('lines over other roots, of strangers, or malformed count for nothing', async () => {
    const engines = await consortium();
    const ledger = await TestLedger.open();
    const batch = [ledger.request(ALDER, 'Stored', { cids: [CID] })];
    const [engine, second, third] = engines;
    await applyTo(engine, 1, ledger.time, batch);
    const elsewhere = await applyTo(second, 1, ledger.time, []);
    const same = await applyTo(third, 1, ledger.time, batch);
    engine.onCosignature('x', 1, elsewhere ?? utf8(''));
    engine.onCosignature('x', 1, utf8('— nobody AAAA\n'));
    engine.onCosignature('x', 1, new Uint8Array([0xff, 0xfe]));
    engine.onCosignature('x', 1, same ?? utf8(''));
    expect(engine.checkpoint()).toBeUndefined();
  });
});

describe('replay', () => {
  it('recomputes every leaf and state root from the blocks alone', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    await ledger.key('ada', ['alder/role:doctor']);
    await ledger.block([], ledger.time + 11 * 60_000);
    const { engine } = ledger;
    const replay = new MachineReplay({
      verifies: (key, message, signature) => new VerifiedSignatures().verify(key, message, signature),
      culpritOf: () => undefined,
    });
    await replay.genesis(engine.entryAt(0)?.bytes ?? utf8(''));
    let last: Uint8Array | undefined;
    for (let height = 1; height <= engine.head.height; height++) {
      const block = engine.block(height);
      if (block === undefined) throw new Error('no block');
      const { leaves, stateRoot: root } = await replay.block(block, block.batch);
      expect(leaves).toEqual(block.leaves);
      last = root;
    }
    expect(last).toEqual(engine.head.stateRoot);
  });
});
