/**
 * A subject's device: the keys that only its owner holds, and what it signs with them. The seeds are the
 * subject's identity; whoever stores a device stores it as carefully as a password file.
 */

import { fromBase64url, fromHex, toBase64url, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair } from '../codec/hpke.ts';
import { type SubjectId, subjectId } from '../codec/ids.ts';
import { ed25519Signer, type Signer } from '../codec/signature.ts';
import {
  type EntryBodies,
  type EntryType,
  signTransaction,
  subjectProofMessage,
} from '../ledger/entries/index.ts';

/** How long a transaction of ours may wait to be ordered. */
const TRANSACTION_TTL_MS = 120_000;

export interface DeviceFile {
  readonly v: 1;
  readonly member: string;
  readonly subject: string;
  readonly keyIx: number;
  readonly signingSeed: string;
  readonly hpkeSeed: string;
}

export class Device {
  readonly member: string;
  readonly subject: SubjectId;
  readonly keyIx: number;
  readonly signer: Signer;
  readonly hpke: HpkeKeyPair;
  readonly #seeds: { readonly signing: Uint8Array; readonly hpke: Uint8Array };

  private constructor(
    member: string,
    subject: SubjectId,
    keyIx: number,
    seeds: { signing: Uint8Array; hpke: Uint8Array },
    hpke: HpkeKeyPair,
  ) {
    this.member = member;
    this.subject = subject;
    this.keyIx = keyIx;
    this.#seeds = seeds;
    this.signer = ed25519Signer(seeds.signing);
    this.hpke = hpke;
  }

  /** New keys for a subject of `member`; `random` gives uniform bytes. */
  static async create(
    member: string,
    random: (length: number) => Uint8Array,
    subject: SubjectId = subjectId(toHex(random(16))),
  ): Promise<Device> {
    const seeds = { signing: random(32), hpke: random(32) };
    return new Device(member, subject, 0, seeds, await hpkeKeyPair(seeds.hpke));
  }

  /** A device that was stored with `toFile`; throws `device.malformed`. */
  static async fromFile(file: DeviceFile): Promise<Device> {
    try {
      if (file.v !== 1) throw new RangeError('version');
      const seeds = { signing: fromBase64url(file.signingSeed), hpke: fromBase64url(file.hpkeSeed) };
      return new Device(
        file.member,
        subjectId(file.subject),
        file.keyIx,
        seeds,
        await hpkeKeyPair(seeds.hpke),
      );
    } catch (cause) {
      throw new CodedError('device.malformed', 'expected a device file of version 1', { cause });
    }
  }

  /** Everything, secrets included. */
  toFile(): DeviceFile {
    return {
      v: 1,
      member: this.member,
      subject: this.subject,
      keyIx: this.keyIx,
      signingSeed: toBase64url(this.#seeds.signing),
      hpkeSeed: toBase64url(this.#seeds.hpke),
    };
  }

  /** 32 secret bytes that searches hang on: decoys, blinding, and what is kept for audits. The same in every session. */
  searchKey(): Uint8Array {
    return hkdfSha256(this.#seeds.signing, new Uint8Array(), 'hippocrypt/search-client/1', 32);
  }

  /** Public keys and proof of possession, as POST /v1/subjects takes them. */
  enrolment(chainId: string): { alg: 'ed25519' | 'p256'; key: string; hpkeKey: string; proof: string } {
    const { publicKey } = this.signer;
    const message = subjectProofMessage(chainId, fromHex(this.subject), this.member, publicKey);
    return {
      alg: publicKey.alg,
      key: toBase64url(publicKey.key),
      hpkeKey: toBase64url(this.hpke.publicKey),
      proof: toBase64url(this.signer.sign(message)),
    };
  }

  /** `tx` and `sig` in base64url for one body or a list of bodies of one kind. */
  sign<K extends EntryType>(
    context: {
      readonly chainId: string;
      readonly nowMs: number;
      readonly random: (length: number) => Uint8Array;
    },
    type: K,
    body: EntryBodies[K] | readonly EntryBodies[K][],
  ): { tx: string; sig: string } {
    const signed = signTransaction(this.signer, {
      chainId: context.chainId,
      type,
      subject: fromHex(this.subject),
      keyIx: this.keyIx,
      nonce: context.random(16),
      expiresAt: context.nowMs + TRANSACTION_TTL_MS,
      body,
    } as Parameters<typeof signTransaction>[1]);
    return { tx: toBase64url(signed.tx), sig: toBase64url(signed.sig) };
  }
}
