/**
 * Openings of Search entries for an auditor: what a subject searched for, proven against the ledger. The subject makes one
 * from what its device kept; anybody verifies it offline with the consortium's anchor, since it carries the entry's receipt and
 * the transaction that the subject signed. Asking is the auditor's business; who refuses is seen to refuse.
 */
import { equalBytes, fromBase64url, toBase64url, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { decodeTransaction, type Leaf, type Transaction, transactionId } from '../ledger/entries/index.ts';
import { checkOpening, type Keyword, type SearchOpening } from '../search/index.ts';

/** An opening as it is handed over; bytes in base64url. */
export interface OpeningFile {
  readonly v: 1;
  /** Receipt of the Search entry. */
  readonly receipt: string;
  /** The signed bytes of the entry's transaction. */
  readonly tx: string;
  readonly elements: readonly string[];
  readonly opened: readonly ({ readonly input: string; readonly blind: string } | null)[];
}

/** What a verified opening says. */
export interface OpenedSearch {
  readonly entryId: string;
  /** Who searched, when (milliseconds) and where. */
  readonly subject: string;
  readonly time: number;
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
  readonly purpose: string;
  readonly granted: boolean;
  /** Of each element a keyword, `padding`, or null where it was left closed. */
  readonly shown: readonly (Keyword | 'padding' | null)[];
}

export function openingToFile(receipt: string, tx: Uint8Array, opening: SearchOpening): OpeningFile {
  return {
    v: 1,
    receipt,
    tx: toBase64url(tx),
    elements: opening.elements.map(toBase64url),
    opened: opening.opened.map((one) =>
      one === null ? null : { input: toBase64url(one.input), blind: toBase64url(one.blind) },
    ),
  };
}

function openingOfFile(file: OpeningFile): SearchOpening {
  try {
    if (file.v !== 1) throw new RangeError('version');
    return {
      elements: file.elements.map(fromBase64url),
      opened: file.opened.map((one) =>
        one === null ? null : { input: fromBase64url(one.input), blind: fromBase64url(one.blind) },
      ),
    };
  } catch (cause) {
    throw new CodedError('search.opening_wrong', 'expected an opening of version 1', { cause });
  }
}

/** The transaction whose list holds the entry of a verified `leaf`; throws `search.opening_wrong`. */
function transactionOf(leaf: Leaf, tx: Uint8Array): Transaction {
  const isIts = equalBytes(leaf.tx, leaf.item === 0 ? tx : transactionId(tx));
  if (!isIts) throw new CodedError('search.opening_wrong', 'the receipt is of another transaction');
  return decodeTransaction(tx);
}

/** What `file` proves of the entry in `leaf`, whose receipt the caller has verified. Throws `search.opening_wrong`. */
export function openedSearch(entryId: string, leaf: Leaf, file: OpeningFile): OpenedSearch {
  const opening = openingOfFile(file);
  const transaction = transactionOf(leaf, fromBase64url(file.tx));
  if (transaction.type !== 'Search')
    throw new CodedError('search.opening_wrong', 'the receipt is not of a search');
  const { custodian, field, epoch, purpose, blindedHash } = transaction.bodies[leaf.item];
  return {
    entryId,
    subject: toHex(transaction.subject),
    time: leaf.time,
    custodian,
    field,
    epoch,
    purpose,
    granted: leaf.result.granted === true,
    shown: checkOpening(blindedHash, opening),
  };
}
