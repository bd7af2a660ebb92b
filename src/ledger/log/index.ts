/** The transparency log: an RFC 6962 tree in C2SP tiles. Verifiers of its proofs are in `../verify`. */

export { Frontier, frontierMatches } from './frontier.ts';
export {
  FRONTIER_KEY,
  LOG_TABLE,
  parseTilePath,
  TILE_HEIGHT,
  TILE_LEVEL_MAX,
  TILE_WIDTH,
  tileKey,
  tilePath,
  tileWidth,
} from './tiles.ts';
export { type LogAppend, LogTree } from './tree.ts';
