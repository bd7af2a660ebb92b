/**
 * A small chain made by hand, for the verifier's tests: real keys, signatures, leaves, roots and checkpoints, and a plain
 * stand-in for the consensus formats (dag-cbor headers, certificates of Ed25519 signatures over the header hash).
 */
import { utf8 } from '../../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { sha256, taggedHash } from '../../../src/codec/hash.ts';
import { ed25519Signer, type Signer, verifySignature } from '../../../src/codec/signature.ts';
import {
  assembleCheckpoint,
  checkpointBody,
  checkpointOrigin,
  checkpointQuorum,
  cosign,
  type ValidatorSet,
} from '../../../src/ledger/checkpoint/index.ts';
import { encodeLeaf, entryId } from '../../../src/ledger/entries/leaf.ts';
import { encodeGenesis } from '../../../src/ledger/entries/members.ts';
import { genesisMessage } from '../../../src/ledger/entries/proofs.ts';
import {
  encodeRequest,
  signTransaction,
  type TransactionDraft,
  transactionId,
} from '../../../src/ledger/entries/transaction.ts';
import { LogTree } from '../../../src/ledger/log/index.ts';
import { MemoryStore } from '../../../src/ledger/ports.ts';
import type {
  BlockHeader,
  BlockRecord,
  ConsensusVerifier,
  LedgerAnchor,
  LedgerRecord,
} from '../../../src/ledger/verify/index.ts';

export const CHAIN_ID = 'demo';
export const MEMBERS = ['mercy', 'saint-anne', 'north', 'lakeside'];
const GENESIS_TIME = 1_700_000_000_000;

export const signerOf = (name: string): Signer => ed25519Signer(sha256(utf8(name)));
export const idOf = (name: string, bytes = 16): Uint8Array => sha256(utf8(name)).slice(0, bytes);
export const setOf = (epoch: number, members: readonly string[]): ValidatorSet => ({
  epoch,
  validators: members.map((member) => ({
    member,
    key: signerOf(`validator ${epoch} ${member}`).publicKey.key,
  })),
});

type Fields = Record<string, unknown>;

const HEADER_FIELDS = [
  ...['batchHash', 'chainId', 'epoch', 'height', 'logRoot', 'nextValidatorsHash', 'parentHash', 'stateRoot'],
  ...['time', 'treeSize', 'validatorsHash'],
].join();

/** Consensus formats of this chain. */
export const consensus: ConsensusVerifier = {
  readHeader(bytes) {
    const header = decodeCbor(bytes) as BlockHeader;
    const names = Object.keys(header).sort().join();
    if (names !== HEADER_FIELDS) throw new CodedError('test.malformed', 'expected the fields of a header');
    return header;
  },
  headerHash: (bytes) => taggedHash('test/header', bytes),
  batchHash: (requests) => taggedHash('test/batch', encodeCbor(requests)),
  validatorsHash: ({ epoch, validators }) => taggedHash('test/set', encodeCbor({ epoch, validators })),
  verifyQc(header, qc, set) {
    try {
      const votes = decodeCbor(qc) as { member: string; sig: Uint8Array }[];
      const message = taggedHash('test/header', header);
      const good = new Set<string>();
      for (const { member, sig } of votes) {
        const validator = set.validators.find((one) => one.member === member);
        if (validator === undefined) return 'a vote of nobody';
        if (!verifySignature({ alg: 'ed25519', key: validator.key }, message, sig)) return 'a bad vote';
        good.add(member);
      }
      return good.size >= checkpointQuorum(set.validators.length) ? undefined : `${good.size} votes`;
    } catch {
      return 'bytes that cannot be read';
    }
  },
};

export interface Chain {
  readonly records: LedgerRecord[];
  readonly blocks: BlockRecord[];
  readonly anchor: LedgerAnchor;
  /** Log after the last block. */
  readonly log: LogTree;
  readonly checkpoints: string[];
}

