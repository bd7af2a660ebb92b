/**
 * What consensus needs to know about the decided past: a pure function of decided blocks (ledger-security rules 3,
 * 17, 26). Encoded as `resume` bytes that the application stores beside each block and returns at a start.
 */
import { ConsensusError } from './errors.ts';
import { ROTATE_BLOCKS, ROTATE_MS, VALIDATORS_MAX } from './limits.ts';
import { type PeerId, type ValidatorSet, validatorSet } from './validators.ts';
import { type Hash, hashBytes, Reader, Writer } from './wire/bytes.ts';
import { decodeQc, encodeQc } from './wire/codec.ts';
import { TAG, tagged } from './wire/hash.ts';
import { encodeHeader, type Header, headerHash } from './wire/header.ts';
import type { Proposal, QuorumCertificate } from './wire/messages.ts';

/** State after block `height`. */
export interface Chain {
  readonly chainId: Hash;
  readonly height: number;
  /** Hash of header `height`, or of the genesis description at height 0. */
  readonly headHash: Hash;
  /** Block time of `height`. */
  readonly time: number;
  /** Certificate of `height` that this node holds; absent at height 0. */
  readonly qc: QuorumCertificate | undefined;
  /** Voted on `height`; needed to check another certificate of it. */
  readonly lastValidators: ValidatorSet;
  /** Votes on `height + 1`. */
  readonly validators: ValidatorSet;
  /** Votes on `height + 2`. */
  readonly nextValidators: ValidatorSet;
  /** Members of `validators` that may not lead, oldest sentence first; never more than f. */
  readonly barred: readonly PeerId[];
  /** Place in the list of eligible leaders at which view 0 of `height + 1` starts. */
  readonly base: number;
  readonly rotatedHeight: number;
  readonly rotatedTime: number;
}

/** What makes a chain: fixed for ever, the same at every member. */
export interface Genesis {
  /** 32 bytes. */
  readonly chainId: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Raw Ed25519 keys of the first validators, in index order. */
  readonly validators: readonly Uint8Array[];
}

/** The state before block 1. */
export function genesisChain(genesis: Genesis): Chain {
  if (genesis.chainId.length !== 32) {
    throw new ConsensusError(
      'consensus.bad_config',
      `expected a chain id of 32 bytes, got ${genesis.chainId.length}`,
    );
  }
  const validators = validatorSet(0, genesis.validators);
  const description = new Writer().fixed(genesis.chainId).u64(genesis.time).hash(validators.hash).finish();
  return {
    chainId: Buffer.from(genesis.chainId).toString('hex') as Hash,
    height: 0,
    headHash: tagged(TAG.genesis, description),
    time: genesis.time,
    qc: undefined,
    lastValidators: validators,
    validators,
    nextValidators: validators,
    barred: [],
    base: 0,
    rotatedHeight: 0,
    rotatedTime: genesis.time,
  };
}

/** What the application's execution of a block changes for consensus. */
export interface Changes {
  /** New validator keys from height + 2 on; absent keeps the set. */
  readonly nextValidators?: readonly Uint8Array[];
  /** Keys that may not lead from height + 1 on, oldest sentence first; absent keeps the list. */
  readonly barred?: readonly Uint8Array[];
}

/** Indexes of the validators that may lead, ascending; at least n - f. */
export function eligible(chain: Pick<Chain, 'validators' | 'barred'>): number[] {
  const out: number[] = [];
  for (let i = 0; i < chain.validators.n; i++) {
    if (!chain.barred.includes(chain.validators.ids[i])) out.push(i);
  }
  return out;
}

/** Who leads (height + 1, view). */
export function leaderOf(chain: Chain, view: number): number {
  const places = eligible(chain);
  return places[(chain.base + view) % places.length];
}

/** The state after `proposal`, the child of `chain`, was decided with `qc`. */
export function advance(chain: Chain, proposal: Proposal, qc: QuorumCertificate, changes: Changes): Chain {
  const { header } = proposal;
  const validators = chain.nextValidators;
  const nextValidators =
    changes.nextValidators === undefined
      ? validators
      : validatorSet(validators.epoch + 1, changes.nextValidators);
  const barred = (changes.barred?.map((key) => Buffer.from(key).toString('hex')) ?? chain.barred)
    .filter((id) => validators.ids.includes(id))
    .slice(0, validators.f);
  return placed(
    {
      chainId: chain.chainId,
      height: header.height,
      headHash: proposal.hash,
      time: header.time,
      qc,
      lastValidators: chain.validators,
      validators,
      nextValidators,
      barred,
      ...rotation(chain, header),
    },
    header.proposer,
  );
}

/** When the lead last moved on for its age. */
export type Rotation = Pick<Chain, 'rotatedHeight' | 'rotatedTime'>;

/** The same after `header`, the next one. */
export function rotation(last: Rotation, { height, time }: Pick<Header, 'height' | 'time'>): Rotation {
  const due = height >= last.rotatedHeight + ROTATE_BLOCKS || time >= last.rotatedTime + ROTATE_MS;
  return due
    ? { rotatedHeight: height, rotatedTime: time }
    : { rotatedHeight: last.rotatedHeight, rotatedTime: last.rotatedTime };
}

