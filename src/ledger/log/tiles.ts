/**
 * C2SP tlog-tiles: the log's hashes in tiles of up to 256. Tile (level L, index N) holds the hashes of the
 * complete subtrees of 256^L leaves number 256 N to 256 N + 255, 32 bytes each, in order. A tile is only ever
 * extended on its right, so a stored tile serves every tree that is not larger than the stored one.
 */
import { concat, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { KvReader } from '../ports.ts';
import { HASH_BYTES } from '../verify/rfc6962.ts';

/** Hashes in a full tile. */
export const TILE_WIDTH = 256;
/** Tree heights that one tile spans. */
export const TILE_HEIGHT = 8;
/** Levels that 2^53 leaves need. */
export const TILE_LEVEL_MAX = 6;

/** Table that holds the tiles and the frontier. */
export const LOG_TABLE = 'log';
/** Key of the frontier: sorts before every tile key. */
export const FRONTIER_KEY: Uint8Array = Uint8Array.of(0);

/** Key of a tile: 0x01 || u8 level || u64 index. */
export function tileKey(level: number, index: number): Uint8Array {
  return concat(Uint8Array.of(1, level), u64be(index));
}

/** How many hashes tile (level, index) holds in a tree of `size` leaves: 0 to 256. */
export function tileWidth(level: number, index: number, size: number): number {
  const nodes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, nodes - index * TILE_WIDTH));
}

/** The first `width` hashes of a stored tile; `log.damaged` when the store does not hold them. */
export function readTile(reader: KvReader, level: number, index: number, width: number): Uint8Array {
  const bytes = reader.get(LOG_TABLE, tileKey(level, index));
  if (bytes === undefined || bytes.length < width * HASH_BYTES || bytes.length % HASH_BYTES !== 0) {
    throw new CodedError(
      'log.damaged',
      `expected ${width} hashes in log tile ${level}/${index}, found ${(bytes?.length ?? 0) / HASH_BYTES}; restore the node`,
    );
  }
  return bytes.subarray(0, width * HASH_BYTES);
}

/** Path of a tile below the log's address, as in C2SP tlog-tiles: `tile/0/x001/x234/067.p/16`. */
export function tilePath(level: number, index: number, width: number = TILE_WIDTH): string {
  const groups: string[] = [];
  let rest = index;
  do {
    groups.unshift(String(rest % 1000).padStart(3, '0'));
    rest = Math.floor(rest / 1000);
  } while (rest > 0);
  const path = groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/');
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Most groups of three digits: indices stay below 10^15, inside 2^53. */
const PATH_GROUPS_MAX = 5;

/**
 * The tile that a path as `tilePath` writes it names; undefined for any other text, also for one that only looks like it
 * (leading zero groups, `.p/256`).
 */
export function parseTilePath(path: string): { level: number; index: number; width: number } | undefined {
  const match = /^tile\/([0-6])\/((?:x[0-9]{3}\/)*)([0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path);
  if (match === null) return undefined;
  const groups = `${match[2]}${match[3]}`.split('/').map((group) => group.replace('x', ''));
  if (groups.length > PATH_GROUPS_MAX) return undefined;
  const tile = {
    level: Number(match[1]),
    index: Number(groups.join('')),
    width: match[4] === undefined ? TILE_WIDTH : Number(match[4]),
  };
  return tilePath(tile.level, tile.index, tile.width) === path ? tile : undefined;
}
