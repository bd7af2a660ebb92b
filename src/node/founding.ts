/**
 * How a consortium begins without anybody holding two members' secrets: each member makes its identity and shows a card; one
 * drafts the genesis from all cards; each signs the draft it has read; whoever has all signatures seals it.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareBytes } from '../codec/bytes.ts';
import { decodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { ed25519Signer, verifySignature } from '../codec/signature.ts';
import { encodeGenesis, type GenesisDocument, genesisMessage } from '../ledger/index.ts';
import { createKeystore, openKeystore, type Unlock } from '../storage/index.ts';
import { signGenesis } from './genesis.ts';
import { cardOf, createIdentity, encodeCard, type MemberProfile, SECRETS, secretOf } from './identity.ts';

type Random = (length: number) => Uint8Array;

/** Makes a member's keystore under `dir` and answers with its card. Throws `storage.keystore_exists`. */
export async function initMember(
  dir: string,
  profile: MemberProfile,
  unlock: Unlock,
  random: Random,
): Promise<Uint8Array> {
  await mkdir(dir, { recursive: true });
  const keystore = await createKeystore(join(dir, 'keystore'), unlock, { random });
  try {
    await createIdentity(keystore, random);
    return encodeCard(await cardOf(keystore, profile));
  } finally {
    await keystore.close();
  }
}

/** This member's signature over a draft; throws `member.unknown` when the draft does not name its key. */
export async function signDraft(
  dir: string,
  unlock: Unlock,
  document: Uint8Array,
  random: Random,
): Promise<Uint8Array> {
  const keystore = await openKeystore(join(dir, 'keystore'), unlock, { random });
  try {
    const signer = ed25519Signer(await secretOf(keystore, SECRETS.validator));
    const { members } = decodeCbor(document) as GenesisDocument;
    if (!members.some((member) => compareBytes(member.validatorKey, signer.publicKey.key) === 0)) {
      throw new CodedError(
        'member.unknown',
        'the draft does not name this member with its key: was its card used?',
      );
    }
    return signGenesis(document, signer);
  } finally {
    await keystore.close();
  }
}

/** The signed genesis from a draft and the members' signatures in any order; names who has not signed. */
export function sealGenesis(document: Uint8Array, signatures: readonly Uint8Array[]): Uint8Array {
  const { members } = decodeCbor(document) as GenesisDocument;
  const message = genesisMessage(document);
  const ordered = members.map(({ id, validatorKey }) => {
    const found = signatures.find((one) =>
      verifySignature({ alg: 'ed25519', key: validatorKey }, message, one),
    );
    if (found === undefined) throw new CodedError('genesis.unsigned', `${id} has not signed this draft`);
    return found;
  });
  return encodeGenesis({ document, signatures: ordered });
}
