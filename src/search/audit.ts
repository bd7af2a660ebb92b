/**
 * The audit that a query cannot replace: answers are complete over the committed lists, but nothing proves that a
 * custodian listed every keyword of its records. Whoever may open a record recomputes its keywords (`recordKeywords`)
 * and looks for the record's number in each list. To others a finding is shown with the list key of that keyword in that
 * segment, never with T_w.
 */
import { searchError } from './errors.ts';
import { decodeKeyword } from './keyword.ts';
import { lookupLists } from './lookup.ts';
import { manifestEnd } from './manifest.ts';
import type { CustodianIndex } from './run.ts';

export interface AuditInput {
  readonly index: CustodianIndex;
  readonly indexNo: number;
  /** Encoded keywords that the record must be found by. */
  readonly keywords: readonly Uint8Array[];
  readonly clientKey: Uint8Array;
}

/**
 * Those of `keywords` whose list lacks the record; empty when the custodian indexed it honestly. Needs the secrets of
 * all of them. Throws `search.lag_exceeded` for a record that no segment covers yet, and what lookups throw.
 */
export async function missingKeywords(input: AuditInput): Promise<Uint8Array[]> {
  const { index, indexNo, keywords, clientKey } = input;
  if (indexNo >= manifestEnd(index.manifest)) {
    throw searchError('search.lag_exceeded', 'the index does not cover this record yet; ask again later');
  }
  const segments = index.manifest.segments.filter((meta) => meta.lo <= indexNo && indexNo < meta.hi);
  const [found] = await lookupLists({
    manifest: { ...index.manifest, segments },
    keywords: keywords.map((bytes) => {
      const { field, type } = decodeKeyword(bytes);
      return { field, bytes, isSentinel: type === 'any', sensitive: false };
    }),
    secretOf: index.secretOf,
    readerOf: index.readerOf,
    clientKey,
    cost: { requests: 0, bytes: 0, proofBytes: 0 },
  });
  const local = indexNo - found.meta.lo;
  return keywords.filter((_, at) => found.lists[at]?.members.ids.includes(local) !== true);
}
