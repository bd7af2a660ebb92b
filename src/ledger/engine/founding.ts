/** The tip as it is stored, and the first one: a store that begins with a genesis. */

import { u64be } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { entryId } from '../entries/leaf.ts';
import { decodeGenesis } from '../entries/members.ts';
import { LogTree } from '../log/index.ts';
import { applyGenesis, type MachineHost } from '../machine/index.ts';
import type { KvOp, KvReader, KvStore } from '../ports.ts';
import { updateState } from '../state-tree/index.ts';
import { encodeChanges, leafOps } from './execution.ts';
import type { VerifiedSignatures } from './signatures.ts';
import {
  ENTRY_TABLE,
  META_TABLE,
  META_TIP,
  NOTHING,
  REFERENCE_TABLE,
  referenceKey,
  referenceValue,
} from './tables.ts';

/** The last applied block, written with it. */
export interface StoredTip {
  readonly height: number;
  readonly time: number;
  readonly size: number;
  readonly stateRoot: Uint8Array;
  readonly logRoot: Uint8Array;
  /** The ordering engine's own; empty at height 0. */
  readonly resume: Uint8Array;
}

export function tipOp(tip: StoredTip): KvOp {
  return { table: META_TABLE, key: META_TIP, value: encodeCbor(tip) };
}

/** The tip that this store was left with; undefined when it holds no ledger. */
export function readTip(store: KvReader): StoredTip | undefined {
  const bytes = store.get(META_TABLE, META_TIP);
  return bytes === undefined ? undefined : (decodeCbor(bytes) as StoredTip);
}

/** Writes height 0 into an empty store. Throws what `applyGenesis` throws. */
export async function writeGenesis(store: KvStore, genesis: Uint8Array, host: MachineHost): Promise<void> {
  const outcome = applyGenesis(genesis, host);
  const state = updateState(store, encodeChanges(outcome.changes));
  const log = LogTree.open(store).append(outcome.leaves.map(({ id }) => id));
  const { time } = decodeGenesis(genesis).decoded;
  const tip: StoredTip = {
    height: 0,
    time,
    size: log.size,
    stateRoot: state.root,
    logRoot: log.root,
    resume: NOTHING,
  };
  await store.write([
    ...state.ops,
    ...log.ops,
    ...leafOps(outcome.leaves, 0),
    {
      table: REFERENCE_TABLE,
      key: referenceKey({ by: 'kind', id: 'Genesis' }, 0),
      value: referenceValue([0]),
    },
    tipOp(tip),
  ]);
}

/**
 * Begins a ledger with the genesis in a store that is empty. Answers the id of the genesis entry that the store holds, by which
 * consensus knows the chain. Throws what `applyGenesis` throws, and `ledger.damaged`.
 */
export async function foundLedger(
  store: KvStore,
  genesis: Uint8Array,
  signatures: VerifiedSignatures,
): Promise<Uint8Array> {
  if (readTip(store) === undefined) {
    const verifies: MachineHost['verifies'] = (key, message, sig) => signatures.verify(key, message, sig);
    await writeGenesis(store, genesis, { verifies, culpritOf: () => undefined });
  }
  const leaf = store.get(ENTRY_TABLE, u64be(0));
  if (leaf === undefined) throw new CodedError('ledger.damaged', 'the store has no genesis entry');
  return entryId(leaf);
}
