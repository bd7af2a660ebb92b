/**
 * Messages, proposals and certificates as bytes; layouts in docs/format/consensus.md. Decoding is strict: one
 * encoding of each value, lists bounded and sorted, hashes recomputed so that a decoded proposal always fits its
 * header. Signatures are not checked here.
 */
import { ConsensusError } from '../errors.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_COUNT_MAX,
  COSIGNATURE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  REQUEST_BYTES_MAX,
  SYNC_BLOCKS_MAX,
  VALIDATORS_MAX,
  VIEW_MAX,
} from '../limits.ts';
import { HASH_BYTES, type Hash, Reader, SIGNATURE_BYTES, Writer, ZERO_HASH } from './bytes.ts';
import { TAG, tagged } from './hash.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES, type Header, headerHash } from './header.ts';
import {
  type Block,
  HELLO_NONCE_BYTES,
  type Hello,
  type Message,
  type PreparedCertificate,
  type Proposal,
  type QuorumCertificate,
  type SenderSignature,
  type Signed,
  type ViewChange,
  VOTE_TAG,
  type VoteProof,
  voteKind,
} from './messages.ts';

/** First byte of a message on the wire. */
const TYPE = {
  'pre-prepare': 1,
  prepare: 2,
  commit: 3,
  'view-change': 4,
  'new-view': 5,
  request: 6,
  status: 7,
  fetch: 8,
  blocks: 9,
  proposal: 10,
  cosign: 11,
  hello: 12,
  welcome: 13,
  preview: 14,
} as const;

const VOTE_BYTES = 2 + SIGNATURE_BYTES;
const QC_BYTES_MAX = 4 + 8 + 4 + HASH_BYTES + 2 + VALIDATORS_MAX * VOTE_BYTES;
const VIEW_CHANGE_BYTES_MAX = 512 + HEADER_BYTES + QC_BYTES_MAX + VALIDATORS_MAX * VOTE_BYTES;

function malformed(text: string): never {
  throw new ConsensusError('consensus.malformed', text);
}

function writeVotes(writer: Writer, votes: readonly SenderSignature[]): void {
  writer.u16(votes.length);
  for (const vote of votes) writer.u16(vote.sender).fixed(vote.signature);
}

function readVotes(reader: Reader): SenderSignature[] {
  const count = reader.count16(VALIDATORS_MAX);
  const votes: SenderSignature[] = [];
  let last = -1;
  for (let i = 0; i < count; i++) {
    const sender = readSender(reader);
    if (sender <= last) malformed('expected the senders of a certificate in ascending order');
    last = sender;
    votes.push({ sender, signature: reader.fixed(SIGNATURE_BYTES) });
  }
  return votes;
}

function readSender(reader: Reader): number {
  const sender = reader.u16();
  if (sender >= VALIDATORS_MAX)
    malformed(`expected a validator index below ${VALIDATORS_MAX}, got ${sender}`);
  return sender;
}

function readView(reader: Reader): number {
  const view = reader.u32();
  if (view > VIEW_MAX) malformed('view out of range');
  return view;
}

/** Bytes of a quorum certificate; also what `parentQcHash` is taken over. */
export function encodeQc(qc: QuorumCertificate): Uint8Array {
  const writer = new Writer(64 + qc.votes.length * VOTE_BYTES);
  writer.u32(qc.epoch).u64(qc.height).u32(qc.view).hash(qc.headerHash);
  writeVotes(writer, qc.votes);
  return writer.finish();
}

export function decodeQc(bytes: Uint8Array): QuorumCertificate {
  const reader = new Reader(bytes);
  const qc: QuorumCertificate = {
    epoch: reader.u32(),
    height: reader.u64(),
    view: readView(reader),
    headerHash: reader.hash(),
    votes: readVotes(reader),
  };
  reader.end();
  return qc;
}

/** The value that the next header names. Zeros for no certificate (the parent of height 1). */
export function qcHash(qc: QuorumCertificate | undefined): Hash {
  return qc === undefined ? ZERO_HASH : tagged(TAG.certificate, encodeQc(qc));
}

function writeOptional(writer: Writer, bytes: Uint8Array | undefined): void {
  writer.bytes(bytes ?? new Uint8Array(0));
}

function readOptionalQc(reader: Reader): QuorumCertificate | undefined {
  const bytes = reader.bytes(QC_BYTES_MAX);
  return bytes.length === 0 ? undefined : decodeQc(bytes);
}

