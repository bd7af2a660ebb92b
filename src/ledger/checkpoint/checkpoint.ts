/**
 * Checkpoints in C2SP tlog-checkpoint form: origin, size, root, then four extension lines (height, time, state,
 * epoch). A validator cosigns one only after its block has a quorum certificate and it has applied the block
 * itself; a COMMIT vote is over other bytes and never passes for a cosignature.
 *
 * What a verified checkpoint says (ledger-security rule 25): with q cosignatures of the epoch, every entry below it was
 * executed by an honest node unless q or more members are corrupt. It does not say that it is the newest one.
 */
import { concat, fromHex, readU32be, toHex, u64be, utf8 } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { type Signer, verifySignature } from '../../codec/signature.ts';
import {
  checkNoteName,
  fromBase64,
  isLineOf,
  joinNote,
  NOTE_COSIGNATURE,
  NOTE_ED25519,
  type NoteSignature,
  noteKeyId,
  noteLine,
  splitNote,
  toBase64,
} from './note.ts';
import { checkpointQuorum, checkValidatorSet, type ValidatorSet } from './validators.ts';

/** What validators cosign. */
export interface Checkpoint {
  /** The log's identity, see `checkpointOrigin`. */
  readonly origin: string;
  /** Leaves in the log. */
  readonly size: number;
  /** Log root, 32 bytes. */
  readonly root: Uint8Array;
  /** Height of the block after which this is so. */
  readonly height: number;
  /** That block's time, ms. */
  readonly time: number;
  /** State root after that block, 32 bytes. */
  readonly stateRoot: Uint8Array;
  /** Validator epoch whose keys cosign. */
  readonly epoch: number;
}

/** An outside cosigner of whom the reader knows the key. */
export interface Witness {
  readonly name: string;
  readonly key: Uint8Array;
}

/** What verification found. */
export interface VerifiedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Members whose cosignatures are good: distinct, at least the quorum. */
  readonly members: readonly string[];
  /** Known witnesses with a good cosignature, and the time (seconds since 1970) that each vouches for. */
  readonly witnesses: readonly { readonly name: string; readonly time: number }[];
  /** Names on lines of keys that the reader does not know; they prove nothing. */
  readonly unknown: readonly string[];
}

/** The origin line of a consortium's log. */
export function checkpointOrigin(chainId: string): string {
  return checkNoteName(`hippocrypt/${chainId}`);
}

/** The key name on a validator's signature line. */
export function cosignerName(origin: string, member: string): string {
  return checkNoteName(`${origin}/${member}`);
}

