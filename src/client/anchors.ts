/**
 * What the client trusts of the ledger: the chain and the validators that speak for it. Given by the caller, or taken
 * from the gateway at first use: a caller that wants more compares it with another member, or ships it with its program.
 */
import { fromBase64url } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import {
  anchorOfGenesis,
  anchorOrigin,
  type Checkpoint,
  checkConsistency,
  epochLinkFromJson,
  extendAnchor,
  type LedgerAnchor,
  PBFT_LITE,
  parseCheckpoint,
  type ReceiptVerdict,
  validatorsAt,
  verifyCheckpoint,
  verifyReceipt,
} from '../ledger/verify/index.ts';
import type { Context } from './context.ts';

export class Anchors {
  readonly #context: Context;
  #anchor: LedgerAnchor | undefined;
  #newest: Checkpoint | undefined;
  /** The text that was verified last: an idle ledger shows the same one to every request. */
  #verified: { readonly text: string; readonly checkpoint: Checkpoint } | undefined;

  constructor(context: Context, anchor?: LedgerAnchor) {
    this.#context = context;
    this.#anchor = anchor;
  }

  /** The anchor given, or the one taken from the gateway at first use. */
  async anchor(): Promise<LedgerAnchor> {
    if (this.#anchor !== undefined) return this.#anchor;
    const { genesis, epochs } = await this.#context.members();
    this.#anchor = extended(anchorOfGenesis(fromBase64url(genesis)), epochs);
    return this.#anchor;
  }

  /** The anchor extended by changes of validators that the gateway knows by now; undefined when there are none. */
  async #longer(): Promise<LedgerAnchor | undefined> {
    const anchor = await this.anchor();
    const longer = extended(anchor, (await this.#context.freshMembers()).epochs);
    if (longer.periods.length === anchor.periods.length) return undefined;
    this.#anchor = longer;
    return longer;
  }

  /** The newest checkpoint that was verified; what is asked for from now on must not be older. */
  get newest(): Checkpoint | undefined {
    return this.#newest;
  }

  /**
   * A checkpoint that a quorum vouches for and that continues the history seen so far: not older than `floor` (what
   * `newest` was when it was asked for), and on one line with the newest by an RFC 6962 consistency proof: `proof`, when
   * that begins at the older of the two, or one that is asked for. Throws `checkpoint.*` codes,
   * `checkpoint.rolled_back` and `checkpoint.forked` among them.
   */
  async checkpoint(
    text: string,
    floor: Checkpoint | undefined = this.#newest,
    proof?: { readonly since: number; readonly hashes: readonly Uint8Array[] },
  ): Promise<Checkpoint> {
    const checkpoint = await this.#cosigned(text);
    if (floor !== undefined && checkpoint.height < floor.height) {
      throw new CodedError('checkpoint.rolled_back', 'the gateway showed an older checkpoint than before');
    }
    const newest = this.#newest;
    if (newest === undefined) {
      this.#newest = checkpoint;
      return checkpoint;
    }
    // Answers may overtake each other: the older of the two must be a prefix of the newer.
    const [older, newer] = checkpoint.height < newest.height ? [checkpoint, newest] : [newest, checkpoint];
    const isGiven = newer === checkpoint && proof?.since === older.size;
    const hashes = isGiven ? proof.hashes : await this.#proof(older.size, newer.size);
    const failure = checkConsistency(older, newer, hashes);
    if (failure !== undefined) {
      throw new CodedError('checkpoint.forked', `the gateway's checkpoints are not on one line (${failure})`);
    }
    if (newer.height > (this.#newest?.height ?? 0)) this.#newest = newer;
    return checkpoint;
  }

  async #proof(first: number, second: number): Promise<readonly Uint8Array[]> {
    if (first === second) return [];
    const path = `/v1/ledger/proofs/consistency?first=${first}&second=${second}`;
    const { hashes } = await this.#context.gateway.json<{ hashes: string[] }>('GET', path);
    return hashes.map(fromBase64url);
  }

  /** Checks a receipt (base64url) offline. */
  async receipt(receipt: string): Promise<ReceiptVerdict> {
    const bytes = fromBase64url(receipt);
    const verdict = verifyReceipt(bytes, await this.anchor());
    if (verdict.ok) return verdict;
    const longer = await this.#longer();
    return longer === undefined ? verdict : verifyReceipt(bytes, longer);
  }

  async #cosigned(text: string): Promise<Checkpoint> {
    if (this.#verified?.text === text) return this.#verified.checkpoint;
    const checkpoint = await this.#verify(text);
    this.#verified = { text, checkpoint };
    return checkpoint;
  }

  async #verify(text: string): Promise<Checkpoint> {
    const verify = (anchor: LedgerAnchor): Checkpoint => {
      const set = validatorsAt(anchor, parseCheckpoint(text).checkpoint.height);
      return verifyCheckpoint(text, anchorOrigin(anchor), set).checkpoint;
    };
    try {
      return verify(await this.anchor());
    } catch (error) {
      const longer = await this.#longer();
      if (longer === undefined) throw error;
      return verify(longer);
    }
  }
}

/** `anchor` with the links beyond its newest epoch appended. Throws `anchor.bad_link`, `export.malformed`. */
function extended(anchor: LedgerAnchor, epochs: readonly unknown[] = []): LedgerAnchor {
  const newest = anchor.periods.at(-1)?.epoch ?? 0;
  const links = epochs.map(epochLinkFromJson).filter((link) => link.next.epoch > newest);
  return links.length === 0 ? anchor : { ...anchor, ...extendAnchor(anchor, links, PBFT_LITE) };
}
