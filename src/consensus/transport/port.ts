/** How messages travel between members. Loss, delay, duplication and reordering are allowed; `from` is authentic. */
import type { PeerId } from '../validators.ts';

export interface TransportEvents {
  /** A message of `from`, whom the transport has authenticated. The bytes are the receiver's to keep. */
  onMessage(from: PeerId, bytes: Uint8Array): void;
  /** A link to `peer` came up, also after a reconnect. */
  onConnected(peer: PeerId): void;
}

export interface Transport {
  /** Begins to deliver. Called once. */
  start(events: TransportEvents): Promise<void>;
  /** Sends to one peer; silently drops when there is no link. The bytes are not changed afterwards. */
  send(to: PeerId, bytes: Uint8Array): void;
  /** Sends to every linked peer, observers too. */
  broadcast(bytes: Uint8Array): void;
  stop(): Promise<void>;
}
