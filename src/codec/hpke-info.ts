/** What HPKE-sealed bytes are bound to: both ends must name exactly the same, so it stands in one place. */
import { encodeCbor } from './cbor.ts';

/** A released key part or gate. `entry` is the id of the KeyIssue, Access or BreakGlass that it was released for. */
export function partInfo(
  chainId: string,
  member: string,
  keyId: Uint8Array,
  generation: number,
  entry: Uint8Array,
): Uint8Array {
  return encodeCbor(['hippocrypt/part/1', chainId, member, keyId, generation, entry]);
}

/** A record's keywords on their way from the sealer to its custodian's indexer. */
export function keywordsInfo(
  chainId: string,
  custodian: string,
  record: Uint8Array,
  version: number,
): Uint8Array {
  return encodeCbor(['hippocrypt/keywords/1', chainId, custodian, record, version]);
}