/** What to vary. */
export interface ChainOptions {
  readonly heights: number;
  /** Height whose header announces epoch 1, if any. */
  readonly reconfigAt?: number;
}

/** Blocks of one to three transactions by operators and a patient, one of them a list of two items. */
export async function makeChain({ heights, reconfigAt }: ChainOptions): Promise<Chain> {
  const sets = [setOf(0, MEMBERS), setOf(1, [...MEMBERS.slice(0, 3), 'harbour'])];
  const genesisLeaf = encodeLeaf({
    height: 0,
    index: 0,
    time: GENESIS_TIME,
    tx: genesis(),
    item: 0,
    result: {},
  });
  const anchor: LedgerAnchor = {
    chainId: CHAIN_ID,
    periods: [{ ...sets[0], from: 0 }],
    genesisEntry: entryId(genesisLeaf),
    genesisHash: taggedHash('test/genesis', genesisLeaf),
  };
  const store = new MemoryStore();
  let log = LogTree.open(store).append([entryId(genesisLeaf)]).tree;
  let parentHash = anchor.genesisHash;
  const blocks: BlockRecord[] = [];
  const checkpoints: string[] = [];
  for (let height = 1; height <= heights; height++) {
    const time = GENESIS_TIME + height * 1000;
    const epoch = reconfigAt !== undefined && height > reconfigAt ? 1 : 0;
    const next = reconfigAt !== undefined && height >= reconfigAt ? sets[1] : sets[0];
    const drafts = transactions(height, time);
    const signed = drafts.map(([who, draft]) => signTransaction(signerOf(who), draft));
    const leaves: Uint8Array[] = [];
    for (const [i, { tx }] of signed.entries()) {
      const { body } = drafts[i][1];
      for (let item = 0; item < (Array.isArray(body) ? body.length : 1); item++) {
        const index = log.size + leaves.length;
        leaves.push(
          encodeLeaf({ height, index, time, tx: item === 0 ? tx : transactionId(tx), item, result: {} }),
        );
      }
    }
    const leafHashes = leaves.map(entryId);
    log = log.append(leafHashes).tree;
    const batch = signed.map(encodeRequest);
    const header: BlockHeader = {
      chainId: anchor.genesisEntry,
      epoch,
      height,
      time,
      parentHash,
      batchHash: consensus.batchHash(batch),
      stateRoot: sha256(utf8(`state ${height}`)),
      logRoot: log.root(),
      treeSize: log.size,
      validatorsHash: consensus.validatorsHash(sets[epoch]),
      nextValidatorsHash: consensus.validatorsHash(next),
    };
    const headerBytes = encodeCbor(header);
    const checkpoint = cosigned(header, sets[epoch]);
    checkpoints.push(checkpoint);
    blocks.push({
      header: headerBytes,
      qc: certificate(headerBytes, sets[epoch]),
      batch,
      leaves,
      leafHashes,
      ...(height % 2 === 0 ? { checkpoint } : {}),
      ...(height === reconfigAt ? { nextValidators: sets[1] } : {}),
    });
    parentHash = consensus.headerHash(headerBytes);
  }
  const records: LedgerRecord[] = [
    { kind: 'genesis', chainId: CHAIN_ID, leaf: genesisLeaf },
    ...blocks.map((block) => ({ kind: 'block', ...block }) as const),
  ];
  return { records, blocks, anchor, log, checkpoints };
}

/** COMMITs of a quorum over these header bytes. */
export function certificate(header: Uint8Array, set: ValidatorSet): Uint8Array {
  const message = consensus.headerHash(header);
  const voters = set.validators.slice(0, checkpointQuorum(set.validators.length));
  return encodeCbor(
    voters.map(({ member }) => ({ member, sig: signerOf(`validator ${set.epoch} ${member}`).sign(message) })),
  );
}

