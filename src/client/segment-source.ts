/** The segment files as a client reads them from its own node, or through it: whole, or all ranges of a round in one request. */
import type { ByteRange, FetchPolicy, SegmentSource } from '../search/index.ts';
import type { Gateway } from './http.ts';

/**
 * How a client reads index segments. Beside the policies of `SegmentReader` over its own node's copies: `direct`, pages from the
 * custodian itself, which sees what is asked for and knows its keywords; refused unless both members' configurations allow it.
 */
export type IndexFetch = FetchPolicy | 'direct';

/** How `SegmentReader` reads under a policy. */
export function readerPolicy(policy: IndexFetch): FetchPolicy {
  return policy === 'direct' ? 'pages' : policy;
}

/** Copies at a gateway, or through it what `custodian` itself gives. What comes is trusted for nothing: `SegmentReader` checks it. */
export function segmentSource(gateway: Gateway, custodian?: string): SegmentSource {
  const of = custodian === undefined ? '' : `?from=${custodian}`;
  return {
    fetchWhole: (name) => gateway.bytes('GET', `/v1/search/segments/${name}${of}`),
    fetchRanges: async (name, ranges) => {
      const body = { ranges: ranges.map(({ offset, length }) => [offset, length]) };
      return cut(await gateway.bytes('POST', `/v1/search/segments/${name}/ranges${of}`, { body }), ranges);
    },
  };
}

/** The ranges as they stand one after the other; bytes too few or too many make the last of another length. */
function cut(bytes: Uint8Array, ranges: readonly ByteRange[]): Uint8Array[] {
  let at = 0;
  return ranges.map(({ length }, i) => {
    const end = i === ranges.length - 1 ? bytes.length : at + length;
    const piece = bytes.subarray(at, end);
    at = end;
    return piece;
  });
}
