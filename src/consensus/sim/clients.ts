/**
 * Clients of a simulation: requests that live long or expire at once, given to some members, two requests under one
 * nonce, and governance: changes of the validator set and of who may lead.
 */
import type { Chain } from '../chain.ts';
import { faultBound } from '../quorum.ts';
import { toHex } from '../wire/bytes.ts';
import { encodeSimRequest, type SimRequest } from './application.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** Most changes of the set in one run. */
const RECONFIGURATIONS_MAX = 3;

export class Clients {
  readonly #random: Random;
  readonly #nodes: readonly SimNode[];
  readonly #now: () => number;
  readonly #faulty: number;
  readonly #issued = new Set<string>();
  #nonce = 0;
  #reconfigurations = 0;

  /** `now` is block time; `faulty` members are not honest, so the set stays large enough for them. */
  constructor(random: Random, nodes: readonly SimNode[], now: () => number, faulty: number) {
    this.#random = random;
    this.#nodes = nodes;
    this.#now = now;
    this.#faulty = faulty;
  }

  /** Whether a client made this request. */
  authentic(request: Uint8Array): boolean {
    return this.#issued.has(Buffer.from(request).toString('latin1'));
  }

  /** A request with a life of `lifeMs`. */
  issue(
    lifeMs: number,
    more: Pick<SimRequest, 'validators' | 'barred'> = {},
    nonce = ++this.#nonce,
  ): Uint8Array {
    const expiresAt = this.#now() + lifeMs;
    const bytes = encodeSimRequest({
      client: 1,
      nonce,
      expiresAt,
      payload: this.#random.bytes(8),
      ...more,
    });
    this.#issued.add(Buffer.from(bytes).toString('latin1'));
    return bytes;
  }

  act(): void {
    const lifeMs = this.#random.chance(0.15) ? 500 : 120_000;
    const nonce = ++this.#nonce;
    this.#give(this.issue(lifeMs, this.#governance(), nonce));
    // A client that signs two requests under one nonce and gives each to other members.
    if (this.#random.chance(0.1)) this.giveTwo(lifeMs);
  }

  /** Two requests under one nonce, each to some members. */
  giveTwo(lifeMs: number): void {
    const nonce = ++this.#nonce;
    this.#give(this.issue(lifeMs, {}, nonce));
    this.#give(this.issue(lifeMs, {}, nonce));
  }

  #give(request: Uint8Array): void {
    for (const node of this.#nodes) if (this.#random.chance(0.3)) node.submit(request);
  }

  /** Now and then a change of the validator set or of who may lead, one at a time. */
  #governance(): Pick<SimRequest, 'validators' | 'barred'> {
    const chain = this.#longest();
    if (chain === undefined || !this.#random.chance(0.04)) return {};
    if (this.#random.chance(0.4)) return { barred: [this.#random.pick(chain.validators.keys)] };
    const pending = chain.nextValidators.hash !== chain.validators.hash;
    if (pending || this.#reconfigurations >= RECONFIGURATIONS_MAX) return {};
    this.#reconfigurations += 1;
    const current = chain.validators.keys;
    const ids = new Set(chain.validators.ids);
    const spare = this.#nodes.find((node) => !ids.has(toHex(node.key.publicKey)))?.key.publicKey;
    const keys =
      this.#random.chance(0.5) && spare !== undefined ? [...current, spare] : this.#without(current);
    return keys.length >= 4 && this.#faulty <= faultBound(keys.length) ? { validators: keys } : {};
  }

  #without(keys: readonly Uint8Array[]): Uint8Array[] {
    const leaving = this.#random.below(keys.length);
    return keys.filter((_, i) => i !== leaving);
  }

  #longest(): Chain | undefined {
    let longest: Chain | undefined;
    for (const node of this.#nodes) {
      const chain = node.honest ? node.replica?.chain : undefined;
      if (chain !== undefined && (longest === undefined || chain.height > longest.height)) longest = chain;
    }
    return longest;
  }
}
