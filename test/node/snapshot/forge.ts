/**
 * A real chain made without a network: blocks of every kind of entry, executed by an engine, under pbft-lite headers with
 * certificates of the validators' own keys; and members that give it away, honestly or with one thing bent.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LinkHandler, MemberLink } from '../../../src/authority/link.ts';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { decodeCbor } from '../../../src/codec/cbor.ts';
import { memberId } from '../../../src/codec/ids.ts';
import {
  advance,
  type Chain,
  encodeChain,
  type Genesis,
  genesisChain,
  leaderOf,
} from '../../../src/consensus/chain.ts';
import { encodeBlock, encodeQc, validatorKey } from '../../../src/consensus/index.ts';
import { PROTOCOL_VERSION } from '../../../src/consensus/limits.ts';
import type { Hash } from '../../../src/consensus/wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal, qcHash } from '../../../src/consensus/wire/codec.ts';
import type { QuorumCertificate } from '../../../src/consensus/wire/messages.ts';
import { voteBytes } from '../../../src/consensus/wire/signing.ts';
import {
  foundLedger,
  Generations,
  type KvStore,
  LedgerEngine,
  MemoryStore,
  VerifiedSignatures,
} from '../../../src/ledger/index.ts';
import { InProcessLinks } from '../../../src/node/link/in-process.ts';
import { catchUpBySnapshot, type SnapshotOptions } from '../../../src/node/snapshot.ts';
import { SnapshotServer } from '../../../src/node/snapshot-server.ts';
import { culpritOf, everyKind } from '../../ledger/engine/every-kind.ts';
import { bytesOf, genesisDocument, MEMBER_IDS, signGenesis, validatorOf } from '../../ledger/support.ts';

const keys = new Map(
  [...MEMBER_IDS, 'elm'].map((id) => [
    toHex(validatorOf(id).publicKey.key),
    validatorKey(bytesOf(`validator ${id}`)),
  ]),
);

export interface Block {
  readonly time: number;
  readonly batch: readonly Uint8Array[];
}

/** Batches of a ledger with every kind of entry, block by block. */
export async function everyBlock(): Promise<readonly Block[]> {
  const { engine } = await everyKind();
  const blocks: Block[] = [];
  for (let height = 1; height <= engine.head.height; height++) {
    const block = engine.block(height);
    if (block !== undefined) blocks.push(block);
  }
  return blocks;
}

export const GENESIS = signGenesis(genesisDocument());
export const signatures = new VerifiedSignatures();

/** A member that executes what it is given. */
export class Member {
  readonly store: KvStore;
  readonly genesis: Genesis;
  engine: LedgerEngine;
  chain: Chain;

  private constructor(store: KvStore, genesis: Genesis, engine: LedgerEngine, chain: Chain) {
    this.store = store;
    this.genesis = genesis;
    this.engine = engine;
    this.chain = chain;
  }

  /** Opens what stands in `store`; `decode` gives the chain of resume bytes. */
  static async open(store: KvStore, chain?: Chain): Promise<Member> {
    const generations = new Generations(store);
    const genesis = await genesisOf(generations);
    const engine = await LedgerEngine.open({
      store: generations,
      genesis: GENESIS,
      signatures,
      culpritOf,
      onListenerError: (error) => {
        throw error;
      },
    });
    return new Member(store, genesis, engine, chain ?? genesisChain(genesis));
  }

  /** Executes a batch, certifies and applies it. */
  async apply({ time, batch }: Block, view = 0): Promise<void> {
    const { chain } = this;
    const height = chain.height + 1;
    const batchBytes = encodeBatch(batch);
    const proposer = leaderOf(chain, view);
    const hash = batchHash(batchBytes);
    const result = await this.engine.execute({ height, time, proposer, batchHash: hash }, batch);
    if (!result.ok) throw new Error(result.reason);
    const header = {
      version: PROTOCOL_VERSION,
      chainId: chain.chainId,
      epoch: chain.validators.epoch,
      height,
      view,
      proposer,
      time,
      parentHash: chain.headHash,
      batchHash: hash,
      stateRoot: toHex(result.stateRoot) as Hash,
      logRoot: toHex(result.logRoot) as Hash,
      treeSize: result.treeSize,
      validatorsHash: chain.validators.hash,
      nextValidatorsHash: chain.nextValidators.hash,
      parentQcHash: qcHash(chain.qc),
    };
    const proposal = makeProposal(header, batchBytes, chain.qc);
    const qc = certify(chain, proposal.hash);
    const next = advance(chain, proposal, qc, result);
    await this.engine.commit({
      height,
      header,
      headerHash: proposal.hash,
      headerBytes: proposal.headerBytes,
      batch,
      qc: encodeQc(qc),
      parentQc: chain.qc === undefined ? new Uint8Array(0) : encodeQc(chain.qc),
      encoded: encodeBlock({ proposal, qc }),
      resume: encodeChain(next),
    });
    this.chain = next;
  }
}

