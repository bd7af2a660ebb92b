/**
 * CAR v1 streams (ipld.io/specs/transport/car/carv1): varint-framed dag-cbor header with the roots, then
 * varint-framed sections of CID and block. Written here rather than taken from @ipld/car because its reader
 * buffers whatever length a peer announces; tests hold the two to equal bytes. Hashes are the caller's to check.
 */
import { CID } from 'multiformats/cid';
import { concat } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { storageError } from '../errors.ts';
import { BLOCK_BYTES_MAX, CID_TEXT_MAX, requireStored } from './cid.ts';

/** Header of about 25,000 roots. */
export const CAR_HEADER_BYTES_MAX = 1024 * 1024;
const SECTION_BYTES_MAX = BLOCK_BYTES_MAX + CID_TEXT_MAX;
/** Varints of lengths within the limits. */
const VARINT_BYTES_MAX = 4;

export interface CarBlock {
  readonly cid: CID;
  readonly bytes: Uint8Array;
}

/** The header section. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const header = encodeCbor({ version: 1, roots });
  return concat(varint(header.length), header);
}

/** One block's section. */
export function carSection({ cid, bytes }: CarBlock): Uint8Array {
  return concat(varint(cid.bytes.length + bytes.length), cid.bytes, bytes);
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) out.push((rest & 0x7f) | 0x80);
  out.push(rest);
  return Uint8Array.from(out);
}

/** Yields the roots first, then each block as it came. Throws `storage.car_malformed`, `storage.bad_cid`. */
export async function* readCar(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ roots: CID[] } | CarBlock> {
  const sections = cutSections(source);
  const first = await sections.next();
  if (first.done === true) throw malformed('an empty stream');
  yield { roots: parseHeader(first.value) };
  for await (const section of sections) yield parseSection(section);
}

function parseHeader(bytes: Uint8Array): CID[] {
  const header = decodeHeader(bytes);
  if (typeof header !== 'object' || header === null || !('version' in header) || !('roots' in header)) {
    throw malformed('a header without version and roots');
  }
  if (header.version !== 1) throw malformed('another version than 1');
  if (!Array.isArray(header.roots)) throw malformed('roots that are no list');
  return header.roots.map((root: unknown) => {
    const cid = CID.asCID(root);
    if (cid === null) throw malformed('a root that is no CID');
    return requireStored(cid);
  });
}

function decodeHeader(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes, CAR_HEADER_BYTES_MAX);
  } catch (cause) {
    throw malformed('a header that is no dag-cbor', cause);
  }
}

function parseSection(section: Uint8Array): CarBlock {
  try {
    const [cid, bytes] = CID.decodeFirst(section);
    return { cid: requireStored(cid), bytes };
  } catch (cause) {
    throw malformed('a section without a CID of a stored kind', cause);
  }
}

/** Cuts the stream at its varints; lengths are checked before anything is buffered for them. */
async function* cutSections(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunks: Uint8Array[] = [];
  let buffered = 0;
  let wanted: number | undefined;
  let limit = CAR_HEADER_BYTES_MAX;
  const join = (): Uint8Array => {
    if (chunks.length !== 1) chunks = [concat(...chunks)];
    return chunks[0];
  };
  const drop = (length: number): void => {
    chunks = [join().subarray(length)];
    buffered -= length;
  };
  for await (const chunk of source) {
    chunks.push(chunk);
    buffered += chunk.length;
    for (;;) {
      if (wanted === undefined) {
        const head = readVarint(join());
        if (head === undefined) break;
        if (head.value === 0 || head.value > limit) throw malformed(`a section of ${head.value} bytes`);
        wanted = head.value;
        drop(head.length);
      }
      if (buffered < wanted) break;
      yield join().slice(0, wanted);
      drop(wanted);
      wanted = undefined;
      limit = SECTION_BYTES_MAX;
    }
  }
  if (buffered > 0 || wanted !== undefined) throw malformed('a stream that ends inside a section');
}

function readVarint(bytes: Uint8Array): { value: number; length: number } | undefined {
  let value = 0;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    if (i >= bytes.length) return undefined;
    value |= (bytes[i] & 0x7f) << (7 * i);
    if (bytes[i] < 0x80) return { value, length: i + 1 };
  }
  throw malformed(`a length of more than ${VARINT_BYTES_MAX} bytes`);
}

function malformed(got: string, cause?: unknown) {
  return storageError('storage.car_malformed', `expected a CAR v1 stream, got ${got}`, { cause });
}
