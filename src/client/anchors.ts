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
  type LedgerAnchor,
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

  constructor(context: Context, anchor?: LedgerAnchor) {
    this.#context = context;
    this.#anchor = anchor;
  }

  /** The anchor given, or the one taken from the gateway at first use. */
  async anchor(): Promise<LedgerAnchor> {
    if (this.#anchor !== undefined) return this.#anchor;
    const anchor = anchorOfGenesis(fromBase64url((await this.#context.members()).genesis));
    this.#anchor = anchor;
    return anchor;
  }

  /**
   * A checkpoint that a quorum vouches for and that is not older than one seen before. Throws `checkpoint.*` codes,
   * `checkpoint.rolled_back` among them.
   */
  async checkpoint(text: string): Promise<Checkpoint> {
    const anchor = await this.anchor();
    const set = validatorsAt(anchor, parseCheckpoint(text).checkpoint.height);
    const { checkpoint } = verifyCheckpoint(text, anchorOrigin(anchor), set);
    if (this.#newest !== undefined && checkpoint.size < this.#newest.size) {
      throw new CodedError('checkpoint.rolled_back', 'the gateway showed an older checkpoint than before');
    }
    this.#newest = checkpoint;
    return checkpoint;
  }

  /** Checks a receipt (base64url) offline. */
  async receipt(receipt: string): Promise<ReceiptVerdict> {
    return verifyReceipt(fromBase64url(receipt), await this.anchor());
  }
}
