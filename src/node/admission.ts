/**
 * How a hospital joins a running consortium. The others let its node in as an observer: it follows the chain and votes on
 * nothing. When it has come as far as they have, it shows them its admission on request: its card, a checkpoint that it
 * has reached itself, and its validator key's signature over both. An operator proposes that; from two heights after
 * the last approval it is a member.
 */
import type { MemberLink } from '../authority/link.ts';
import { toHex } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import { ed25519Signer } from '../codec/signature.ts';
import { admissionMessage, type Member, STATE } from '../ledger/index.ts';
import type { Keystore } from '../storage/index.ts';
import { type MemberCard, SECRETS, secretOf } from './identity.ts';
import type { MemberNode } from './member.ts';

const ADMISSION_BYTES_MAX = 64 * 1024;
/** How long a newcomer is waited for. */
const ASK_TIMEOUT_MS = 5_000;

/** Answers the others with this node's admission, over the newest checkpoint that it has reached. */
export function serveAdmission(
  link: MemberLink,
  node: Pick<MemberNode, 'engine' | 'ledger'>,
  card: MemberCard,
  keystore: Keystore,
): void {
  link.serve('headers', 'admission', async () => {
    const { member, operator } = card;
    const checkpoint = node.engine.checkpoint()?.text;
    if (checkpoint === undefined)
      throw new CodedError('checkpoint.none', 'the newcomer has reached no cosigned checkpoint yet');
    const signer = ed25519Signer(await secretOf(keystore, SECRETS.validator));
    const proof = signer.sign(admissionMessage(node.ledger.chainId, member, operator, checkpoint));
    return encodeCbor({ member, operator, checkpoint, proof });
  });
}

/**
 * The admission of an observer, for a Reconfig. The ledger's decoder and rules say whether it is one. Throws
 * `link.unreachable` when nobody of that name is connected.
 */
export async function askAdmission(link: MemberLink, member: MemberId): Promise<unknown> {
  const answer = await link.request(member, 'headers', 'admission', new Uint8Array(), ASK_TIMEOUT_MS);
  return decodeCbor(answer, ADMISSION_BYTES_MAX);
}

/** Resolves when the ledger that this node follows lists it as a member. */
export function admitted({
  id,
  ledger,
  engine,
}: Pick<MemberNode, 'id' | 'ledger' | 'engine'>): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!ledger.members().includes(id)) return;
      stop();
      resolve();
    };
    const stop = engine.subscribe(look);
    look();
  });
}

/** Calls `changed` with the members of now, and again whenever one joins, leaves or changes its keys. */
export function followMembers(
  { ledger, engine }: Pick<MemberNode, 'ledger' | 'engine'>,
  changed: (members: readonly Member[]) => void,
): () => void {
  let seen = '';
  const look = (): void => {
    const members = ledger.members().flatMap((id) => ledger.state(STATE.member(id)) ?? []);
    const now = members.map(({ id, linkKey }) => `${id} ${toHex(linkKey)}`).join();
    if (now === seen) return;
    seen = now;
    changed(members);
  };
  look();
  return engine.subscribe(look);
}
