/**
 * How every write of the gateway becomes an entry. A subject with keys of its own sends `tx` and `sig`; for a subject
 * in the gateway's custody the gateway builds and signs the same transaction from the plain fields.
 */
import { compareBytes } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { decodeTransaction } from '../ledger/index.ts';
import { committedJson, signedPair } from './json.ts';
import type { CommittedEntry, Services, Session } from './ports.ts';
import type { CommittedJson } from './schemas.ts';

/** How long a write waits for a quorum of cosignatures before it answers without a receipt. */
const RECEIPT_WAIT_MS = 3_000;

export interface Write {
  readonly session: Session;
  readonly type: string;
  /** Fields that the URL or the plain body fix. A signed transaction must carry the same. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly signed: { tx?: string | undefined; sig?: string | undefined };
}

/** Request bytes of a write: checked against the route if signed by the client, else signed here. */
export async function requestOf(services: Services, write: Write): Promise<Uint8Array> {
  const pair = signedPair(write.signed);
  if (pair === undefined) return services.writes.sign(write.session.subject, write.type, write.body);
  const tx = decodeTransaction(pair.tx);
  if (tx.type !== write.type) {
    throw new CodedError('tx.mismatch', `expected a signed ${write.type}, got another type`);
  }
  for (const body of tx.bodies) {
    for (const [field, value] of Object.entries(write.body)) {
      const signed = (body as unknown as Record<string, unknown>)[field];
      if (value !== undefined && compareBytes(encodeCbor(value), encodeCbor(signed ?? null)) !== 0) {
        throw new CodedError('tx.mismatch', `the signed "${field}" differs from the one in the request`);
      }
    }
  }
  return encodeCbor({ tx: pair.tx, sig: pair.sig });
}

/** Commits a write of one entry and answers with its receipt. */
export async function commit(services: Services, write: Write): Promise<CommittedJson> {
  const entries = await services.writes.submit(await requestOf(services, write));
  return answer(services, entries[0]);
}

/** `entry` with its receipt, for routes that commit on their own. */
export async function answer(services: Services, entry: CommittedEntry): Promise<CommittedJson> {
  return committedJson(entry, await services.ledger.receipt(entry.entryId, RECEIPT_WAIT_MS));
}
