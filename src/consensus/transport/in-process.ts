/** Members of one process, joined by queues. Everything still goes through the codec as bytes. */
import type { PeerId } from '../validators.ts';
import type { Transport, TransportEvents } from './port.ts';

/** Whether a message is delivered; for tests that lose messages. */
export type LinkFilter = (from: PeerId, to: PeerId, bytes: Uint8Array) => boolean;

export class InProcessNetwork {
  readonly #members = new Map<PeerId, TransportEvents>();
  #filter: LinkFilter = () => true;

  /** Delivers only what `filter` lets through, from now on. */
  setFilter(filter: LinkFilter): void {
    this.#filter = filter;
  }

  /** The end of `peer`; a later one for the same peer takes its place. */
  endpoint(peer: PeerId): Transport {
    let own: TransportEvents | undefined;
    return {
      start: async (events) => {
        own = events;
        this.#members.set(peer, events);
        for (const [other, otherEvents] of this.#members) {
          if (other === peer) continue;
          setImmediate(() => this.#members.get(peer) === events && events.onConnected(other));
          setImmediate(() => this.#members.get(other) === otherEvents && otherEvents.onConnected(peer));
        }
      },
      send: (to, bytes) => this.#deliver(peer, own, to, bytes),
      broadcast: (bytes) => {
        for (const to of this.#members.keys()) if (to !== peer) this.#deliver(peer, own, to, bytes);
      },
      stop: async () => {
        if (this.#members.get(peer) === own) this.#members.delete(peer);
      },
    };
  }

  #deliver(from: PeerId, sender: TransportEvents | undefined, to: PeerId, bytes: Uint8Array): void {
    if (sender === undefined || this.#members.get(from) !== sender) return;
    const receiver = this.#members.get(to);
    if (receiver === undefined || !this.#filter(from, to, bytes)) return;
    setImmediate(() => {
      if (this.#members.get(to) === receiver) receiver.onMessage(from, bytes);
    });
  }
}
