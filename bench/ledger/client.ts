/** A client beside a validator: it signs lists of entries, submits them there and waits for each. */
import type { PbftNode, ValidatorKey } from '../../src/consensus/index.ts';
import type { Answer, Load } from './cluster.ts';
import { nameOf, unsignedEntries } from './entry-log.ts';

const LIFE_MS = 10 * 60_000;

export class Client {
  readonly #key: ValidatorKey;
  readonly #node: PbftNode;
  #nonce = 0;

  constructor(key: ValidatorKey, node: PbftNode) {
    this.#key = key;
    this.#node = node;
  }

  #request(list: number): Uint8Array {
    const unsigned = unsignedEntries(this.#key.publicKey, ++this.#nonce, Date.now() + LIFE_MS, list);
    return Buffer.concat([unsigned, this.#key.sign(unsigned)]);
  }

  /** Keeps `outstanding` requests under way until `requests` are done or `ms` have passed. */
  async run({ outstanding, requests, ms, list = 1 }: Load): Promise<Extract<Answer, { type: 'done' }>> {
    const began = performance.now();
    const latencies: number[] = [];
    const times: number[] = [];
    const acknowledged: string[] = [];
    let started = 0;
    let failed = 0;
    const one = async (): Promise<void> => {
      while (started < requests && performance.now() - began < ms) {
        started++;
        const request = this.#request(list);
        const from = performance.now();
        try {
          await this.#node.submit(request);
        } catch {
          failed++;
          continue;
        }
        const now = performance.now();
        latencies.push(now - from);
        times.push(performance.timeOrigin + now);
        acknowledged.push(nameOf(request));
      }
    };
    await Promise.all(Array.from({ length: outstanding }, one));
    return { type: 'done', latencies, times, acknowledged, failed };
  }
}
