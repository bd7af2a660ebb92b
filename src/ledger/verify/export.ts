/**
 * The export file: one JSON object a line (ndjson). The first line names the chain and holds the genesis entry, every
 * further line is one block with all that an offline verifier needs. Bytes are base64url. Reading never throws on
 * a damaged line: it becomes a record of its own, so that the rest of the file is still verified.
 */
import { fromBase64url, toBase64url } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { NOTE_BYTES_MAX } from '../checkpoint/note.ts';
import type { ValidatorSet } from '../checkpoint/validators.ts';
import type { EpochLink } from './anchor.ts';

/** Longest line: a block of the largest batch, in base64, twice over (requests and leaves). */
export const EXPORT_LINE_CHARS_MAX = 64 * 1024 * 1024;
/** Name in the first line. */
export const EXPORT_FORMAT = 'hippocrypt-ledger';

/** One block as it leaves a node. */
export interface BlockRecord {
  readonly header: Uint8Array;
  readonly qc: Uint8Array;
  /** Requests as they were ordered. */
  readonly batch: readonly Uint8Array[];
  /** Leaves that the block appended to the log. */
  readonly leaves: readonly Uint8Array[];
  /** Hashes of those leaves; they tell a damaged leaf from a damaged root. */
  readonly leafHashes: readonly Uint8Array[];
  /** A cosigned checkpoint at this height, when the node has one. */
  readonly checkpoint?: string;
  /** The set that decides from the next height on, when it changes. */
  readonly nextValidators?: ValidatorSet;
}

/** What a verifier reads, in order. */
export type LedgerRecord =
  | { readonly kind: 'genesis'; readonly chainId: string; readonly leaf: Uint8Array }
  | ({ readonly kind: 'block' } & BlockRecord)
  | { readonly kind: 'damaged'; readonly reason: string };

/** First line, without its newline. */
export function encodeGenesisLine(chainId: string, leaf: Uint8Array): string {
  return JSON.stringify({ format: EXPORT_FORMAT, v: 1, chainId, genesis: toBase64url(leaf) });
}

/** A block's line, without its newline. */
export function encodeBlockLine(block: BlockRecord): string {
  const list = (items: readonly Uint8Array[]): string[] => items.map(toBase64url);
  const next = block.nextValidators;
  return JSON.stringify({
    header: toBase64url(block.header),
    qc: toBase64url(block.qc),
    batch: list(block.batch),
    leaves: list(block.leaves),
    leafHashes: list(block.leafHashes),
    ...(block.checkpoint === undefined ? {} : { checkpoint: block.checkpoint }),
    ...(next === undefined ? {} : { nextValidators: validatorsToJson(next) }),
  });
}

function validatorsToJson({ epoch, validators }: ValidatorSet): unknown {
  return { epoch, validators: validators.map(({ member, key }) => ({ member, key: toBase64url(key) })) };
}

/** A link of epochs in JSON: { header, qc, next }, bytes as base64url. */
export function epochLinkToJson(link: EpochLink): unknown {
  return {
    header: toBase64url(link.header),
    qc: toBase64url(link.qc),
    next: validatorsToJson(link.next),
  };
}

/** Throws `export.malformed` or `bytes.not_base64url`; says nothing about the certificate. */
export function epochLinkFromJson(json: unknown): EpochLink {
  const object = fieldsOf(json);
  onlyFields(object, ['header', 'qc', 'next']);
  return {
    header: bytesOf(object.header, 'header'),
    qc: bytesOf(object.qc, 'qc'),
    next: validatorsOf(object.next),
  };
}

/** The record in one line, damaged or not. Never throws. */
export function decodeLine(line: string): LedgerRecord {
  if (line.length > EXPORT_LINE_CHARS_MAX) {
    return { kind: 'damaged', reason: `a line is longer than ${EXPORT_LINE_CHARS_MAX} characters` };
  }
  try {
    const value: unknown = JSON.parse(line);
    const object = fieldsOf(value);
    return 'format' in object ? genesisOf(object) : blockOf(object);
  } catch (error) {
    return { kind: 'damaged', reason: error instanceof CodedError ? error.message : 'a line is not JSON' };
  }
}

/** The records of a file, given its lines; empty lines at the end are passed over. */
export async function* readExport(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<LedgerRecord> {
  for await (const line of lines) {
    if (line.trim() !== '') yield decodeLine(line);
  }
}

const malformed = (message: string): never => {
  throw new CodedError('export.malformed', message);
};

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    malformed('expected an object a line');
  return value as Record<string, unknown>;
}

function onlyFields(object: Record<string, unknown>, known: readonly string[]): void {
  const other = Object.keys(object).find((name) => !known.includes(name));
  if (other !== undefined) malformed('expected no fields but those of the format');
}

function bytesOf(value: unknown, name: string): Uint8Array {
  return typeof value === 'string' ? fromBase64url(value) : malformed(`expected ${name} as base64url`);
}

function listOf(value: unknown, name: string): Uint8Array[] {
  if (!Array.isArray(value)) return malformed(`expected ${name} as a list`);
  return value.map((item) => bytesOf(item, name));
}

function genesisOf(object: Record<string, unknown>): LedgerRecord {
  onlyFields(object, ['format', 'v', 'chainId', 'genesis']);
  const { format, v, chainId, genesis } = object;
  if (format !== EXPORT_FORMAT || v !== 1 || typeof chainId !== 'string') {
    return malformed(`expected the first line of a ${EXPORT_FORMAT} file, version 1`);
  }
  return { kind: 'genesis', chainId, leaf: bytesOf(genesis, 'genesis') };
}

function blockOf(object: Record<string, unknown>): LedgerRecord {
  onlyFields(object, ['header', 'qc', 'batch', 'leaves', 'leafHashes', 'checkpoint', 'nextValidators']);
  const { checkpoint, nextValidators } = object;
  if (checkpoint !== undefined && (typeof checkpoint !== 'string' || checkpoint.length > NOTE_BYTES_MAX)) {
    malformed('expected the checkpoint as text');
  }
  return {
    kind: 'block',
    header: bytesOf(object.header, 'header'),
    qc: bytesOf(object.qc, 'qc'),
    batch: listOf(object.batch, 'batch'),
    leaves: listOf(object.leaves, 'leaves'),
    leafHashes: listOf(object.leafHashes, 'leafHashes'),
    ...(typeof checkpoint === 'string' ? { checkpoint } : {}),
    ...(nextValidators === undefined ? {} : { nextValidators: validatorsOf(nextValidators) }),
  };
}

function validatorsOf(value: unknown): ValidatorSet {
  const { epoch, validators } = fieldsOf(value);
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || !Array.isArray(validators)) {
    return malformed('expected nextValidators as an epoch and a list');
  }
  return {
    epoch,
    validators: validators.map((item) => {
      const { member, key } = fieldsOf(item);
      return typeof member === 'string'
        ? { member, key: bytesOf(key, 'key') }
        : malformed('expected a member');
    }),
  };
}
