/** Remembers decoded requests by their bytes: the pool, the proposal and the block decode each of them once. */
import { equalBytes } from '../../codec/bytes.ts';
import { decodeRequest, type ParsedRequest } from '../entries/transaction.ts';

/** Most requests remembered in each of two generations. */
const KEPT_MAX = 8192;
/** Bytes at the end of a request that name it in the memory: a part of its signature. */
const NAME_BYTES = 24;

interface Known {
  readonly bytes: Uint8Array;
  readonly parsed: ParsedRequest;
}

export class ParsedRequests {
  #younger = new Map<string, Known>();
  #older = new Map<string, Known>();

  /** As `decodeRequest`. */
  parse(bytes: Uint8Array): ParsedRequest {
    const name = String.fromCharCode(...bytes.subarray(-NAME_BYTES));
    const known = this.#younger.get(name) ?? this.#older.get(name);
    if (known !== undefined && equalBytes(known.bytes, bytes)) return known.parsed;
    const parsed = decodeRequest(bytes);
    if (this.#younger.size >= KEPT_MAX) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(name, { bytes, parsed });
    return parsed;
  }
}
