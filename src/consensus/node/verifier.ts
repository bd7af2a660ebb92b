/**
 * Checks every signature in a message, also inside certificates, and is the only maker of `Verified` values. Results
 * are cached by (signed bytes, key, signature), so that a COMMIT seen as a vote costs nothing again in a
 * certificate. Ed25519 one by one; no batch verification (ledger-security rule 19).
 */
import type { ValidatorSet } from '../validators.ts';
import { asBuffer, type Hash } from '../wire/bytes.ts';
import type {
  PreparedCertificate,
  QuorumCertificate,
  SignedMessage,
  Verified,
  ViewChange,
  VoteKind,
  Welcome,
} from '../wire/messages.ts';
import { helloBytes, voteBytes, welcomeBytes } from '../wire/signing.ts';
import { verifyEd25519 } from './keys.ts';

/** Signatures remembered as good. */
const CACHE_MAX = 8192;

/**
 * Remembers good signatures. Members of one process may share one cache: then each signature is verified once for
 * all of them, which no separate processes could do. For demonstrations and tests, never for benchmarks.
 */
export class VerificationCache {
  #recent = new Set<string>();
  #older = new Set<string>();

  has(key: string): boolean {
    return this.#recent.has(key) || this.#older.has(key);
  }

  add(key: string): void {
    if (this.#recent.size >= CACHE_MAX / 2) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(key);
  }
}

export class Verifier {
  readonly #chainId: Uint8Array;
  readonly #cache: VerificationCache;

  readonly #verify: typeof verifyEd25519;

  /** `verify` is Ed25519 except in the simulator, whose signatures are cheap and not secure. */
  constructor(
    chainId: Uint8Array,
    cache: VerificationCache = new VerificationCache(),
    verify: typeof verifyEd25519 = verifyEd25519,
  ) {
    this.#chainId = chainId;
    this.#cache = cache;
    this.#verify = verify;
  }

  /** `message` as verified, or undefined when any signature in it is bad. `set` is that of the message's height. */
  message<M extends SignedMessage>(message: M, set: ValidatorSet): Verified<M> | undefined {
    return this.#good(message, set) ? (message as Verified<M>) : undefined;
  }

  /** Whether `qc` holds q good COMMITs of distinct members of `set`. */
  certificate(qc: QuorumCertificate, set: ValidatorSet): boolean {
    if (qc.epoch !== set.epoch || qc.votes.length < set.q) return false;
    return qc.votes.every(
      (vote, i) =>
        (i === 0 || qc.votes[i - 1].sender < vote.sender) &&
        this.#vote('commit', set, { ...qc, sender: vote.sender }, qc.headerHash, vote.signature),
    );
  }

  #good(message: SignedMessage, set: ValidatorSet): boolean {
    if (message.epoch !== set.epoch || message.sender >= set.n) return false;
    switch (message.type) {
      case 'prepare':
      case 'commit':
      case 'pre-prepare':
        return this.#vote(message.type, set, message, message.digest, message.signature);
      case 'view-change':
        return this.#viewChange(message, set);
      case 'new-view':
        return (
          this.#vote('pre-prepare', set, message, message.digest, message.signature) &&
          message.viewChanges.every((change) => this.#viewChange(change, set))
        );
      case 'hello':
        return this.#verify(set.keys[message.sender], helloBytes(this.#chainId, message), message.signature);
      case 'welcome':
        return this.#welcome(message, set);
      default:
        return message satisfies never;
    }
  }

  /** What a WELCOME says about the starter counts only with the starter's own signatures. */
  #welcome(message: Welcome, set: ValidatorSet): boolean {
    const { hello, vote, to } = message;
    const own = set.keys[to];
    return (
      to < set.n &&
      this.#verify(set.keys[message.sender], welcomeBytes(this.#chainId, message), message.signature) &&
      (hello === undefined || this.#verify(own, helloBytes(this.#chainId, hello), hello.signature)) &&
      (vote === undefined ||
        this.#verify(own, voteBytes(vote.kind, this.#chainId, vote, vote.digest), vote.signature))
    );
  }

  /** The parent certificate inside is a hint for laggards; who is at this height has its own. */
  #viewChange(change: ViewChange, set: ValidatorSet): boolean {
    if (change.epoch !== set.epoch || change.sender >= set.n) return false;
    if (!this.#vote('view-change', set, change, change.digest, change.signature)) return false;
    return change.prepared === undefined || this.#prepared(change.prepared, change.height, set);
  }

  #prepared(prepared: PreparedCertificate, height: number, set: ValidatorSet): boolean {
    const at = { epoch: set.epoch, height, view: prepared.view };
    const { leader, votes, hash } = prepared;
    return (
      this.#vote('pre-prepare', set, { ...at, sender: leader.sender }, hash, leader.signature) &&
      votes.every((vote) => this.#vote('prepare', set, { ...at, sender: vote.sender }, hash, vote.signature))
    );
  }

  #vote(
    kind: VoteKind,
    set: ValidatorSet,
    position: { epoch: number; height: number; view: number; sender: number },
    digest: Hash,
    signature: Uint8Array,
  ): boolean {
    if (position.sender >= set.n) return false;
    const bytes = voteBytes(kind, this.#chainId, position, digest);
    const name = `${asBuffer(bytes).toString('latin1')}${set.ids[position.sender]}${asBuffer(signature).toString('latin1')}`;
    if (this.#cache.has(name)) return true;
    if (!this.#verify(set.keys[position.sender], bytes, signature)) return false;
    this.#cache.add(name);
    return true;
  }
}
