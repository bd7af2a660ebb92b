/**
 * An IPFS trustless gateway (specs.ipfs.tech/http-gateways/trustless-gateway) over a payload store, free of any
 * web framework: raw blocks, and CAR streams with paths, `dag-scope` and `entity-bytes`. It answers from this
 * store only and never searches a network. Everything it sends can be checked against the CID that was asked
 * for; who may ask is for the caller to decide before calling.
 *
 * Status codes here are those of the IPFS specification, not of the REST contract. A CAR stream that meets a
 * missing block breaks off, as the specification wants: the caller then cuts the connection.
 */
import { CID as Cid } from 'multiformats/cid';
import { toHex, utf8 } from '../../codec/bytes.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';
import { type CarBlock, carHeader, carSection } from '../payload/car.ts';
import { blockName, type CID, parseCid } from '../payload/cid.ts';
import type { PayloadStore } from '../payload/payload-store.ts';
import { mustRead } from '../payload/unixfs-read.ts';
import { badRequest, blocksInScope, parseScope, resolvePath, type Scope } from './dag-scope.ts';

/** Path segments that a request may walk. */
export const GATEWAY_PATH_SEGMENTS_MAX = 32;
/** The empty identity CID, which clients ask for to see whether a gateway is alive. */
const PROBE = 'bafkqaaa';
const RAW = 'application/vnd.ipld.raw';
const CAR = 'application/vnd.ipld.car';
const CAR_TYPE = `${CAR}; version=1; order=dfs; dups=n`;

export interface IpfsRequest {
  /** Path of the URL, percent-encoded as it came: `/ipfs/<cid>[/<path>]`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface IpfsResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Not to be sent in answer to HEAD. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** Answers GET and HEAD under `/ipfs/`. Throws only what the store throws beyond missing and malformed content. */
export async function handleIpfsRequest(store: PayloadStore, request: IpfsRequest): Promise<IpfsResponse> {
  try {
    return await answer(store, request);
  } catch (error) {
    const status = statusOf(error, request);
    if (status === undefined || !(error instanceof CodedError)) throw error;
    return plainText(status, error.message);
  }
}

function statusOf(error: unknown, { headers }: IpfsRequest): number | undefined {
  if (hasCode(error, 'storage.not_found')) {
    return headers['cache-control']?.includes('only-if-cached') ? 412 : 404;
  }
  const clientFaults = ['storage.bad_cid', 'storage.bad_range', 'storage.bad_request'];
  if (clientFaults.some((code) => hasCode(error, code))) return 400;
  return hasCode(error, 'storage.bad_dag') ? 500 : undefined;
}

async function answer(store: PayloadStore, request: IpfsRequest): Promise<IpfsResponse> {
  const { root, segments } = parsePath(request.path);
  const format = wantedFormat(request);
  if (root === PROBE) return probe(format);
  const cid = parseCid(root);
  if (format === RAW) {
    if (segments.length > 0) throw badRequest('a raw block is asked for by its CID alone');
    return rawResponse(store, cid, request);
  }
  return carResponse(store, cid, segments, request);
}

function parsePath(path: string): { root: string; segments: string[] } {
  const [empty, namespace, root, ...rest] = path.split('/');
  if (empty !== '' || namespace !== 'ipfs' || root === undefined || root === '') {
    throw badRequest('expected /ipfs/<cid>');
  }
  const segments = rest.filter((segment) => segment !== '').map(decodeSegment);
  if (segments.length > GATEWAY_PATH_SEGMENTS_MAX) {
    throw badRequest(`expected a path of at most ${GATEWAY_PATH_SEGMENTS_MAX} segments`);
  }
  return { root, segments };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw badRequest('the path is not percent-encoded UTF-8', cause);
  }
}

/** The query parameter wins over the header. */
function wantedFormat({ query, headers }: IpfsRequest): typeof RAW | typeof CAR {
  const format = query.get('format');
  if (format === 'raw') return RAW;
  if (format === 'car') return CAR;
  if (format === null) {
    for (const range of (headers.accept ?? '').split(',')) {
      const type = range.split(';')[0].trim().toLowerCase();
      if (type === RAW || type === CAR) return type;
    }
  }
  throw badRequest(`expected format=raw or format=car, or Accept: ${RAW} or ${CAR}`);
}

