/** Storage: what other parts of a node may use. Node only; nothing here runs in a browser. */

export {
  type BackupSource,
  type BackupSummary,
  backup,
  expireBackups,
  plainFile,
  restore,
  verifyBackup,
} from './backup.ts';
export { openRepository, type Repository } from './backup-repository.ts';
export { BLOCK_BYTES_MAX, CID_TEXT_MAX } from './cid.ts';
export { type EmbeddedStore, type EmbeddedStoreOptions, openEmbeddedStore } from './embedded.ts';
export { type Environment, type EnvironmentOptions, KEY_BYTES_MAX, openEnvironment } from './environment.ts';
export type { ErasableOptions, Random } from './erasable.ts';
export { STORAGE_ERRORS, type StorageErrorCode } from './errors.ts';
export { type FreeSpaceProbe, fileSystemProbe, SPACE_RESERVE_BYTES } from './free-space.ts';
export { handleIpfsRequest, type IpfsRequest, type IpfsResponse } from './gateway.ts';
export { HEADER_BYTES_MAX, type HeaderStore, headerHash, openHeaderStore } from './headers.ts';
export { createKeystore, type Keystore, openKeystore, SECRET_BYTES_MAX } from './keystore.ts';
export { type KuboCredentials, type KuboOptions, kuboStore } from './kubo.ts';
export type { KvOp, KvRange, KvStore } from './kv.ts';
export { type ByteRange, CHUNK_BYTES, type PayloadStore, type StoredObject } from './payload-store.ts';
export { type BlockPeer, fetchFromPeers, replicasFor } from './peers.ts';
export { clearRestoredMark, type RestoredMark, restoredMark } from './restored-mark.ts';
export { KEY_FILE_BYTES_MIN, type Unlock } from './unlock.ts';