/** `next` with the place in the list of leaders that follows from `proposer`, an index in the set that voted on its height. */
function placed(next: Omit<Chain, 'base'>, proposer: number): Chain {
  const places = eligible(next);
  // The proposer's place by key: its index may have moved with the set. One that left or was barred is
  // followed by the next eligible index.
  const index = next.validators.ids.indexOf(next.lastValidators.ids[proposer]);
  const wanted = index < 0 ? proposer : index;
  const at = places.findIndex((place) => place >= wanted);
  const place = Math.max(at, 0);
  return { ...next, base: (place + (next.rotatedHeight === next.height ? 1 : 0)) % places.length };
}

/** What is known of a height whose blocks below were not executed: its header, and what the application's state says. */
export interface CertifiedHeight {
  readonly header: Header;
  /** A verified certificate of it. */
  readonly qc: QuorumCertificate;
  /** Raw keys of the sets that vote on this height, the next, and the one after, with their epochs. */
  readonly sets: readonly [ValidatorKeys, ValidatorKeys, ValidatorKeys];
  /** Keys that may not lead the next height. No more than the sets' f: which of them were barred first is not asked here. */
  readonly barred: readonly Uint8Array[];
  /** `rotation` over all headers up to this one. */
  readonly rotation: Rotation;
}

export interface ValidatorKeys {
  readonly epoch: number;
  readonly keys: readonly Uint8Array[];
}

/**
 * The state after a certified height, the same that executing every block gives. Throws `consensus.malformed` when header,
 * certificate and sets do not belong together.
 */
export function certifiedChain({ header, qc, sets, barred, rotation: rotated }: CertifiedHeight): Chain {
  const [lastValidators, validators, nextValidators] = sets.map(({ epoch, keys }) =>
    validatorSet(epoch, keys),
  );
  const headHash = headerHash(encodeHeader(header));
  const fits =
    header.validatorsHash === lastValidators.hash &&
    header.nextValidatorsHash === validators.hash &&
    qc.height === header.height &&
    qc.headerHash === headHash &&
    barred.length <= Math.min(lastValidators.f, validators.f);
  if (!fits) {
    throw new ConsensusError('consensus.malformed', 'the sets are not those that the certified header names');
  }
  const { chainId, height, time, proposer } = header;
  const ids = barred
    .map((key) => Buffer.from(key).toString('hex'))
    .filter((id) => validators.ids.includes(id));
  return placed(
    {
      chainId,
      height,
      headHash,
      time,
      qc,
      lastValidators,
      validators,
      nextValidators,
      barred: ids,
      ...rotated,
    },
    proposer,
  );
}

const RESUME_VERSION = 1;

function writeSet(writer: Writer, set: ValidatorSet): void {
  writer.u32(set.epoch).u16(set.n);
  for (const key of set.keys) writer.fixed(key);
}

function readSet(reader: Reader): ValidatorSet {
  const epoch = reader.u32();
  const count = reader.count16(VALIDATORS_MAX);
  const keys: Uint8Array[] = [];
  for (let i = 0; i < count; i++) keys.push(reader.fixed(32).slice());
  return validatorSet(epoch, keys);
}

/** The `resume` bytes of `chain`. */
export function encodeChain(chain: Chain): Uint8Array {
  const writer = new Writer(512)
    .u8(RESUME_VERSION)
    .hash(chain.chainId)
    .u64(chain.height)
    .hash(chain.headHash);
  writer.u64(chain.time).bytes(chain.qc === undefined ? new Uint8Array(0) : encodeQc(chain.qc));
  writeSet(writer, chain.lastValidators);
  writeSet(writer, chain.validators);
  writeSet(writer, chain.nextValidators);
  writer.u16(chain.barred.length);
  for (const id of chain.barred) writer.fixed(hashBytes(id as Hash));
  writer.u16(chain.base).u64(chain.rotatedHeight).u64(chain.rotatedTime);
  return writer.finish();
}

/** The chain in `resume` bytes; throws `consensus.malformed`. */
export function decodeChain(bytes: Uint8Array): Chain {
  const reader = new Reader(bytes);
  const version = reader.u8();
  if (version !== RESUME_VERSION) {
    throw new ConsensusError(
      'consensus.malformed',
      `expected resume version ${RESUME_VERSION}, got ${version}`,
    );
  }
  const chainId = reader.hash();
  const height = reader.u64();
  const headHash = reader.hash();
  const time = reader.u64();
  const qcBytes = reader.bytes(1 << 16);
  const lastValidators = readSet(reader);
  const validators = readSet(reader);
  const nextValidators = readSet(reader);
  const count = reader.count16(VALIDATORS_MAX);
  const barred: PeerId[] = [];
  for (let i = 0; i < count; i++) barred.push(reader.hash());
  const chain: Chain = {
    chainId,
    height,
    headHash,
    time,
    qc: qcBytes.length === 0 ? undefined : decodeQc(qcBytes),
    lastValidators,
    validators,
    nextValidators,
    barred,
    base: reader.u16(),
    rotatedHeight: reader.u64(),
    rotatedTime: reader.u64(),
  };
  reader.end();
  return chain;
}
