/** Storage: what other parts of a node may use. Node only; nothing here runs in a browser. */

export { type BackupSummary, backup } from './backup/backup.ts';
export { openRepository, type Repository } from './backup/repository.ts';
export { expireBackups, restore, verifyBackup } from './backup/restore.ts';
export { clearRestoredMark, type RestoredMark, restoredMark } from './backup/restored-mark.ts';
export { type BackupSource, plainFile, stoppedDirectory } from './backup/sources.ts';
export { replaceFile } from './durable-files.ts';
export { STORAGE_ERRORS, type StorageErrorCode } from './errors.ts';
export { handleIpfsRequest, type IpfsRequest, type IpfsResponse } from './exchange/gateway.ts';
export { type BlockPeer, fetchFromPeers, keepersOf, replicasFor } from './exchange/peers.ts';
export { kuboStore } from './kubo/open.ts';
export type { KuboCredentials, KuboOptions } from './kubo/store.ts';
export {
  type Environment,
  type EnvironmentOptions,
  type EnvironmentView,
  KEY_BYTES_MAX,
  openEnvironment,
} from './lmdb/environment.ts';
export { type FreeSpaceProbe, fileSystemProbe, SPACE_RESERVE_BYTES } from './lmdb/free-space.ts';
export type { KvOp, KvRange, KvStore } from './lmdb/kv.ts';
export { BLOCK_BYTES_MAX, CID_TEXT_MAX } from './payload/cid.ts';
export { type EmbeddedStore, type EmbeddedStoreOptions, openEmbeddedStore } from './payload/embedded.ts';
export {
  type ByteRange,
  CHUNK_BYTES,
  type PayloadStore,
  type StoredObject,
} from './payload/payload-store.ts';
export { type ErasableOptions, type ErasableStore, openErasable, type Random } from './secrets/erasable.ts';
export { HEADER_BYTES_MAX, type HeaderStore, headerHash, openHeaderStore } from './secrets/headers.ts';
export { createKeystore, type Keystore, openKeystore, SECRET_BYTES_MAX } from './secrets/keystore.ts';
export { KEY_FILE_BYTES_MIN, type Unlock } from './secrets/unlock.ts';
