/** One value of every format, from fixed keys, for golden files and for damage tests. */
import { genesisChain } from '../../../src/consensus/chain.ts';
import { validatorKey } from '../../../src/consensus/node/keys.ts';
import { coreSigner } from '../../../src/consensus/node/signer.ts';
import { type Hash, ZERO_HASH } from '../../../src/consensus/wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal, qcHash } from '../../../src/consensus/wire/codec.ts';
import type {
  Message,
  PreparedCertificate,
  Proposal,
  QuorumCertificate,
} from '../../../src/consensus/wire/messages.ts';

const keys = [0, 1, 2, 3].map((i) => validatorKey(new Uint8Array(32).fill(i + 1)));
export const genesis = {
  chainId: new Uint8Array(32).fill(0xc1),
  time: 1_750_000_000_000,
  validators: keys.map((key) => key.publicKey),
};
export const chain = genesisChain(genesis);
const signers = keys.map((key) => coreSigner(key, genesis.chainId));

const hash = (byte: string): Hash => byte.repeat(32) as Hash;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

function certificate(height: number, headerHash: Hash): QuorumCertificate {
  const votes = [0, 1, 3].map((sender) => ({
    sender,
    signature: signers[sender].vote('commit', { epoch: 0, height, view: 0, sender }, headerHash),
  }));
  return { epoch: 0, height, view: 0, headerHash, votes };
}

export const parentQc = certificate(6, hash('a6'));
const batchBytes = encodeBatch([text('first request'), text('second request')]);

export const proposal: Proposal = makeProposal(
  {
    version: 1,
    chainId: chain.chainId,
    epoch: 0,
    height: 7,
    view: 0,
    proposer: 0,
    time: 1_750_000_012_345,
    parentHash: hash('a6'),
    batchHash: batchHash(batchBytes),
    stateRoot: hash('51'),
    logRoot: hash('52'),
    treeSize: 42,
    validatorsHash: chain.validators.hash,
    nextValidatorsHash: chain.validators.hash,
    parentQcHash: qcHash(parentQc),
  },
  batchBytes,
  parentQc,
);

export const qc = certificate(7, proposal.hash);
const at = (view: number, sender: number) => ({ epoch: 0, height: 7, view, sender });
const signed = (kind: 'pre-prepare' | 'prepare' | 'commit', view: number, sender: number) => ({
  ...at(view, sender),
  digest: proposal.hash,
  signature: signers[sender].vote(kind, at(view, sender), proposal.hash),
});

export const prepared: PreparedCertificate = {
  header: proposal.header,
  hash: proposal.hash,
  view: 0,
  leader: { sender: 0, signature: signed('pre-prepare', 0, 0).signature },
  votes: [1, 2].map((sender) => ({ sender, signature: signed('prepare', 0, sender).signature })),
};

const changes = [0, 1, 2].map((sender) =>
  signers[sender].viewChange(at(1, sender), parentQc, sender === 1 ? prepared : undefined),
);
const nonce = new Uint8Array(16).fill(9);

/** Every message by type. */
export const messages: { readonly [T in Message['type']]: Extract<Message, { type: T }> } = {
  'pre-prepare': { type: 'pre-prepare', ...signed('pre-prepare', 0, 0), proposal },
  prepare: { type: 'prepare', ...signed('prepare', 0, 2) },
  commit: { type: 'commit', ...signed('commit', 0, 2) },
  'view-change': changes[1],
  'new-view': { type: 'new-view', ...signed('pre-prepare', 1, 1), proposal, viewChanges: changes },
  request: { type: 'request', request: text('first request') },
  status: { type: 'status', height: 6, view: 1, clock: 1_750_000_012_345 },
  fetch: { type: 'fetch', from: 3, count: 4, hash: ZERO_HASH },
  blocks: { type: 'blocks', blocks: [{ proposal, qc }] },
  proposal: { type: 'proposal', proposal },
  preview: { type: 'preview', request: text('request') },
  cosign: { type: 'cosign', height: 7, bytes: text('cosignature') },
  hello: signers[2].hello({ epoch: 0, sender: 2, boot: 5, nonce }),
  welcome: signers[3].welcome({
    epoch: 0,
    sender: 3,
    to: 2,
    nonce,
    hello: signers[2].hello({ epoch: 0, sender: 2, boot: 4, nonce: new Uint8Array(16).fill(8) }),
    vote: { kind: 'commit', ...signed('commit', 0, 2) },
    committed: 7,
  }),
};
