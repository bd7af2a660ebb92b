/**
 * A member's identity: secrets in its keystore, and the card that it shows to the others. Made once by `init`;
 * the secrets never leave the machine.
 */
import { toHex } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { hpkeKeyPair } from '../codec/hpke.ts';
import { memberId, type SubjectId, subjectId } from '../codec/ids.ts';
import { ed25519Signer } from '../codec/signature.ts';
import type { GenesisOperator, Member } from '../ledger/index.ts';
import type { Keystore } from '../storage/index.ts';
import { Custody } from './custody.ts';

/** Names of a member's secrets in its keystore; each is 32 random bytes except where said. */
export const SECRETS = {
  /** Ed25519 seed of the validator: votes and cosignatures. */
  validator: 'validator',
  /** Ed25519 seed of the member link's certificate. */
  link: 'link',
  /** HPKE seed of the member: key ceremony and identifier exchange. */
  hpke: 'hpke',
  /** HPKE seed of the indexer: keywords from sealers. */
  indexer: 'indexer',
  /** Secret from which keys of custodial subjects are derived. */
  custody: 'custody',
  /** Secret under which session tokens are signed. */
  tokens: 'tokens',
  /** Key under which local tables that hold keywords are sealed. */
  local: 'local',
  /** 16 bytes: subject id of the member's first operator, whose keys come from `custody`. */
  operator: 'operator',
} as const;

/** What a member publishes before genesis: its row of the genesis document and its operator. */
export interface MemberCard {
  readonly member: Member;
  readonly operator: GenesisOperator;
}

export interface MemberProfile {
  readonly id: string;
  /** Name of the hospital, public. */
  readonly name: string;
  /** URL of its gateway. */
  readonly url: string;
}

/** Draws a member's secrets into its keystore. Throws what the keystore throws. */
export async function createIdentity(
  keystore: Keystore,
  random: (length: number) => Uint8Array,
): Promise<void> {
  const secrets = Object.values(SECRETS).map((name) => ({
    name,
    secret: random(name === SECRETS.operator ? 16 : 32),
  }));
  await keystore.putMany(secrets);
}

/** A secret that must be there; throws `storage.not_found`. */
export async function secretOf(keystore: Keystore, name: string): Promise<Uint8Array> {
  const secret = await keystore.get(name);
  if (secret === undefined) {
    throw new CodedError(
      'storage.not_found',
      `the keystore holds no "${name}": was this member initialised?`,
    );
  }
  return secret;
}

/** The first operator's subject id. */
export async function operatorOf(keystore: Keystore): Promise<SubjectId> {
  return subjectId(toHex(await secretOf(keystore, SECRETS.operator)));
}

/** The public card of the member whose keystore this is. */
export async function cardOf(keystore: Keystore, profile: MemberProfile): Promise<MemberCard> {
  const id = memberId(profile.id);
  const custody = new Custody(await secretOf(keystore, SECRETS.custody));
  const operator = await operatorOf(keystore);
  const keys = await custody.keys(operator);
  const [hpke, indexer] = await Promise.all(
    [SECRETS.hpke, SECRETS.indexer].map(async (name) => hpkeKeyPair(await secretOf(keystore, name))),
  );
  return {
    member: {
      id,
      name: profile.name,
      url: profile.url,
      validatorKey: ed25519Signer(await secretOf(keystore, SECRETS.validator)).publicKey.key,
      linkKey: ed25519Signer(await secretOf(keystore, SECRETS.link)).publicKey.key,
      hpkeKey: hpke.publicKey,
      indexerKey: indexer.publicKey,
    },
    operator: {
      subject: await secretOf(keystore, SECRETS.operator),
      member: id,
      key: keys.signer.publicKey,
      hpkeKey: keys.hpke.publicKey,
    },
  };
}

/** A card as the bytes that members exchange. */
export function encodeCard(card: MemberCard): Uint8Array {
  return encodeCbor({ v: 1, ...card });
}

/** The card in `bytes`. Genesis decodes its rows strictly, so only the outer form is checked here. */
export function decodeCard(bytes: Uint8Array): MemberCard {
  const value = decodeCbor(bytes, 64 * 1024) as Partial<MemberCard> & { v?: unknown };
  if (value?.v !== 1 || value.member === undefined || value.operator === undefined) {
    throw new CodedError('member.bad_card', 'expected a member card as written by `hippocrypt init`');
  }
  return { member: value.member, operator: value.operator };
}
