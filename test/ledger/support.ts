/** A consortium on paper: deterministic keys, a signed genesis, and a ledger that is driven block by block. */
import { encodePolicy, parsePolicy } from '../../src/abe/policy/index.ts';
import { concat, fromHex, toHex, utf8 } from '../../src/codec/bytes.ts';
import { encodeCbor } from '../../src/codec/cbor.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { ed25519Signer, type Signer } from '../../src/codec/signature.ts';
import {
  assembleCheckpoint,
  type CommittedEntry,
  checkpointBody,
  checkpointOrigin,
  cosign,
  type EntryBodies,
  type EntryType,
  encodeGenesis,
  encodeRequest,
  type GenesisDocument,
  genesisMessage,
  type KvStore,
  type LabelEntry,
  LedgerEngine,
  type LedgerOptions,
  type Member,
  MemoryStore,
  majorityOf,
  quorumOf,
  type ShareMessage,
  STATE,
  signTransaction,
  subjectProofMessage,
  type TransactionDraft,
} from '../../src/ledger/index.ts';

export const CHAIN_ID = 'test-net';
export const START_MS = Date.UTC(2026, 0, 1);
export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;
export const MEMBER_IDS: readonly string[] = ['alder', 'birch', 'cedar', 'dogwood'];

/** 32 bytes that only `name` gives. */
export const bytesOf = (name: string): Uint8Array => sha256(utf8(name));
export const subjectOf = (name: string): Uint8Array => bytesOf(`subject ${name}`).slice(0, 16);
export const subjectHex = (name: string): string => toHex(subjectOf(name));
export const recordOf = (name: string): Uint8Array => bytesOf(`record ${name}`);

const signers = new Map<string, Signer>();
/** The signing key of a subject; making one costs more than a signature. */
export function signerOf(name: string): Signer {
  const signer = signers.get(name) ?? ed25519Signer(bytesOf(`signer ${name}`));
  signers.set(name, signer);
  return signer;
}
export const validatorOf = (member: string): Signer => ed25519Signer(bytesOf(`validator ${member}`));
/** The first operator of a member. */
export const operatorOf = (member: string): string => `operator of ${member}`;
export const policy = (text: string): Uint8Array => encodePolicy(parsePolicy(text));
export const CID = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';

export const LABELS: readonly LabelEntry[] = [
  { label: 'role', type: 'text', width: null, values: ['doctor', 'lab', 'nurse'], shared: false },
  { label: 'unit', type: 'text', width: null, values: null, shared: false },
  { label: 'age', type: 'int', width: 16, values: null, shared: false },
  { label: 'clearance', type: 'level', width: null, values: null, shared: false },
  { label: 'study', type: 'text', width: null, values: null, shared: true },
];

export function memberOf(id: string): Member {
  return {
    id,
    name: `Hospital ${id}`,
    url: `https://${id}.example`,
    validatorKey: validatorOf(id).publicKey.key,
    linkKey: bytesOf(`link ${id}`),
    hpkeKey: bytesOf(`hpke ${id}`),
    indexerKey: bytesOf(`indexer ${id}`),
  };
}

export function genesisDocument(members: readonly string[] = MEMBER_IDS): GenesisDocument {
  return {
    v: 1,
    chainId: CHAIN_ID,
    time: START_MS,
    members: members.map(memberOf),
    threshold: quorumOf(members.length),
    labels: LABELS,
    operators: members.map((member) => ({
      subject: subjectOf(operatorOf(member)),
      member,
      key: signerOf(operatorOf(member)).publicKey,
      hpkeKey: bytesOf(`hpke ${operatorOf(member)}`),
    })),
  };
}

export function signGenesis(document: GenesisDocument): Uint8Array {
  const bytes = encodeCbor(document);
  const signatures = document.members.map(({ id }) => validatorOf(id).sign(genesisMessage(bytes)));
  return encodeGenesis({ document: bytes, signatures });
}

/** How a subject is enrolled. */
export function enrolment(
  name: string,
  member: string,
  kind: EntryBodies['SubjectPut']['kind'] = 'person',
): EntryBodies['SubjectPut'] {
  const key = signerOf(name).publicKey;
  const subject = subjectOf(name);
  const proof = signerOf(name).sign(subjectProofMessage(CHAIN_ID, subject, member, key));
  return { subject, member, kind, custody: 'client', key, hpkeKey: bytesOf(`hpke ${name}`), proof };
}

