/**
 * The ledger's store of a node: opened, founded with the genesis, and brought near the others' tip by a snapshot if it is far
 * behind. What stands in it is given to others that are.
 */
import { join } from 'node:path';
import type { MemberLink } from '../authority/link.ts';
import {
  CHUNK_TABLE,
  decodeGenesis,
  FACT_TABLE,
  foundLedger,
  GENERATION_TABLES,
  Generations,
  type VerifiedSignatures,
} from '../ledger/index.ts';
import { type Environment, openEnvironment } from '../storage/index.ts';
import { type Disk, LEDGER_RESERVE_BYTES } from './disk.ts';
import { describeError, type NodeLog } from './member-options.ts';
import { BEHIND_BLOCKS, catchUpBySnapshot, type SnapshotOptions } from './snapshot.ts';
import { removeCopies, SnapshotServer } from './snapshot-server.ts';

const LEDGER_TABLES: readonly string[] = [
  'entry',
  'entry-id',
  'tx',
  'entry-ref',
  'block',
  'block-qc',
  'ledger-meta',
  'log',
  ...GENERATION_TABLES,
  CHUNK_TABLE,
  FACT_TABLE,
];

export interface LedgerStoreOptions {
  readonly dir: string;
  readonly disk: Disk;
  /** Signed genesis. */
  readonly genesis: Uint8Array;
  readonly link: MemberLink;
  readonly log: NodeLog;
  readonly signatures: VerifiedSignatures;
  /** How far behind a snapshot is taken; absent: never. */
  readonly snapshot?: SnapshotOptions;
}

export interface LedgerStore {
  readonly environment: Environment;
  readonly store: Generations;
  readonly snapshots: SnapshotServer;
  /** What consensus starts from. */
  readonly genesis: Parameters<typeof catchUpBySnapshot>[0]['genesis'];
}

/** Throws what the store throws, and `genesis.*` and `ledger.*` as a ledger that is opened does. */
export async function openLedgerStore(options: LedgerStoreOptions): Promise<LedgerStore> {
  const { dir, disk, link, log, signatures, snapshot } = options;
  const environment = openEnvironment(join(dir, 'ledger'), {
    tables: LEDGER_TABLES,
    reserveBytes: LEDGER_RESERVE_BYTES,
  });
  try {
    const store = new Generations(disk.patient(environment));
    const { time, members } = decodeGenesis(options.genesis).decoded;
    const chainId = await foundLedger(store, options.genesis, signatures);
    const genesis = { chainId, time, validators: members.map(({ validatorKey }) => validatorKey) };
    await removeCopies(dir);
    const snapshots = new SnapshotServer({
      link,
      store: environment,
      view: () => environment.view(),
      dir,
      staleBlocks: Math.ceil((snapshot?.behind ?? BEHIND_BLOCKS) / 2),
      onError: (event, error) => log.event(event, { error: describeError(error) }),
    });
    if (snapshot !== undefined) {
      const event: NodeLog['event'] = (name, fields) => log.event(name, fields);
      await catchUpBySnapshot({ ...snapshot, store, genesis, link, event });
    }
    return { environment, store, snapshots, genesis };
  } catch (error) {
    await environment.close();
    throw error;
  }
}
