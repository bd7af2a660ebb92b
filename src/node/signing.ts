/** Transactions that a gateway signs for the subjects in its custody. */
import { fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId, SubjectId } from '../codec/ids.ts';
import {
  type EntryType,
  encodeRequest,
  STATE,
  signTransaction,
  type TransactionDraft,
} from '../ledger/index.ts';
import type { Custody } from './custody.ts';
import type { NodeLedger } from './ledger.ts';

/** How long a transaction that the gateway signs may wait to be ordered. */
const TRANSACTION_TTL_MS = 120_000;

export interface CustodialSigner {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly custody: Custody;
  readonly random: (length: number) => Uint8Array;
  readonly clock: () => number;
}

/** Request bytes of a transaction signed for a custodial subject; throws `custody.client_signs` for others. */
export async function signFor(
  { member, ledger, custody, random, clock }: CustodialSigner,
  subject: SubjectId,
  type: string,
  body: unknown,
): Promise<Uint8Array> {
  const state = ledger.state(STATE.subject(subject));
  if (state === undefined) throw new CodedError('subject.unknown', 'no subject on the ledger has this id');
  const { signer } = await custody.keys(subject);
  const keyIx = state.keys.findIndex(
    (key) =>
      !key.retired && key.alg === signer.publicKey.alg && toHex(key.key) === toHex(signer.publicKey.key),
  );
  if (keyIx < 0 || state.member !== member) {
    throw new CodedError(
      'custody.client_signs',
      'this account keeps its own keys: send "tx" and "sig" made by its device',
    );
  }
  const draft = {
    chainId: ledger.chainId,
    type: type as EntryType,
    subject: fromHex(subject),
    keyIx,
    nonce: random(16),
    expiresAt: clock() + TRANSACTION_TTL_MS,
    body,
  } as TransactionDraft;
  return encodeRequest(signTransaction(signer, draft));
}
