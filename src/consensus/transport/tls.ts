/** The consensus channel of a member link as a transport. */
import type { LinkChannel, MemberLink } from './link.ts';
import type { Transport } from './port.ts';

/** Name of the channel that carries pbft-lite. */
export const CONSENSUS_CHANNEL = 'consensus';

/** Uses `link`, which the caller starts and stops, for consensus messages. */
export function linkTransport(link: MemberLink): Transport {
  let channel: LinkChannel | undefined;
  return {
    start: async (events) => {
      channel = link.channel(CONSENSUS_CHANNEL, events);
    },
    send: (to, bytes) => channel?.send(to, bytes),
    broadcast: (bytes) => channel?.broadcast(bytes),
    stop: async () => {
      channel = undefined;
      link.channel(CONSENSUS_CHANNEL, {});
    },
  };
}