/** The checkpoint that the first q validators of `set` cosign for a header. */
export function cosigned(
  header: Pick<BlockHeader, 'height' | 'time' | 'epoch' | 'treeSize' | 'logRoot' | 'stateRoot'>,
  set: ValidatorSet,
  count = checkpointQuorum(set.validators.length),
): string {
  const origin = checkpointOrigin(CHAIN_ID);
  const { height, time, epoch, treeSize, logRoot, stateRoot } = header;
  const body = checkpointBody({ origin, size: treeSize, root: logRoot, height, time, stateRoot, epoch });
  const lines = set.validators
    .slice(0, count)
    .map(({ member }) => cosign(body, origin, member, signerOf(`validator ${set.epoch} ${member}`)));
  return assembleCheckpoint(body, lines);
}

function genesis(): Uint8Array {
  const document = encodeCbor({
    v: 1,
    chainId: CHAIN_ID,
    time: GENESIS_TIME,
    members: MEMBERS.map((id) => ({
      id,
      name: id,
      url: `https://${id}.example`,
      validatorKey: signerOf(`validator 0 ${id}`).publicKey.key,
      linkKey: idOf('link', 32),
      hpkeKey: idOf('hpke', 32),
      indexerKey: idOf('indexer', 32),
    })),
    threshold: 3,
    labels: [],
    operators: MEMBERS.map((member) => ({
      subject: idOf(`operator ${member}`),
      member,
      key: signerOf(`operator ${member}`).publicKey,
      hpkeKey: idOf('hpke', 32),
    })),
  });
  const signatures = MEMBERS.map((id) => signerOf(`validator 0 ${id}`).sign(genesisMessage(document)));
  return encodeGenesis({ document, signatures });
}

type Signed = readonly [signer: string, draft: TransactionDraft];

/** What is ordered at a height: a patient is enrolled at 1, gets a new key at 3, is revoked at 8. */
function transactions(height: number, time: number): Signed[] {
  const by = (who: string, name: string, fields: Fields): Signed => [
    who,
    {
      chainId: CHAIN_ID,
      subject: idOf(name),
      keyIx: 0,
      nonce: idOf(`nonce ${height} ${who} ${JSON.stringify(Object.keys(fields))}`),
      expiresAt: time + 60_000,
      ...fields,
    } as unknown as TransactionDraft,
  ];
  const operator = by('operator mercy', 'operator mercy', {
    type: 'AttributeEnd',
    body: [1, 2].map((n) => ({ subject: idOf('patient'), attribute: `mercy/role:r${n}` })),
  });
  const patientKey = (n: number): string => `patient key ${n}`;
  if (height === 1) {
    const put = { subject: idOf('patient'), member: 'mercy', kind: 'patient', custody: 'client' };
    const key = { key: signerOf(patientKey(0)).publicKey, hpkeKey: idOf('hpke', 32), proof: idOf('p', 32) };
    const body = { ...put, ...key, proof: new Uint8Array(64) };
    return [by('operator mercy', 'operator mercy', { type: 'SubjectPut', body }), operator];
  }
  const speak = (n: number): Signed =>
    by(patientKey(n), 'patient', { keyIx: n, type: 'ConsentRevoke', body: { consent: idOf('consent', 32) } });
  if (height === 3) {
    const body = {
      subject: idOf('patient'),
      key: signerOf(patientKey(1)).publicKey,
      hpkeKey: idOf('hpke', 32),
      proof: new Uint8Array(64),
      retire: [0],
    };
    return [speak(0), by('operator mercy', 'operator mercy', { type: 'SubjectKeyPut', body }), speak(1)];
  }
  if (height === 8) {
    const body = { subject: idOf('patient'), reason: 'left' };
    return [by('operator mercy', 'operator mercy', { type: 'SubjectRevoke', body })];
  }
  if (height > 8) return [operator];
  return height % 3 === 0 ? [operator] : [speak(height < 3 ? 0 : 1), operator];
}
