/** The engine under pbft-lite: four members agree on entries, roots and refusals, and come back after a restart. */
import { afterEach, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import {
  type Application,
  type BlockStore,
  DEFAULT_TIMING,
  InProcessNetwork,
  MemoryWal,
  type NodeEvent,
  PbftNode,
  validatorKey,
  type Wal,
} from '../../../src/consensus/index.ts';
import {
  decodeRequest,
  type EntryBodies,
  type EntryType,
  encodeRequest,
  type KvStore,
  LedgerEngine,
  LogTree,
  MachineReplay,
  MemoryStore,
  STATE,
  signTransaction,
  type TransactionDraft,
  VerifiedSignatures,
  WriteBehind,
} from '../../../src/ledger/index.ts';
import {
  anchorOfGenesis,
  exportLines,
  PBFT_LITE,
  RegisteredKeys,
  readExport,
  verifyLedger,
  verifyReceipt,
} from '../../../src/ledger/verify/index.ts';
import {
  bytesOf,
  CHAIN_ID,
  CID,
  enrolment,
  genesisDocument,
  MEMBER_IDS,
  MINUTE_MS,
  operatorOf,
  signerOf,
  signGenesis,
  subjectHex,
  subjectOf,
  validatorOf,
} from '../support.ts';

const FAST = { ...DEFAULT_TIMING, viewTimeoutMs: 2000, resendMs: 200, statusMs: 100, helloMs: 30 };
const ALDER = operatorOf('alder');

interface Member {
  readonly engine: LedgerEngine;
  readonly node: PbftNode;
  readonly store: KvStore;
  readonly wal: Wal;
  readonly events: NodeEvent[];
}

class Consortium {
  readonly network = new InProcessNetwork();
  readonly signatures = new VerifiedSignatures();
  readonly genesis: Uint8Array;
  readonly members: Member[] = [];
  #nonces = 0;

  constructor() {
    this.genesis = signGenesis({ ...genesisDocument(), time: Date.now() - 1000 });
  }

  static async start(): Promise<Consortium> {
    const consortium = new Consortium();
    for (const [i] of MEMBER_IDS.entries()) await consortium.open(i, new MemoryStore(), new MemoryWal());
    for (const { node } of consortium.members) await node.start();
    return consortium;
  }

  async open(i: number, store: KvStore, wal: Wal): Promise<void> {
    const member = MEMBER_IDS[i];
    const engine = await LedgerEngine.open({
      store,
      genesis: this.genesis,
      signatures: this.signatures,
      cosign: { member, signer: validatorOf(member) },
      onListenerError: (error) => {
        throw error;
      },
    });
    const first = engine.entryAt(0);
    if (first === undefined) throw new Error('no genesis');
    // The engine is an application and a block store of pbft-lite by its shape alone.
    const application: Application = engine;
    const blocks: BlockStore = engine.blocks;
    const events: NodeEvent[] = [];
    const key = validatorKey(bytesOf(`validator ${member}`));
    let draws = 0;
    const node = new PbftNode({
      key,
      genesis: {
        chainId: fromHex(first.id),
        time: first.leaf.time,
        validators: MEMBER_IDS.map((id) => validatorOf(id).publicKey.key),
      },
      application,
      blocks,
      wal,
      transport: this.network.endpoint(toHex(key.publicKey)),
      random: (n) => bytesOf(`${member} ${draws++} ${this.#nonces}`).subarray(0, n),
      now: () => performance.now(),
      clock: () => Date.now(),
      timing: FAST,
      onEvent: (event) => events.push(event),
    });
    this.members[i] = { engine, node, store, wal, events };
  }

  request<K extends EntryType>(name: string, type: K, body: EntryBodies[K]): Uint8Array {
    const nonce = bytesOf(`request ${this.#nonces++}`).slice(0, 16);
    const head = { chainId: CHAIN_ID, subject: subjectOf(name), keyIx: 0, nonce };
    const draft = {
      ...head,
      expiresAt: Date.now() + MINUTE_MS,
      type,
      body,
    } as unknown as TransactionDraft<K>;
    return encodeRequest(signTransaction(signerOf(name), draft));
  }

  /** Waits until all members have applied as many entries as the first of them that has most. */
  async level(): Promise<void> {
    const sizes = (): number[] => this.members.map(({ engine }) => engine.head.size);
    for (;;) {
      const most = Math.max(...sizes());
      if (sizes().every((size) => size === most)) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    for (const { node, engine } of this.members) {
      await node.stop();
      await engine.close();
    }
  }
}

let consortium: Consortium | undefined;
afterEach(async () => {
  await consortium?.stop();
  consortium = undefined;
});

describe('four members', () => {
  it('agree on every root, and each gives a receipt that verifies', async () => {
    consortium = await Consortium.start();
    const { members } = consortium;
    await members[0].node.submit(consortium.request(ALDER, 'SubjectPut', enrolment('ada', 'alder')));
    const many = MEMBER_IDS.flatMap((id, i) =>
      Array.from({ length: 10 }, () => {
        const request = (consortium as Consortium).request(operatorOf(id), 'Stored', { cids: [CID] });
        return members[(i + 1) % 4].node.submit(request);
      }),
    );
    await Promise.all(many);
    await consortium.level();
    const [first, ...others] = members.map(({ engine }) => engine);
    expect(first.head.size).toBe(1 + 1 + 40);
    for (const other of others) expect(toHex(other.head.logRoot)).toBe(toHex(first.head.logRoot));
    for (const { engine } of members) {
      expect(engine.get(STATE.subject(subjectHex('ada')))?.member).toBe('alder');
      const genesis = engine.entryAt(0)?.bytes ?? new Uint8Array();
      const receipt = await engine.awaitReceipt(engine.entryAt(1)?.id ?? '', AbortSignal.timeout(20_000));
      expect(verifyReceipt(receipt, anchorOfGenesis(genesis))).toMatchObject({ ok: true });
    }
  });

  it('what the rules refuse is told at once, and of two that exclude each other one is applied', async () => {
    consortium = await Consortium.start();
    const { members } = consortium;
    const stranger = consortium.request('nobody', 'Stored', { cids: [CID] });
    await expect(members[1].node.submit(stranger)).rejects.toMatchObject({ code: 'tx.signer' });
    const commits = [0, 1, 2, 3].map((i) =>
      (consortium as Consortium).request(ALDER, 'IndexCommit', {
        seq: 1,
        manifestHash: bytesOf(`manifest ${i}`),
        covered: 0,
      }),
    );
    const outcomes = await Promise.allSettled(commits.map((request, i) => members[i].node.submit(request)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const [i, { status }] of outcomes.entries()) {
      if (status === 'fulfilled') continue;
      const id = toHex(decodeRequest(commits[i]).id);
      expect(members[i].engine.resultOf(id) ?? { code: 'index.seq' }).toMatchObject({ code: 'index.seq' });
    }
    await consortium.level();
    expect(members[0].engine.get(STATE.index('alder'))?.seq).toBe(1);
    // Nobody was deposed for leaving out what cannot be executed.
    for (const { events } of members) expect(events.filter(({ type }) => type === 'view')).toEqual([]);
  });

  it('one that was away catches up to the same ledger from its peers', async () => {
    consortium = await Consortium.start();
    const { members } = consortium;
    const put = (i: number): Promise<unknown> =>
      members[i].node.submit((consortium as Consortium).request(ALDER, 'Stored', { cids: [CID] }));
    for (let i = 0; i < 3; i++) await put(i);
    const { store, wal, engine, node } = members[3];
    await consortium.level();
    await node.stop();
    await engine.close();
    for (let i = 0; i < 5; i++) await put(i % 3);
    await consortium.open(3, store, wal);
    await consortium.members[3].node.start();
    await consortium.level();
    expect(consortium.members[3].engine.head.size).toBe(9);
    expect(consortium.members[3].engine.head.logRoot).toEqual(members[0].engine.head.logRoot);
  });

  it('a consortium that starts again proves its state at once, without another block', async () => {
    consortium = await Consortium.start();
    await consortium.members[0].node.submit(consortium.request(ALDER, 'Stored', { cids: [CID] }));
    await consortium.level();
    const before = [...consortium.members];
    for (const { node, engine } of before) {
      await node.stop();
      await engine.close();
    }
    for (const [i, { store, wal }] of before.entries()) await consortium.open(i, store, wal);
    for (const { node } of consortium.members) await node.start();
    for (const { engine } of consortium.members) {
      const proven = await engine.getWithProof('members', AbortSignal.timeout(20_000));
      expect(proven.value).not.toBeNull();
      expect(engine.head.size).toBe(2);
    }
  });

  it('members whose disks have nothing of what they acknowledged get it back from their logs', async () => {
    const disks = MEMBER_IDS.map(() => new MemoryStore());
    const wals = MEMBER_IDS.map(() => new MemoryWal());
    consortium = new Consortium();
    // The stores never come to write: each crash loses all blocks and the genesis with them.
    const never = 1_000_000_000;
    for (const [i, disk] of disks.entries()) await consortium.open(i, new WriteBehind(disk, never), wals[i]);
    for (const { node } of consortium.members) await node.start();
    for (let i = 0; i < 8; i++) {
      await consortium.members[i % 4].node.submit(consortium.request(ALDER, 'Stored', { cids: [CID] }));
    }
    await consortium.level();
    const { size, logRoot } = consortium.members[0].engine.head;
    for (const { node } of consortium.members) await node.stop();
    for (const [i, disk] of disks.entries()) {
      expect([...disk.range('entry', {})]).toEqual([]);
      await consortium.open(i, new WriteBehind(disk, 1), new MemoryWal(wals[i].survivors()));
    }
    for (const { node } of consortium.members) await node.start();
    await consortium.members[2].node.submit(consortium.request(ALDER, 'Stored', { cids: [CID] }));
    await consortium.level();
    for (const [i, { engine }] of consortium.members.entries()) {
      expect(engine.head.size).toBe(size + 1);
      expect(engine.consistencyProof(size, size + 1).length).toBeGreaterThan(0);
      await engine.close();
      // What was given back is on the disk now, under the same root.
      const again = await LedgerEngine.open({ store: disks[i], onListenerError: () => undefined });
      expect(again.head.size).toBe(size + 1);
      expect(LogTree.open(disks[i]).rootAt(size)).toEqual(logRoot);
    }
  });

  it('the export of one verifies offline, every root recomputed', async () => {
    consortium = await Consortium.start();
    const { members } = consortium;
    for (let i = 0; i < 4; i++) {
      await members[i].node.submit(consortium.request(ALDER, 'Stored', { cids: [CID] }));
    }
    await consortium.level();
    const { engine } = members[2];
    const genesis = engine.entryAt(0);
    if (genesis === undefined) throw new Error('no genesis');
    const lines = exportLines(
      {
        chainId: engine.chainId,
        height: engine.head.height,
        genesisLeaf: genesis.bytes,
        block: (height) => engine.block(height),
        validators: (epoch) => {
          const set = engine.get(STATE.validators(epoch));
          return set === undefined ? undefined : { epoch, validators: set.validators };
        },
        checkpoint: () => undefined,
      },
      PBFT_LITE,
    );
    const report = await verifyLedger(readExport(lines), anchorOfGenesis(genesis.bytes), {
      consensus: PBFT_LITE,
      signatures: new RegisteredKeys(),
      replay: new MachineReplay({ verifies: verifySignature, culpritOf: () => undefined }),
    });
    expect(report).toMatchObject({ ok: true, entries: engine.head.size, failures: [] });
  });
});