function probe(format: typeof RAW | typeof CAR): IpfsResponse {
  const type = format === RAW ? RAW : CAR_TYPE;
  const body = format === RAW ? new Uint8Array() : carHeader([Cid.parse(PROBE)]);
  return { status: 200, headers: { 'content-type': type, 'content-length': String(body.length) }, body };
}

async function rawResponse(store: PayloadStore, cid: CID, request: IpfsRequest): Promise<IpfsResponse> {
  const bytes = await mustRead(cid, (inner) => store.getBlock(inner.toString()));
  const common = {
    ...commonHeaders(cid, request.path, 'bin'),
    'content-type': RAW,
    etag: `"${cid}.raw"`,
    'accept-ranges': 'bytes',
  };
  if (isKnown(request, common.etag)) return { status: 304, headers: common, body: new Uint8Array() };
  const range = parseRangeHeader(request.headers.range, bytes.length);
  if (range === 'unsatisfiable') {
    const headers = { ...common, 'content-range': `bytes */${bytes.length}`, 'content-length': '0' };
    return { status: 416, headers, body: new Uint8Array() };
  }
  if (range === undefined) {
    return { status: 200, headers: { ...common, 'content-length': String(bytes.length) }, body: bytes };
  }
  const body = bytes.subarray(range.start, range.end);
  const contentRange = `bytes ${range.start}-${range.end - 1}/${bytes.length}`;
  const headers = { ...common, 'content-range': contentRange, 'content-length': String(body.length) };
  return { status: 206, headers, body };
}

/** One byte range of RFC 9110 section 14.1.2; anything else is ignored, as it may be. */
function parseRangeHeader(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const [, first, last] = match;
  if (first === '')
    return Number(last) === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(last)), end: size };
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  if (last !== '' && Number(last) < Number(first)) return undefined;
  return Number(first) < size ? { start: Number(first), end } : 'unsatisfiable';
}

async function carResponse(
  store: PayloadStore,
  root: CID,
  segments: readonly string[],
  request: IpfsRequest,
): Promise<IpfsResponse> {
  const read = (cid: CID) => store.getBlock(cid.toString());
  const scope = parseScope(request.query);
  const { above, end } = await resolvePath(root, segments, read);
  const below = await blocksInScope(end, scope, read);
  const headers = {
    ...commonHeaders(root, request.path, 'car'),
    'content-type': CAR_TYPE,
    etag: `W/"${root}.car.${tagOf(segments, scope)}"`,
    'accept-ranges': 'none',
  };
  if (isKnown(request, headers.etag)) return { status: 304, headers, body: new Uint8Array() };
  return { status: 200, headers, body: carStream(root, above, below) };
}

/** Each distinct block once. */
async function* carStream(
  root: CID,
  above: readonly CarBlock[],
  below: AsyncIterable<CarBlock>,
): AsyncGenerator<Uint8Array> {
  yield carHeader([root]);
  const sent = new Set<string>();
  for await (const block of join(above, below)) {
    const key = blockName(block.cid);
    if (sent.has(key)) continue;
    sent.add(key);
    yield carSection(block);
  }
}

async function* join<T>(first: Iterable<T>, second: AsyncIterable<T>): AsyncGenerator<T> {
  yield* first;
  yield* second;
}

/** Distinguishes representations of one root: path, scope and range. */
function tagOf(segments: readonly string[], scope: Scope): string {
  const range = scope.kind === 'bytes' ? `${scope.from}:${scope.to}` : '';
  return `${scope.kind}${range}.${toHex(sha256(utf8(segments.join('/')))).slice(0, 16)}`;
}

function commonHeaders(cid: CID, path: string, suffix: string): Record<string, string> {
  return {
    'cache-control': 'public, max-age=29030400, immutable',
    'content-disposition': `attachment; filename="${cid}.${suffix}"`,
    'x-content-type-options': 'nosniff',
    'x-ipfs-path': path,
    vary: 'accept',
  };
}

function isKnown({ headers }: IpfsRequest, etag: string): boolean {
  const known = (headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes('*') || known.includes(etag.replace(/^W\//, ''));
}

function plainText(status: number, text: string): IpfsResponse {
  const body = utf8(`${text}\n`);
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(body.length),
    'cache-control': 'no-store',
  };
  return { status, headers, body };
}
