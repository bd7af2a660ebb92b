/**
 * What a client takes from its gateway only with proof: a gateway that could choose the public key, an indexer's key or
 * the facts of a record could read what is sealed, or show forged contents as a record's. Each is compared with the
 * ledger's state under a quorum's checkpoint (state proofs, docs/format/ledger.md).
 */
import { type AuthorityKeys, encodePolicy, makeRegistry, parsePolicy, type Registry } from '../abe/index.ts';
import { equalBytes, fromBase64url, toHex } from '../codec/bytes.ts';
import { decodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { type LabelEntry, toLabelSpec } from '../ledger/entries/index.ts';
import { type Checkpoint, decodeStateProof, verifyStateProof } from '../ledger/verify/index.ts';
import type { Anchors } from './anchors.ts';
import type { Context } from './context.ts';
import { requireFresh } from './freshness.ts';
import type { RecordInfo } from './types.ts';

/** Keys of one request. */
const STATES_MAX = 64;

/** What this client reads of a record's state; docs/entries.md has the whole. */
interface RecordFacts {
  readonly version: number;
  readonly cid: string | null;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly gate: string;
  readonly commitment: Uint8Array | null;
}

interface ShareFacts {
  readonly threshold: number;
  readonly mpk: Uint8Array;
  readonly commitments: readonly Uint8Array[];
}

export class Proven {
  readonly #context: Context;
  readonly #anchors: Anchors;
  #registry: { readonly refreshes: number; readonly of: Promise<Registry> } | undefined;
  #keys: { readonly of: AuthorityKeys; readonly proven: Promise<AuthorityKeys> } | undefined;

  constructor(context: Context, anchors: Anchors) {
    this.#context = context;
    this.#anchors = anchors;
  }

  /**
   * A state value that a quorum vouches for, or null when a quorum vouches that there is none. Throws `client.unproven`
   * when the proof fails, and `checkpoint.*`.
   */
  async state(key: string): Promise<unknown> {
    const [value] = await this.states([key]);
    return value;
  }

  /** The same for several keys in one request, all of one checkpoint, in order. */
  async states(keys: readonly string[], maxAgeMs?: number): Promise<unknown[]> {
    return (await this.statesAt(keys, maxAgeMs)).values;
  }

  /** The same, with the checkpoint. Throws `checkpoint.stale` for one older than `maxAgeMs` (default: the context's). */
  async statesAt(
    keys: readonly string[],
    maxAgeMs = this.#context.freshnessMs,
  ): Promise<{ readonly values: unknown[]; readonly checkpoint: Checkpoint }> {
    const floor = this.#anchors.newest;
    const since = floor?.size ?? 0;
    const { states, ...answer } = await this.#context.gateway.json<{
      states: readonly { value: string | null; proof: string }[];
      checkpoint: string;
      consistency: readonly string[] | null;
    }>('POST', '/v1/ledger/states', { body: { keys, since } });
    const hashes = answer.consistency?.map(fromBase64url);
    const given = hashes === undefined ? undefined : { since, hashes };
    const checkpoint = await this.#anchors.checkpoint(answer.checkpoint, floor, given);
    requireFresh(checkpoint, this.#context.now(), maxAgeMs);
    if (states.length !== keys.length)
      throw new CodedError('client.unproven', `expected ${keys.length} state values, got ${states.length}`);
    const values = keys.map((key, i) => {
      const value = states[i].value === null ? undefined : fromBase64url(states[i].value);
      const proof = decodeStateProof(fromBase64url(states[i].proof));
      if (!verifyStateProof(checkpoint.stateRoot, new TextEncoder().encode(key), value, proof))
        throw new CodedError('client.unproven', `the gateway's proof of ${key} does not verify`);
      return value === undefined ? null : decodeCbor(value);
    });
    return { values, checkpoint };
  }

  /** The authorities' public keys, which must be those of the share epoch on the ledger. */
  async authorityKeys(): Promise<AuthorityKeys> {
    const keys = await this.#context.authorityKeys();
    if (this.#keys?.of !== keys) this.#keys = { of: keys, proven: this.#provenKeys(keys) };
    return this.#keys.proven.catch((error: unknown) => {
      this.#keys = undefined;
      throw error;
    });
  }

  /** The labels of attributes and what they mean: whoever could choose them could make a policy mean something else. */
  registry(): Promise<Registry> {
    const { refreshes } = this.#context;
    if (this.#registry?.refreshes !== refreshes) this.#registry = { refreshes, of: this.#provenRegistry() };
    return this.#registry.of.catch((error: unknown) => {
      this.#registry = undefined;
      throw error;
    });
  }

  async #provenRegistry(): Promise<Registry> {
    const labels = ((await this.state('labels')) ?? []) as readonly string[];
    const entries: (LabelEntry | null)[] = [];
    for (let i = 0; i < labels.length; i += STATES_MAX) {
      const keys = labels.slice(i, i + STATES_MAX).map((label) => `label/${label}`);
      entries.push(...((await this.states(keys)) as (LabelEntry | null)[]));
    }
    return makeRegistry(entries.flatMap((entry) => (entry === null ? [] : toLabelSpec(entry))));
  }

  /** The HPKE key of a member's indexer. */
  async indexerKey(member: string): Promise<Uint8Array> {
    const state = (await this.state(`member/${member}`)) as { indexerKey: Uint8Array } | null;
    if (state === null) throw new CodedError('member.unknown', `the ledger knows no member ${member}`);
    return state.indexerKey;
  }

  /** Throws `client.unproven` unless `info` says of its record what the ledger says. */
  async requireRecord(info: RecordInfo): Promise<void> {
    const facts = (await this.state(`record/${info.record}`)) as RecordFacts | null;
    const isSame =
      facts !== null &&
      facts.version === info.version &&
      facts.cid === info.cid &&
      facts.gate === info.gate &&
      toHex(facts.headerHash) === info.headerHash &&
      (facts.commitment === null ? null : toHex(facts.commitment)) === info.commitment &&
      equalBytes(facts.policy, encodePolicy(parsePolicy(info.policy)));
    if (!isSame) {
      throw new CodedError(
        'client.unproven',
        'the ledger says something else of this record than the gateway: if it was changed a moment ago, try again',
      );
    }
  }

  async #provenKeys(keys: AuthorityKeys): Promise<AuthorityKeys> {
    const group = await this.#context.group();
    const share = (await this.state(`share/${keys.shareEpoch}`)) as ShareFacts | null;
    const isSame =
      share !== null &&
      share.threshold === keys.t &&
      equalBytes(share.mpk, group.encodeGT(keys.mpk.E)) &&
      share.commitments.length === keys.E.length &&
      keys.E.every((one, i) => equalBytes(share.commitments[i], group.encodeGT(one)));
    if (!isSame)
      throw new CodedError('client.unproven', 'the public key of the gateway is not the one on the ledger');
    return keys;
  }
}
