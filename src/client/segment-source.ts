/** The segment files as a client reads them from its own node: whole, or all ranges of a round in one request. */
import type { ByteRange, SegmentSource } from '../search/index.ts';
import type { Gateway } from './http.ts';

/** Copies at a gateway. What comes is trusted for nothing: `SegmentReader` checks it. */
export function segmentSource(gateway: Gateway): SegmentSource {
  return {
    fetchWhole: (name) => gateway.bytes('GET', `/v1/search/segments/${name}`),
    fetchRanges: async (name, ranges) => {
      const body = { ranges: ranges.map(({ offset, length }) => [offset, length]) };
      return cut(await gateway.bytes('POST', `/v1/search/segments/${name}/ranges`, { body }), ranges);
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
