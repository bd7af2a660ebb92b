/**
 * The anchor that a genesis leaf stands for. Whoever has the entry id of the genesis from a source that it trusts needs
 * nothing more to verify the whole ledger.
 */
import { decodeLeaf } from '../entries/leaf.ts';
import { decodeGenesis } from '../entries/members.ts';
import type { LedgerAnchor } from './ledger.ts';
import { pbftGenesisHash } from './pbft-lite.ts';
import { leafHash } from './rfc6962.ts';

/**
 * The anchor of the chain that begins with this leaf, under pbft-lite. It is worth what the leaf's source is worth:
 * compare `genesisEntry` with what several members publish. Throws `entry.malformed`, `cbor.malformed`.
 */
export function anchorOfGenesis(leafBytes: Uint8Array): LedgerAnchor {
  const { decoded } = decodeGenesis(decodeLeaf(leafBytes).tx);
  const { chainId, time, members } = decoded;
  const validators = members.map(({ id, validatorKey }) => ({ member: id, key: validatorKey }));
  const genesisEntry = leafHash(leafBytes);
  const set = { epoch: 0, validators };
  return {
    chainId,
    genesisEntry,
    genesisHash: pbftGenesisHash(genesisEntry, time, set),
    periods: [{ ...set, from: 0 }],
  };
}