/** One sealed record with plausible hashes. */
export function recordItem(
  name: string,
  policyText: string,
  more: Partial<EntryBodies['RecordPut']['records'][number]> = {},
): EntryBodies['RecordPut']['records'][number] {
  return {
    record: recordOf(name),
    version: 0,
    cid: CID,
    bytes: 1234,
    headerHash: bytesOf(`header ${name}`),
    policy: policy(policyText),
    gate: 'record',
    patient: null,
    commitment: bytesOf(`commitment ${name}`),
    indexed: true,
    ...more,
  };
}

/** The key ceremony's outcome among `members`. */
export function ceremony(shareEpoch = 0, members: readonly string[] = MEMBER_IDS): EntryBodies['ShareEpoch'] {
  return {
    shareEpoch,
    threshold: quorumOf(members.length),
    members,
    mpk: bytesOf('mpk'),
    commitments: members.map((member) => bytesOf(`commitment of ${member} in epoch ${shareEpoch}`)),
    transcript: bytesOf(`transcript ${shareEpoch}`),
  };
}

type Draft<K extends EntryType> = Partial<Omit<TransactionDraft<K>, 'type' | 'body'>>;

/** A ledger without an ordering engine: each call makes a block of one or more requests. */
export class TestLedger {
  readonly engine: LedgerEngine;
  /** Time of the next block. */
  time: number;
  #nonces = 0;

  private constructor(engine: LedgerEngine) {
    this.engine = engine;
    this.time = engine.head.time + 1000;
  }

  static async open(
    options: Partial<LedgerOptions> & { document?: GenesisDocument; store?: KvStore } = {},
  ): Promise<TestLedger> {
    const { document = genesisDocument(), store = new MemoryStore(), ...rest } = options;
    const onListenerError = (error: unknown): never => {
      throw error;
    };
    return new TestLedger(
      await LedgerEngine.open({ genesis: signGenesis(document), onListenerError, ...rest, store }),
    );
  }

  /** Request bytes signed by `name`; nonce and end are made up unless given. */
  request<K extends EntryType>(
    name: string,
    type: K,
    body: EntryBodies[K] | readonly EntryBodies[K][],
    more: Draft<K> = {},
  ): Uint8Array {
    const nonce = bytesOf(`nonce ${this.#nonces++}`).slice(0, 16);
    const head = { chainId: CHAIN_ID, subject: subjectOf(name), keyIx: 0, nonce };
    const draft = { ...head, expiresAt: this.time + MINUTE_MS, ...more, type, body };
    return encodeRequest(signTransaction(signerOf(name), draft as unknown as TransactionDraft<K>));
  }