/** u32 count, then each request behind its u32 length. */
export function encodeBatch(batch: readonly Uint8Array[]): Uint8Array {
  let size = 4;
  for (const request of batch) size += 4 + request.length;
  const writer = new Writer(size).u32(batch.length);
  for (const request of batch) writer.bytes(request);
  return writer.finish();
}

export function decodeBatch(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length > BATCH_BYTES_MAX) {
    throw new ConsensusError('consensus.too_large', `expected a batch of at most ${BATCH_BYTES_MAX} bytes`);
  }
  const reader = new Reader(bytes);
  const count = reader.count32(BATCH_COUNT_MAX);
  const batch: Uint8Array[] = [];
  for (let i = 0; i < count; i++) batch.push(reader.bytes(REQUEST_BYTES_MAX));
  reader.end();
  return batch;
}

/** The commitment to the requests and their order that stands in the header. */
export function batchHash(batchBytes: Uint8Array): Hash {
  return tagged(TAG.batch, batchBytes);
}

/** A proposal from its parts; the caller made the header for exactly this batch and certificate. */
export function makeProposal(
  header: Header,
  batchBytes: Uint8Array,
  parentQc: QuorumCertificate | undefined,
): Proposal {
  const headerBytes = encodeHeader(header);
  return {
    header,
    headerBytes,
    hash: headerHash(headerBytes),
    batch: decodeBatch(batchBytes),
    batchBytes,
    parentQc,
  };
}

function writeProposal(writer: Writer, proposal: Proposal): void {
  writer.fixed(proposal.headerBytes).bytes(proposal.batchBytes);
  writeOptional(writer, proposal.parentQc && encodeQc(proposal.parentQc));
}

function readProposal(reader: Reader): Proposal {
  const headerBytes = reader.fixed(HEADER_BYTES);
  const header = decodeHeader(headerBytes);
  const batchBytes = reader.bytes(BATCH_BYTES_MAX);
  const parentQc = readOptionalQc(reader);
  if (batchHash(batchBytes) !== header.batchHash)
    malformed('the batch is not the one that the header commits to');
  if (qcHash(parentQc) !== header.parentQcHash)
    malformed("the parent's certificate is not the one in the header");
  return {
    header,
    headerBytes,
    hash: headerHash(headerBytes),
    batch: decodeBatch(batchBytes),
    batchBytes,
    parentQc,
  };
}

function writePrepared(writer: Writer, prepared: PreparedCertificate): void {
  writer.fixed(encodeHeader(prepared.header)).u32(prepared.view);
  writer.u16(prepared.leader.sender).fixed(prepared.leader.signature);
  writeVotes(writer, prepared.votes);
}

function readPrepared(reader: Reader): PreparedCertificate {
  const headerBytes = reader.fixed(HEADER_BYTES);
  return {
    header: decodeHeader(headerBytes),
    hash: headerHash(headerBytes),
    view: readView(reader),
    leader: { sender: readSender(reader), signature: reader.fixed(SIGNATURE_BYTES) },
    votes: readVotes(reader),
  };
}

/** A prepared certificate on its own, as the WAL keeps it. */
export function encodePrepared(prepared: PreparedCertificate): Uint8Array {
  const writer = new Writer(1024);
  writePrepared(writer, prepared);
  return writer.finish();
}

export function decodePrepared(bytes: Uint8Array): PreparedCertificate {
  const reader = new Reader(bytes);
  const prepared = readPrepared(reader);
  reader.end();
  return prepared;
}

/** The part of a VIEW-CHANGE whose hash is signed: parent certificate and prepared certificate. */
function viewChangeBody(
  parentQc: QuorumCertificate | undefined,
  prepared: PreparedCertificate | undefined,
): Uint8Array {
  const writer = new Writer(1024);
  writeOptional(writer, parentQc && encodeQc(parentQc));
  writeOptional(writer, prepared && encodePrepared(prepared));
  return writer.finish();
}

/** The digest that a VIEW-CHANGE with these certificates signs. */
export function viewChangeDigest(
  parentQc: QuorumCertificate | undefined,
  prepared: PreparedCertificate | undefined,
): Hash {
  return tagged(TAG.viewChange, viewChangeBody(parentQc, prepared));
}

function writePosition(writer: Writer, signed: Signed): void {
  writer.u32(signed.epoch).u64(signed.height).u32(signed.view).u16(signed.sender);
}

