/** The document that starts a chain: assembled from the members' cards, signed by each member's validator key. */
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { Signer } from '../codec/signature.ts';
import { defaultRegistry } from '../fhir/index.ts';
import { checkpointQuorum, type GenesisDocument, genesisMessage, toLabelEntry } from '../ledger/index.ts';
import type { MemberCard } from './identity.ts';

/** Canonical bytes of the genesis document. Members stand in the order of their ids, which is their validator index. */
export function genesisDocument(cards: readonly MemberCard[], chainId: string, timeMs: number): Uint8Array {
  const sorted = [...cards].sort((a, b) => (a.member.id < b.member.id ? -1 : 1));
  if (new Set(sorted.map((card) => card.member.id)).size !== sorted.length) {
    throw new CodedError('member.duplicate', 'expected cards of different members, got two with one id');
  }
  if (sorted.length < 4)
    throw new CodedError('member.too_few', `expected cards of at least 4 members, got ${sorted.length}`);
  const document: GenesisDocument = {
    v: 1,
    chainId,
    time: timeMs,
    members: sorted.map((card) => card.member),
    threshold: checkpointQuorum(sorted.length),
    labels: defaultRegistry().map(toLabelEntry),
    operators: sorted.map((card) => card.operator),
  };
  return encodeCbor(document);
}

/** One member's signature over the document. */
export function signGenesis(document: Uint8Array, validator: Signer): Uint8Array {
  return validator.sign(genesisMessage(document));
}