  /** Executes and applies one block; throws with the code of the first refused request. */
  async block(requests: readonly Uint8Array[], time = this.time): Promise<readonly CommittedEntry[]> {
    const height = this.engine.head.height + 1;
    const size = this.engine.head.size;
    await applyTo(this.engine, height, time, requests);
    this.time = time + 1000;
    const entries: CommittedEntry[] = [];
    for (let index = size; index < this.engine.head.size; index++) {
      const entry = this.engine.entryAt(index);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** One request in one block; the entry of its first item. */
  async put<K extends EntryType>(
    name: string,
    type: K,
    body: EntryBodies[K] | readonly EntryBodies[K][],
    more: Draft<K> = {},
  ): Promise<CommittedEntry> {
    const [entry] = await this.block([this.request(name, type, body, more)]);
    return entry;
  }

  /** The code that a request is refused with, or `none`. */
  async refusal<K extends EntryType>(
    name: string,
    type: K,
    body: EntryBodies[K] | readonly EntryBodies[K][],
    more: Draft<K> = {},
  ): Promise<string> {
    return this.refusalOf(this.request(name, type, body, more));
  }

  async refusalOf(request: Uint8Array): Promise<string> {
    const { head } = this.engine;
    const context = { height: head.height + 1, time: this.time, proposer: 0, batchHash: nameOf([request]) };
    const result = await this.engine.execute(context, [request]);
    return result.ok ? 'none' : result.reason;
  }

  /** Enrols `name` at `member` and gives it attributes of that member, without their issuer. */
  async enrol(
    name: string,
    member: string,
    attributes: readonly string[] = [],
    kind: EntryBodies['SubjectPut']['kind'] = 'person',
  ): Promise<void> {
    await this.put(operatorOf(member), 'SubjectPut', enrolment(name, member, kind));
    for (const attribute of attributes) {
      const body = { subject: subjectOf(name), attribute: `${member}/${attribute}`, until: null };
      await this.put(operatorOf(member), 'AttributeSet', body);
    }
  }

  /** All members confirm a key ceremony; a later one is begun by a proposal and runs on the ledger first. */
  async openShares(outcome = ceremony()): Promise<void> {
    const body =
      outcome.shareEpoch === 0 ? outcome : { ...outcome, transcript: await this.toConfirm(outcome.members) };
    await this.block(body.members.map((member) => this.request(operatorOf(member), 'ShareEpoch', body)));
  }

  /** A checkpoint of now that `members` have cosigned. */
  checkpoint(members: readonly string[] = MEMBER_IDS): string {
    const { size, logRoot, height, time, stateRoot } = this.engine.head;
    const origin = checkpointOrigin(CHAIN_ID);
    const epoch = this.engine.get(STATE.chain)?.validatorEpoch ?? 0;
    const body = checkpointBody({ origin, size, root: logRoot, height, time, stateRoot, epoch });
    return assembleCheckpoint(
      body,
      members.map((member) => cosign(body, origin, member, validatorOf(member))),
    );
  }

  /** A ShareRenew of `members` that all of them approve; the id of its ceremony. */
  async renew(members: readonly string[] = MEMBER_IDS, windowMs = MINUTE_MS): Promise<Uint8Array> {
    const until = this.time + DAY_MS;
    const [first, ...others] = members.map(operatorOf);
    const body = { kind: 'ShareRenew', body: { members, windowMs }, until } as const;
    const { id } = await this.put(first, 'Proposal', body);
    for (const other of others.slice(0, majorityOf(members.length) - 1))
      await this.put(other, 'Approval', { proposal: fromHex(id) });
    return this.engine.get(STATE.ceremony)?.id ?? new Uint8Array();
  }

  /** A ceremony of `members`, without its cryptography, up to the confirmations; its transcript. */
  async toConfirm(members: readonly string[] = MEMBER_IDS): Promise<Uint8Array> {
    const id = await this.renew(members);
    const all = (step: (member: string) => ShareMessage): Promise<unknown> =>
      this.block(
        members.map((one) => this.request(operatorOf(one), 'ShareStep', { ceremony: id, ...step(one) })),
      );
    const sealed = members.map((one) => bytesOf(`sealed to ${one}`));
    await all((one) => ({
      kind: 'join',
      body: { hpkeKey: bytesOf(one), dealing: bytesOf(`hash of ${one}`) },
    }));
    await all((one) => ({ kind: 'deal', body: { opening: bytesOf(`opening of ${one}`), sealed } }));
    await all(() => ({ kind: 'complain', body: { dealers: [] } }));
    return this.engine.get(STATE.ceremony)?.transcript ?? new Uint8Array();
  }

  /** A key for `attributes`; its entry's id in bytes. */
  async key(name: string, attributes: readonly string[]): Promise<Uint8Array> {
    const { bytes } = await this.put(name, 'KeyIssue', { attributes, stepUp: null });
    return sha256(Uint8Array.of(0), bytes);
  }
}

const nameOf = (batch: readonly Uint8Array[]): string => toHex(sha256(concat(...batch)));

/** What an ordering engine does for one block, with the roots that this engine itself computes. */
export async function applyTo(
  engine: LedgerEngine,
  height: number,
  time: number,
  batch: readonly Uint8Array[],
): Promise<Uint8Array | undefined> {
  const batchHash = nameOf(batch);
  const result = await engine.execute({ height, time, proposer: 0, batchHash }, batch);
  if (!result.ok) throw new Error(result.reason);
  const header = {
    time,
    proposer: 0,
    batchHash,
    stateRoot: toHex(result.stateRoot),
    logRoot: toHex(result.logRoot),
    treeSize: result.treeSize,
  };
  const headerBytes = encodeCbor(header);
  const { cosignature } = await engine.commit({
    height,
    header,
    headerHash: toHex(sha256(headerBytes)),
    headerBytes,
    batch,
    qc: utf8(`certificate ${height}`),
    parentQc: height === 1 ? new Uint8Array() : utf8(`parent certificate ${height - 1}`),
    encoded: encodeCbor({ headerBytes, batch }),
    resume: utf8(`resume ${height}`),
  });
  return cosignature;
}