interface Position {
  readonly epoch: number;
  readonly height: number;
  readonly view: number;
  readonly sender: number;
}

function readPosition(reader: Reader): Position {
  return { epoch: reader.u32(), height: reader.u64(), view: readView(reader), sender: readSender(reader) };
}

function writeViewChange(writer: Writer, message: ViewChange): void {
  writePosition(writer, message);
  writer.fixed(viewChangeBody(message.parentQc, message.prepared)).fixed(message.signature);
}

function readViewChange(reader: Reader): ViewChange {
  const position = readPosition(reader);
  const parentQc = readOptionalQc(reader);
  const preparedBytes = reader.bytes(VIEW_CHANGE_BYTES_MAX);
  const prepared = preparedBytes.length === 0 ? undefined : decodePrepared(preparedBytes);
  return {
    type: 'view-change',
    ...position,
    parentQc,
    prepared,
    digest: viewChangeDigest(parentQc, prepared),
    signature: reader.fixed(SIGNATURE_BYTES),
  };
}

function writeBlock(writer: Writer, block: Block): void {
  writeProposal(writer, block.proposal);
  writer.bytes(encodeQc(block.qc));
}

function readBlock(reader: Reader): Block {
  return { proposal: readProposal(reader), qc: decodeQc(reader.bytes(QC_BYTES_MAX)) };
}

/** A decided block as block stores keep it. */
export function encodeBlock(block: Block): Uint8Array {
  const writer = new Writer(1024 + block.proposal.batchBytes.length);
  writeBlock(writer, block);
  return writer.finish();
}

export function decodeBlock(bytes: Uint8Array): Block {
  const reader = new Reader(bytes);
  const block = readBlock(reader);
  reader.end();
  return block;
}

function writeHello(writer: Writer, hello: Hello): void {
  writer.u32(hello.epoch).u16(hello.sender).u32(hello.boot).fixed(hello.nonce).fixed(hello.signature);
}

function readHello(reader: Reader): Hello {
  return {
    type: 'hello',
    epoch: reader.u32(),
    sender: readSender(reader),
    boot: reader.u32(),
    nonce: reader.fixed(HELLO_NONCE_BYTES),
    signature: reader.fixed(SIGNATURE_BYTES),
  };
}

function readVoteProof(reader: Reader): VoteProof | undefined {
  const tag = reader.u8();
  if (tag === 0) return undefined;
  const kind = voteKind(tag);
  if (kind === undefined) return malformed(`expected a vote kind of 1 to 4, got ${tag}`);
  return { kind, ...readPosition(reader), digest: reader.hash(), signature: reader.fixed(SIGNATURE_BYTES) };
}

/** Room for a message without growing: what is long in it, and the rest of one with small certificates. */
export function capacityOf(message: Message): number {
  if ('proposal' in message) return 2048 + message.proposal.batchBytes.length;
  if ('blocks' in message) {
    return message.blocks.reduce((sum, block) => sum + 2048 + block.proposal.batchBytes.length, 16);
  }
  return 'request' in message ? 16 + message.request.length : 256;
}

/** The bytes of `message`, type byte first. */
export function encodeMessage(message: Message): Uint8Array {
  const writer = new Writer(capacityOf(message));
  writeMessage(writer, message);
  return writer.finish();
}

/** Appends what `encodeMessage` gives. */
export function writeMessage(writer: Writer, message: Message): void {
  writer.u8(TYPE[message.type]);
  switch (message.type) {
    case 'prepare':
    case 'commit':
      writePosition(writer, message);
      writer.hash(message.digest).fixed(message.signature);
      break;
    case 'pre-prepare':
      writePosition(writer, message);
      writer.fixed(message.signature);
      writeProposal(writer, message.proposal);
      break;
    case 'view-change':
      writeViewChange(writer, message);
      break;
    case 'new-view':
      writePosition(writer, message);
      writer.fixed(message.signature);
      writeProposal(writer, message.proposal);
      writer.u16(message.viewChanges.length);
      for (const change of message.viewChanges) writeViewChange(writer, change);
      break;
    case 'request':
    case 'preview':
      writer.bytes(message.request);
      break;
    case 'status':
      writer.u64(message.height).u32(message.view).u64(message.clock);
      break;
    case 'fetch':
      writer.u64(message.from).u16(message.count).hash(message.hash);
      break;
    case 'blocks':
      writer.u16(message.blocks.length);
      for (const block of message.blocks) writeBlock(writer, block);
      break;
    case 'proposal':
      writeProposal(writer, message.proposal);
      break;
    case 'cosign':
      writer.u64(message.height).bytes(message.bytes);
      break;
    case 'hello':
      writeHello(writer, message);
      break;
    case 'welcome':
      writer.u32(message.epoch).u16(message.sender).u16(message.to).fixed(message.nonce);
      writer.u8(message.hello === undefined ? 0 : 1);
      if (message.hello !== undefined) writeHello(writer, message.hello);
      writer.u8(message.vote === undefined ? 0 : VOTE_TAG[message.vote.kind]);
      if (message.vote !== undefined) {
        writePosition(writer, message.vote);
        writer.hash(message.vote.digest).fixed(message.vote.signature);
      }
      writer.u64(message.committed).fixed(message.signature);
      break;
    default:
      message satisfies never;
  }
}