/** The text that is signed, ending in a newline. */
export function checkpointBody(checkpoint: Checkpoint): string {
  const { origin, size, root, height, time, stateRoot, epoch } = checkpoint;
  const lines = [
    checkNoteName(origin),
    decimal(size),
    toBase64(root),
    `height ${decimal(height)}`,
    `time ${decimal(time)}`,
    `state ${toHex(stateRoot)}`,
    `epoch ${decimal(epoch)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** One validator's signature line over `body`. */
export function cosign(body: string, origin: string, member: string, signer: Signer): string {
  const name = cosignerName(origin, member);
  const keyId = noteKeyId(name, NOTE_ED25519, signer.publicKey.key);
  return noteLine({ name, keyId, signature: signer.sign(utf8(body)) });
}

/** An outside witness's line over `body`: tlog-cosignature v1 at `time` seconds since 1970. */
export function cosignAsWitness(body: string, name: string, signer: Signer, time: number): string {
  const keyId = noteKeyId(name, NOTE_COSIGNATURE, signer.publicKey.key);
  return noteLine({ name, keyId, signature: concat(u64be(time), signer.sign(witnessMessage(body, time))) });
}

/** The checkpoint's text: `body` and its signature lines. */
export function assembleCheckpoint(body: string, lines: readonly string[]): string {
  return joinNote(body, lines);
}

/** The member whose good cosignature over `body` the line is, if any; for nodes that collect them. Never throws. */
export function cosignatureOf(
  line: string,
  body: string,
  origin: string,
  set: ValidatorSet,
): string | undefined {
  try {
    const { text, signatures } = splitNote(joinNote(body, [line]));
    // A good signature with something before or behind it would spoil the checkpoint that it is put into.
    if (text !== body || signatures.length !== 1 || noteLine(signatures[0]) !== line) return undefined;
    const signer = set.validators.find(({ member, key }) =>
      isLineOf(signatures[0], cosignerName(origin, member), NOTE_ED25519, key),
    );
    return signer !== undefined && isSigned(signer.key, utf8(body), signatures[0].signature)
      ? signer.member
      : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a checkpoint without verifying anything. Throws `checkpoint.malformed`. */
export function parseCheckpoint(text: string): {
  readonly checkpoint: Checkpoint;
  readonly body: string;
  readonly signatures: readonly NoteSignature[];
} {
  const { text: body, signatures } = splitNote(text);
  const lines = body.slice(0, -1).split('\n');
  if (lines.length !== 7) {
    throw new CodedError('checkpoint.malformed', `expected 7 lines of text, got ${lines.length}`);
  }
  const [origin, size, root, height, time, state, epoch] = lines;
  const checkpoint: Checkpoint = {
    origin: checkNoteName(origin),
    size: fromDecimal(size),
    root: hash(fromBase64(root)),
    height: fromDecimal(after('height', height)),
    time: fromDecimal(after('time', time)),
    stateRoot: hash(fromHexLine(after('state', state))),
    epoch: fromDecimal(after('epoch', epoch)),
  };
  return { checkpoint, body, signatures };
}

/**
 * The checkpoint in `text`, vouched for by `quorum` distinct validators of `set` (the set of its epoch). A line of a
 * known key whose signature is wrong spoils the whole, as signed-note demands; lines of unknown keys are only
 * reported. Throws `checkpoint.malformed`, `.bad_set`, `.origin`, `.epoch`, `.bad_signature`, `.duplicate`, `.quorum`.
 */
export function verifyCheckpoint(
  text: string,
  origin: string,
  set: ValidatorSet,
  options: { readonly quorum?: number; readonly witnesses?: readonly Witness[] } = {},
): VerifiedCheckpoint {
  checkValidatorSet(set);
  const { checkpoint, body, signatures } = parseCheckpoint(text);
  if (checkpoint.origin !== origin) {
    throw new CodedError('checkpoint.origin', `expected the log ${origin}, got ${checkpoint.origin}`);
  }
  if (checkpoint.epoch !== set.epoch) {
    throw new CodedError('checkpoint.epoch', `expected epoch ${set.epoch}, got ${checkpoint.epoch}`);
  }
  const members = new Set<string>();
  const witnesses = new Map<string, number>();
  const unknown: string[] = [];
  for (const line of signatures) {
    const validator = set.validators.find(({ member, key }) =>
      isLineOf(line, cosignerName(origin, member), NOTE_ED25519, key),
    );
    const witness = options.witnesses?.find(({ name, key }) => isLineOf(line, name, NOTE_COSIGNATURE, key));
    if (validator !== undefined) {
      if (members.has(validator.member)) refuseDuplicate(line.name);
      if (!isSigned(validator.key, utf8(body), line.signature)) refuseSignature(line.name);
      members.add(validator.member);
    } else if (witness !== undefined) {
      if (witnesses.has(witness.name)) refuseDuplicate(line.name);
      witnesses.set(witness.name, witnessTime(body, witness, line.signature) ?? refuseSignature(line.name));
    } else {
      unknown.push(line.name);
    }
  }
  const quorum = options.quorum ?? checkpointQuorum(set.validators.length);
  if (members.size < quorum) {
    throw new CodedError(
      'checkpoint.quorum',
      `expected cosignatures of ${quorum} validators of epoch ${set.epoch}, got ${members.size}`,
      { details: { expected: quorum, got: members.size } },
    );
  }
  return {
    checkpoint,
    members: [...members],
    witnesses: [...witnesses].map(([name, time]) => ({ name, time })),
    unknown,
  };
}

const isSigned = (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  verifySignature({ alg: 'ed25519', key }, message, signature);

function witnessMessage(body: string, time: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${decimal(time)}\n${body}`);
}

/** The time of a good witness signature (u64 seconds || 64 bytes), else undefined. */
function witnessTime(body: string, witness: Witness, signature: Uint8Array): number | undefined {
  if (signature.length !== 72) return undefined;
  const time = readU32be(signature, 0) * 2 ** 32 + readU32be(signature, 4);
  if (!Number.isSafeInteger(time)) return undefined;
  return isSigned(witness.key, witnessMessage(body, time), signature.subarray(8)) ? time : undefined;
}

const refuseSignature = (name: string): never => {
  throw new CodedError('checkpoint.bad_signature', `the signature of ${name} does not verify`);
};

const refuseDuplicate = (name: string): never => {
  throw new CodedError('checkpoint.duplicate', `expected one line of ${name}`);
};

function decimal(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('expected a count');
  return String(value);
}

function fromDecimal(text: string): number {
  const value = Number(text);
  if (!/^(?:0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value)) {
    throw new CodedError('checkpoint.malformed', 'expected a decimal number without leading zeros');
  }
  return value;
}

function after(word: string, line: string): string {
  if (!line.startsWith(`${word} `)) {
    throw new CodedError('checkpoint.malformed', `expected a line "${word} ..."`);
  }
  return line.slice(word.length + 1);
}

function fromHexLine(text: string): Uint8Array {
  try {
    return fromHex(text);
  } catch (cause) {
    throw new CodedError('checkpoint.malformed', 'expected lower-case hexadecimal', { cause });
  }
}

function hash(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 32) throw new CodedError('checkpoint.malformed', 'expected a root of 32 bytes');
  return bytes;
}
