/** Four members in one process: engines on stores in memory, ordered by pbft-lite over its in-process network. */
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import {
  DEFAULT_TIMING,
  InProcessNetwork,
  MemoryWal,
  PbftNode,
  validatorKey,
} from '../../../src/consensus/index.ts';
import { LedgerEngine, MemoryStore } from '../../../src/ledger/index.ts';
import { bytesOf, genesisDocument, MEMBER_IDS, signGenesis, TestLedger, validatorOf } from '../support.ts';

export interface Consortium {
  readonly members: readonly { readonly engine: LedgerEngine; readonly node: PbftNode }[];
  /** Makes and signs requests for this chain; its own engine is not part of the consortium. */
  readonly writer: TestLedger;
  stop(): Promise<void>;
}

export async function startConsortium(): Promise<Consortium> {
  const network = new InProcessNetwork();
  const document = { ...genesisDocument(), time: Date.now() - 1000 };
  const genesis = signGenesis(document);
  const validators = MEMBER_IDS.map((member) => validatorOf(member).publicKey.key);
  const members: { engine: LedgerEngine; node: PbftNode }[] = [];
  for (const member of MEMBER_IDS) {
    const engine = await LedgerEngine.open({
      store: new MemoryStore(),
      genesis,
      cosign: { member, signer: validatorOf(member) },
      onListenerError: (error) => {
        throw error;
      },
    });
    const key = validatorKey(bytesOf(`validator ${member}`));
    let draws = 0;
    const node = new PbftNode({
      key,
      genesis: { chainId: fromHex(engine.entryAt(0)?.id ?? ''), time: document.time, validators },
      application: engine,
      blocks: engine.blocks,
      wal: new MemoryWal(),
      transport: network.endpoint(toHex(key.publicKey)),
      random: (n) => bytesOf(`${member} ${draws++}`).subarray(0, n),
      now: () => performance.now(),
      clock: () => Date.now(),
      timing: { ...DEFAULT_TIMING, helloMs: 30 },
    });
    members.push({ engine, node });
  }
  await Promise.all(members.map(({ node }) => node.start()));
  const writer = await TestLedger.open({ document });
  writer.time = Date.now();
  return {
    members,
    writer,
    async stop() {
      for (const { node } of members) await node.stop();
      for (const { engine } of members) await engine.close();
    },
  };
}