/** The message that `bytes` encode; throws `consensus.malformed` or `consensus.too_large`. */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length > MESSAGE_BYTES_MAX) {
    throw new ConsensusError(
      'consensus.too_large',
      `expected a message of at most ${MESSAGE_BYTES_MAX} bytes`,
    );
  }
  const reader = new Reader(bytes);
  const message = readMessage(reader);
  reader.end();
  return message;
}

function readMessage(reader: Reader): Message {
  const type = reader.u8();
  switch (type) {
    case TYPE.prepare:
    case TYPE.commit: {
      const position = readPosition(reader);
      const digest = reader.hash();
      const signature = reader.fixed(SIGNATURE_BYTES);
      return { type: type === TYPE.prepare ? 'prepare' : 'commit', ...position, digest, signature };
    }
    case TYPE['pre-prepare']: {
      const position = readPosition(reader);
      const signature = reader.fixed(SIGNATURE_BYTES);
      const proposal = readProposal(reader);
      return { type: 'pre-prepare', ...position, digest: proposal.hash, signature, proposal };
    }
    case TYPE['view-change']:
      return readViewChange(reader);
    case TYPE['new-view']: {
      const position = readPosition(reader);
      const signature = reader.fixed(SIGNATURE_BYTES);
      const proposal = readProposal(reader);
      const count = reader.count16(VALIDATORS_MAX);
      const viewChanges: ViewChange[] = [];
      for (let i = 0; i < count; i++) {
        const change = readViewChange(reader);
        const before = viewChanges[i - 1];
        if (before !== undefined && before.sender >= change.sender)
          malformed('expected VIEW-CHANGEs by sender');
        viewChanges.push(change);
      }
      return { type: 'new-view', ...position, digest: proposal.hash, signature, proposal, viewChanges };
    }
    case TYPE.request:
    case TYPE.preview: {
      const request = reader.bytes(REQUEST_BYTES_MAX);
      return { type: type === TYPE.request ? 'request' : 'preview', request };
    }
    case TYPE.status:
      return { type: 'status', height: reader.u64(), view: readView(reader), clock: reader.u64() };
    case TYPE.fetch:
      return {
        type: 'fetch',
        from: reader.u64(),
        count: reader.count16(SYNC_BLOCKS_MAX),
        hash: reader.hash(),
      };
    case TYPE.blocks: {
      const count = reader.count16(SYNC_BLOCKS_MAX);
      const blocks: Block[] = [];
      for (let i = 0; i < count; i++) blocks.push(readBlock(reader));
      return { type: 'blocks', blocks };
    }
    case TYPE.proposal:
      return { type: 'proposal', proposal: readProposal(reader) };
    case TYPE.cosign:
      return { type: 'cosign', height: reader.u64(), bytes: reader.bytes(COSIGNATURE_BYTES_MAX) };
    case TYPE.hello:
      return readHello(reader);
    case TYPE.welcome:
      return {
        type: 'welcome',
        epoch: reader.u32(),
        sender: readSender(reader),
        to: readSender(reader),
        nonce: reader.fixed(HELLO_NONCE_BYTES),
        hello: reader.flag() ? readHello(reader) : undefined,
        vote: readVoteProof(reader),
        committed: reader.u64(),
        signature: reader.fixed(SIGNATURE_BYTES),
      };
    default:
      return malformed(`expected a message type, got ${type}`);
  }
}
