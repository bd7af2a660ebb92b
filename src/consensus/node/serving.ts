/** Decided blocks for peers that ask: one answer at a time for each, so that catching up cannot starve votes. */
import type { BlockStore } from '../application.ts';
import { SYNC_BYTES_MAX } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import { decodeBlock } from '../wire/codec.ts';
import type { Block } from '../wire/messages.ts';

export interface ServingPort {
  /** Last applied height. */
  height(): number;
  send(to: PeerId, blocks: readonly Block[]): void;
}

export class Serving {
  readonly #blocks: BlockStore;
  readonly #port: ServingPort;
  readonly #answering = new Set<PeerId>();

  constructor(blocks: BlockStore, port: ServingPort) {
    this.#blocks = blocks;
    this.#port = port;
  }

  /** Sends up to `count` blocks from height `from` on; nothing while an answer to this peer is under way. */
  serve(to: PeerId, from: number, count: number): void {
    if (this.#answering.has(to)) return;
    this.#answering.add(to);
    this.#read(from, count)
      .then((blocks) => this.#port.send(to, blocks))
      .catch(() => undefined)
      .finally(() => this.#answering.delete(to));
  }

  async #read(from: number, count: number): Promise<Block[]> {
    const blocks: Block[] = [];
    let bytes = 0;
    const last = Math.min(from + count - 1, this.#port.height());
    for (let height = from; height <= last; height++) {
      const encoded = await this.#blocks.get(height);
      if (encoded === undefined) break;
      bytes += encoded.length;
      if (blocks.length > 0 && bytes > SYNC_BYTES_MAX) break;
      blocks.push(decodeBlock(encoded));
    }
    return blocks;
  }
}