async function genesisOf(store: Generations): Promise<Genesis> {
  const chainId = await foundLedger(store, GENESIS, signatures);
  const { time, members } = genesisDocument();
  return { chainId, time, validators: members.map(({ validatorKey: key }) => key) };
}

/** COMMITs of the first q validators on the height after `chain`. */
function certify({ chainId, height, validators }: Chain, headerHash: Hash): QuorumCertificate {
  const voters = [...Array(validators.q).keys()];
  const at = { epoch: validators.epoch, height: height + 1, view: 0 };
  const votes = voters.map((sender) => {
    const key = keys.get(validators.ids[sender]);
    if (key === undefined) throw new Error('no key of this validator');
    const message = voteBytes('commit', fromHex(chainId, 32), { ...at, sender }, headerHash);
    return { sender, signature: key.sign(message) };
  });
  return { ...at, headerHash, votes };
}

/** Changes what a member answers to `op`. */
export type Bend = (op: string, answer: Uint8Array, asked: Readonly<Record<string, number>>) => Uint8Array;

/** A link over which members of one chain give it away. */
export class Town {
  readonly links = new InProcessLinks();
  /** Operations that were answered, with whom they were asked of. */
  readonly asked: { readonly of: string; readonly op: string; readonly body: Record<string, number> }[] = [];
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  readonly #dirs: string[] = [];
  readonly #servers: SnapshotServer[] = [];

  /** `id` gives away what `store` holds. */
  async serve(id: string, store: KvStore, bend: Bend = (_, answer) => answer): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'hippocrypt-snapshot-'));
    this.#dirs.push(dir);
    const link = this.links.join(memberId(id));
    const bent: MemberLink = {
      ...link,
      serve: (channel, op, handler: LinkHandler) =>
        link.serve(channel, op, async (from, body) => {
          const asked = decodeCbor(body) as Record<string, number>;
          this.asked.push({ of: id, op, body: asked });
          return bend(op, await handler(from, body), asked);
        }),
    };
    this.#servers.push(
      new SnapshotServer({
        link: bent,
        store,
        view: () => ({ ...readsOf(store), close: () => undefined }),
        dir,
        staleBlocks: 1,
        onError: (_, error) => {
          throw error;
        },
      }),
    );
  }

  /** Alder catches up in `store`. */
  async catchUp(store: KvStore, options: SnapshotOptions = {}): Promise<void> {
    const generations = new Generations(store);
    await catchUpBySnapshot({
      behind: 2,
      waitMs: 0,
      ...options,
      store: generations,
      genesis: await genesisOf(generations),
      link: this.links.join(memberId('alder')),
      event: (name, fields) => this.events.push({ name, fields }),
    });
  }

  async close(): Promise<void> {
    for (const server of this.#servers) await server.close();
    for (const dir of this.#dirs) await rm(dir, { recursive: true, force: true });
  }
}

function readsOf(store: KvStore): Pick<KvStore, 'get' | 'range'> {
  return { get: (table, key) => store.get(table, key), range: (table, range) => store.range(table, range) };
}

/** A store's rows as text, by table: the tables of an executing member under their usual names. */
export function rowsOf(store: KvStore): Record<string, Record<string, string>> {
  const generations = new Generations(store);
  const tables = ['entry', 'entry-id', 'tx', 'entry-ref', 'block', 'block-qc', 'log', 'ledger-meta'];
  const rows: Record<string, Record<string, string>> = {};
  for (const table of [...tables, 'state', 'state-node', 'nonce-expiry']) {
    rows[table] = Object.fromEntries(
      [...generations.range(table, {})].map(([key, value]) => [toHex(key), toHex(value)]),
    );
  }
  // Which tables hold the state is no one else's affair.
  delete rows['ledger-meta'][toHex(new TextEncoder().encode('generation'))];
  return rows;
}

/** A store that can be read while it is torn off after some writes. */
export class Torn extends MemoryStore {
  writesLeft = Number.POSITIVE_INFINITY;

  override async write(ops: Parameters<MemoryStore['write']>[0]): Promise<void> {
    if (this.writesLeft <= 0) throw new Error('the machine stopped');
    this.writesLeft -= 1;
    await super.write(ops);
  }
}
