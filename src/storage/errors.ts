/**
 * Every code that storage throws, with its meaning. Wrapping of unknown causes happens here and nowhere else,
 * so that a full disk has one name whichever call met it.
 */
import { CodedError } from '../codec/errors.ts';

export const STORAGE_ERRORS = {
  'storage.already_open': 'the directory is open in this process already',
  'storage.locked': 'another process holds the directory',
  'storage.closed': 'the store was closed',
  'storage.full':
    'free space is below the reserve, the disk refused a write for want of space, or a limited address space has no room for the map',
  'storage.failed': 'an earlier write failed below us; reopen the store after mending the disk',
  'storage.unknown_table': 'the table was not named when the environment was opened',
  'storage.bad_key': 'a key is empty or longer than the limit',
  'storage.bad_cid': 'text that is no CID, or a CID of a hash or codec that is not stored here',
  'storage.bad_range': 'a byte range outside the object',
  'storage.block_too_large': 'a block above the limit of the block exchange',
  'storage.too_large': 'an object beyond the size that the caller allowed',
  'storage.not_found': 'a block or object is not in this store',
  'storage.corrupt': 'stored bytes do not match the hash that names them',
  'storage.hash_mismatch': 'bytes handed in do not match the hash or CID they came under',
  'storage.car_malformed': 'bytes that are no CAR v1 stream within the limits',
  'storage.bad_dag': 'a block that is no dag-pb node, or a DAG deeper or wider than the limits',
  'storage.keystore_locked': 'a keystore or backup does not open under this passphrase or key file',
  'storage.keystore_malformed': 'key derivation parameters that are torn or of an unknown version',
  'storage.keystore_exists': 'a keystore is to be made where one stands',
  'storage.bad_request': 'a gateway request outside the trustless gateway specification',
  'storage.kubo_unreachable': 'the Kubo daemon cannot be reached',
  'storage.kubo_refused': 'the Kubo daemon refused the credentials',
  'storage.kubo_timeout': 'the Kubo daemon did not answer in time',
  'storage.kubo_failed': 'the Kubo daemon answered with an error',
  'storage.backup_malformed': 'a backup repository or snapshot of an unknown form',
  'storage.not_empty': 'a directory that must be empty is not',
  'storage.bad_secret_name': 'a secret name outside its form',
} as const;

export type StorageErrorCode = keyof typeof STORAGE_ERRORS;

/** A `CodedError` with a code of the table above. */
export function storageError(
  code: StorageErrorCode,
  message: string,
  options: { cause?: unknown; details?: Record<string, string | number | boolean> } = {},
): CodedError {
  return new CodedError(code, message, options);
}

/** Whether the system said that there is no room: ENOSPC, EDQUOT, or LMDB's full map. */
export function isOutOfSpace(cause: unknown): boolean {
  const code = errnoOf(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') return true;
  return cause instanceof Error && /ENOSPC|EDQUOT|MDB_MAP_FULL|No space left/.test(cause.message);
}

/** The errno name (`ENOENT`) of a node:fs error, or undefined. */
export function errnoOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}

/** `cause` as a coded error: itself when it is one, `storage.full` for want of space, else `storage.failed`. */
export function wrapStorageFailure(cause: unknown, what: string): CodedError {
  if (cause instanceof CodedError) return cause;
  if (isOutOfSpace(cause)) {
    return storageError('storage.full', `${what}: the disk is full; free space, then reopen`, { cause });
  }
  return storageError('storage.failed', `${what} failed; check the disk, then reopen`, { cause });
}
