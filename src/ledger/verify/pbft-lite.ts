/**
 * Headers and quorum certificates of pbft-lite, read and verified without that library (docs/format/consensus.md): a
 * second reading of the same bytes, small enough to audit, that also runs in a browser. Tests hold it to the
 * library's own answers.
 */
import { concat, equalBytes, readU32be, u32be, u64be, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { verifySignature } from '../../codec/signature.ts';
import { checkpointQuorum, type ValidatorSet } from '../checkpoint/validators.ts';
import type { BlockHeader, ConsensusVerifier } from './consensus.ts';
import { HASH_BYTES } from './rfc6962.ts';

const PROTOCOL_VERSION = 1;
const HEADER_BYTES = 292;
const SIGNATURE_BYTES = 64;
const VOTE_BYTES = 2 + SIGNATURE_BYTES;
/** Epoch, height, view, header hash and number of votes. */
const QC_HEAD_BYTES = 4 + 8 + 4 + HASH_BYTES + 2;
/** Type tag of a COMMIT inside the signed bytes. */
const COMMIT = 3;
const SIGNED_DOMAIN = utf8('pbft-lite/1');

const TAG = {
  header: 'pbft-lite/header/1',
  batch: 'pbft-lite/batch/1',
  validators: 'pbft-lite/validators/1',
  genesis: 'pbft-lite/genesis/1',
} as const;

function malformed(message: string): never {
  throw new CodedError('consensus.malformed', message);
}

/** Big-endian fields, one after another. */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) malformed('the bytes end early');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  u16(): number {
    const [high, low] = this.take(2);
    return high * 256 + low;
  }

  u32(): number {
    return readU32be(this.take(4), 0);
  }

  u64(): number {
    const bytes = this.take(8);
    const value = readU32be(bytes, 0) * 2 ** 32 + readU32be(bytes, 4);
    return Number.isSafeInteger(value) ? value : malformed('a number is above 2^53');
  }

  hash(): Uint8Array {
    return this.take(HASH_BYTES);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) malformed('bytes are left over');
  }
}

function readHeader(bytes: Uint8Array): BlockHeader {
  if (bytes.length !== HEADER_BYTES)
    malformed(`expected a header of ${HEADER_BYTES} bytes, got ${bytes.length}`);
  const fields = new Fields(bytes);
  const version = fields.u16();
  if (version !== PROTOCOL_VERSION) malformed(`expected header version ${PROTOCOL_VERSION}, got ${version}`);
  const chainId = fields.hash();
  const epoch = fields.u32();
  const height = fields.u64();
  if (height < 1) malformed('expected a height of 1 or more');
  // View and proposer of the first proposal: nothing here depends on them.
  fields.take(4 + 2);
  const time = fields.u64();
  const parentHash = fields.hash();
  const batchHash = fields.hash();
  const stateRoot = fields.hash();
  const logRoot = fields.hash();
  const treeSize = fields.u64();
  const validatorsHash = fields.hash();
  const nextValidatorsHash = fields.hash();
  // The certificate of the parent that the header names; other certificates of the parent are as good.
  fields.hash();
  fields.end();
  return {
    chainId,
    epoch,
    height,
    time,
    parentHash,
    batchHash,
    stateRoot,
    logRoot,
    treeSize,
    validatorsHash,
    nextValidatorsHash,
  };
}

const headerHash = (header: Uint8Array): Uint8Array => taggedHash(TAG.header, header);

function batchHash(requests: readonly Uint8Array[]): Uint8Array {
  const parts = requests.flatMap((request) => [u32be(request.length), request]);
  return taggedHash(TAG.batch, u32be(requests.length), concat(...parts));
}

const u16be = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255);

function validatorsHash({ epoch, validators }: ValidatorSet): Uint8Array {
  return taggedHash(
    TAG.validators,
    u32be(epoch),
    u16be(validators.length),
    ...validators.map(({ key }) => key),
  );
}

function verifyQc(header: Uint8Array, qc: Uint8Array, set: ValidatorSet): string | undefined {
  try {
    return wrongInQc(header, qc, set);
  } catch (error) {
    return error instanceof CodedError ? error.message : 'it cannot be read';
  }
}

function wrongInQc(headerBytes: Uint8Array, qc: Uint8Array, set: ValidatorSet): string | undefined {
  const header = readHeader(headerBytes);
  const hash = headerHash(headerBytes);
  const fields = new Fields(qc);
  const epoch = fields.u32();
  const height = fields.u64();
  const view = fields.take(4);
  if (epoch !== set.epoch || epoch !== header.epoch) return `votes of epoch ${epoch}`;
  if (height !== header.height) return `votes on height ${height}`;
  if (!equalBytes(fields.hash(), hash)) return 'votes on another header';
  const count = fields.u16();
  const quorum = checkpointQuorum(set.validators.length);
  if (count < quorum) return `${count} votes of ${quorum}`;
  if (qc.length !== QC_HEAD_BYTES + count * VOTE_BYTES) return 'another length than its votes have';
  let last = -1;
  for (let i = 0; i < count; i++) {
    const sender = fields.u16();
    const validator = set.validators[sender];
    if (sender <= last || validator === undefined) return 'votes out of order or of nobody';
    last = sender;
    const message = concat(
      SIGNED_DOMAIN,
      Uint8Array.of(COMMIT),
      u16be(PROTOCOL_VERSION),
      header.chainId,
      u32be(epoch),
      u64be(height),
      view,
      u16be(sender),
      hash,
    );
    if (!verifySignature({ alg: 'ed25519', key: validator.key }, message, fields.take(SIGNATURE_BYTES))) {
      return `a bad signature of ${validator.member}`;
    }
  }
  fields.end();
  return undefined;
}

/** Parent hash of height 1: the chain's id, the genesis time and the first validators. */
export function pbftGenesisHash(chainId: Uint8Array, time: number, set: ValidatorSet): Uint8Array {
  return taggedHash(TAG.genesis, chainId, u64be(time), validatorsHash(set));
}

/** pbft-lite as the ledger's verifier sees it. */
export const PBFT_LITE: ConsensusVerifier = { readHeader, headerHash, batchHash, validatorsHash, verifyQc };
