/** The second reading of pbft-lite's bytes against the library, and a whole consortium's export verified offline. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { concat, equalBytes, fromHex, toHex, u32be, utf8 } from '../../../src/codec/bytes.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import { ed25519Signer, verifySignature } from '../../../src/codec/signature.ts';
import {
  encodeHeader,
  encodeQc,
  genesisChain,
  type Header,
  headerHash,
  type QuorumCertificate,
  validatorSet,
} from '../../../src/consensus/index.ts';
import { decodeLeaf, entryId } from '../../../src/ledger/entries/leaf.ts';
import { admissionMessage, type LedgerEngine, MachineReplay, STATE } from '../../../src/ledger/index.ts';
import {
  anchorOfGenesis,
  decodeLine,
  type ExportSource,
  encodeReceipt,
  epochLinkFromJson,
  epochLinks,
  epochLinkToJson,
  exportLines,
  extendAnchor,
  PBFT_LITE,
  pbftGenesisHash,
  RegisteredKeys,
  readExport,
  verifyLedger,
  verifyReceipt,
} from '../../../src/ledger/verify/index.ts';
import { type Consortium, startConsortium } from '../adversarial/consortium.ts';
import {
  bytesOf,
  CHAIN_ID,
  enrolment,
  genesisDocument,
  MEMBER_IDS,
  operatorOf,
  subjectOf,
  type TestLedger,
  validatorOf,
} from '../support.ts';

const set = {
  epoch: 0,
  validators: MEMBER_IDS.map((member) => ({ member, key: validatorOf(member).publicKey.key })),
};
const keys = set.validators.map(({ key }) => key);

/** A header with every field different. */
function header(more: Partial<Header> = {}): Header {
  const hash = (name: string) => toHex(bytesOf(name)) as Header['parentHash'];
  return {
    version: 1,
    chainId: hash('chain'),
    epoch: 0,
    height: 2 ** 33 + 7,
    view: 3,
    proposer: 2,
    time: 1_700_000_000_123,
    parentHash: hash('parent'),
    batchHash: hash('batch'),
    stateRoot: hash('state'),
    logRoot: hash('log'),
    treeSize: 2 ** 40 + 1,
    validatorsHash: hash('validators'),
    nextValidatorsHash: hash('next'),
    parentQcHash: hash('qc'),
    ...more,
  };
}

/** COMMITs by these members over a header, in view 5, made from the written layout. */
function certificate(
  of: Header,
  members: readonly string[],
  more: Partial<QuorumCertificate> = {},
): Uint8Array {
  const hash = headerHash(encodeHeader(of));
  const at = { epoch: of.epoch, height: of.height, view: 5, headerHash: hash, ...more };
  const votes = members.map((member) => {
    const sender = MEMBER_IDS.indexOf(member);
    const height = concat(u32be(Math.floor(at.height / 2 ** 32)), u32be(at.height % 2 ** 32));
    const message = concat(
      utf8('pbft-lite/1'),
      Uint8Array.of(3, 0, 1),
      fromHex(of.chainId),
      u32be(at.epoch),
      height,
      u32be(at.view),
      Uint8Array.of(0, sender),
      fromHex(at.headerHash),
    );
    return { sender, signature: validatorOf(member).sign(message) };
  });
  return encodeQc({ ...at, votes });
}

describe('the example of docs/format/consensus.md', () => {
  test('is read and verified alike', () => {
    const doc = readFileSync(new URL('../../../docs/format/consensus.md', import.meta.url), 'utf8');
    const example = JSON.parse(/```json\n([\s\S]*?)```/.exec(doc)?.[1] ?? '') as Record<string, string>;
    const validators = [1, 2, 3, 4].map((seed) => ({
      member: `v${seed}`,
      key: ed25519Signer(new Uint8Array(32).fill(seed)).publicKey.key,
    }));
    const [bytes, qc] = [fromHex(example.header), fromHex(example.qc)];
    const { height, time, treeSize, chainId, epoch } = PBFT_LITE.readHeader(bytes);
    expect({ height, time, treeSize, epoch }).toEqual({
      height: 7,
      time: 1750000012345,
      treeSize: 42,
      epoch: 0,
    });
    const own = { epoch: 0, validators };
    expect(toHex(PBFT_LITE.headerHash(bytes))).toBe(example.headerHash);
    expect(toHex(PBFT_LITE.validatorsHash(own))).toBe(example.validatorsHash);
    expect(toHex(pbftGenesisHash(chainId, 1750000000000, own))).toBe(example.genesisHash);
    expect(PBFT_LITE.verifyQc(bytes, qc, own)).toBeUndefined();
    expect(PBFT_LITE.verifyQc(bytes, qc, { ...own, epoch: 1 })).toBeDefined();
  });
});

describe('headers', () => {
  test('read as the library writes them, hashes too', () => {
    const bytes = encodeHeader(header());
    const read = PBFT_LITE.readHeader(bytes);
    const { height, time, treeSize, epoch } = header();
    expect(read).toMatchObject({ height, time, treeSize, epoch });
    const names = ['chainId', 'parentHash', 'batchHash', 'stateRoot', 'logRoot', 'validatorsHash'] as const;
    for (const name of names) expect(toHex(read[name]), name).toBe(header()[name]);
    expect(toHex(read.nextValidatorsHash)).toBe(header().nextValidatorsHash);
    expect(toHex(PBFT_LITE.headerHash(bytes))).toBe(headerHash(bytes));
    expect(toHex(PBFT_LITE.validatorsHash(set))).toBe(validatorSet(0, keys).hash);
    const chain = genesisChain({ chainId: sha256(), time: 5, validators: keys });
    expect(toHex(pbftGenesisHash(sha256(), 5, set))).toBe(chain.headHash);
  });

  test('of another length, version or height are refused', () => {
    const bytes = encodeHeader(header());
    expect(() => PBFT_LITE.readHeader(bytes.subarray(1))).toThrow('292');
    expect(() => PBFT_LITE.readHeader(Uint8Array.of(...bytes, 0))).toThrow('292');
    const other = new Uint8Array(bytes);
    other[1] = 2;
    expect(() => PBFT_LITE.readHeader(other)).toThrow('version');
    expect(() => PBFT_LITE.readHeader(encodeHeader(header({ height: 0 })))).toThrow('height');
  });
});

describe('certificates', () => {
  const one = header();
  const bytes = encodeHeader(one);
  const wrong = (qc: Uint8Array, of = bytes): string | undefined => PBFT_LITE.verifyQc(of, qc, set);
  const three = ['alder', 'birch', 'dogwood'];

  test('of a quorum hold, whoever is in it', () => {
    expect(wrong(certificate(one, three))).toBeUndefined();
    expect(wrong(certificate(one, MEMBER_IDS))).toBeUndefined();
  });

  test('fail with too few votes, another view, height, epoch, header or set, and with any bit flipped', () => {
    expect(wrong(certificate(one, three.slice(1)))).toBe('2 votes of 3');
    const qc = certificate(one, three);
    expect(wrong(qc, encodeHeader(header({ time: 1 })))).toBe('votes on another header');
    expect(wrong(certificate(one, three, { height: 5 }))).toBe('votes on height 5');
    expect(wrong(certificate(one, three, { epoch: 1 }))).toBe('votes of epoch 1');
    expect(PBFT_LITE.verifyQc(bytes, qc, { ...set, epoch: 1 })).toBe('votes of epoch 0');
    const reordered = { epoch: 0, validators: [...set.validators].reverse() };
    expect(PBFT_LITE.verifyQc(bytes, qc, reordered)).toContain('a bad signature');
    expect(wrong(new Uint8Array())).toBe('the bytes end early');
    for (let at = 0; at < qc.length; at++) {
      const bent = new Uint8Array(qc);
      bent[at] ^= 1 << (at % 8);
      expect(wrong(bent), `byte ${at}`).toBeDefined();
    }
  });

  test('with one voter twice do not reach a quorum', () => {
    const qc = certificate(one, three);
    const vote = qc.subarray(50, 50 + 66);
    const twice = concat(qc.subarray(0, 50), vote, vote, qc.subarray(50 + 66, 50 + 132));
    expect(twice.length).toBe(qc.length);
    expect(wrong(twice)).toBe('votes out of order or of nobody');
  });
});

describe('a consortium of four over pbft-lite', () => {
  let consortium: Consortium;
  let members: Consortium['members'];
  let lines: string[] = [];
  let genesisLeaf: Uint8Array;

  beforeAll(async () => {
    consortium = await startConsortium();
    members = consortium.members;
    const { writer } = consortium;
    const [{ engine, node }] = members;
    const submit = (request: Uint8Array) => node.submit(request);
    await submit(writer.request(operatorOf('alder'), 'SubjectPut', enrolment('ada', 'alder')));
    const grants = ['doctor', 'nurse', 'lab'].map((role) => ({
      subject: subjectOf('ada'),
      attribute: `alder/role:${role}`,
      until: null,
    }));
    await submit(writer.request(operatorOf('alder'), 'AttributeSet', grants));
    await Promise.all(
      MEMBER_IDS.map((id) => submit(writer.request(operatorOf(id), 'SubjectPut', enrolment(`s ${id}`, id)))),
    );
    const end = { subject: subjectOf('ada'), attribute: 'alder/role:lab' };
    await submit(writer.request(operatorOf('alder'), 'AttributeEnd', end));
    await admitElm(writer, submit);
    for (const role of ['nurse', 'doctor']) {
      const body = { subject: subjectOf('ada'), attribute: `alder/role:${role}` };
      await submit(writer.request(operatorOf('alder'), 'AttributeEnd', body));
    }
    const last = engine.entryAt(engine.head.size - 1);
    await engine.awaitReceipt(last?.id ?? '');
    genesisLeaf = engine.entryAt(0)?.bytes ?? new Uint8Array();
    const checkpoint = engine.checkpoint();
    const source: ExportSource = {
      chainId: engine.chainId,
      height: engine.head.height,
      genesisLeaf,
      block: (height) => engine.block(height),
      validators: (epoch) => validators(engine, epoch),
      checkpoint: (height) => (height === checkpoint?.checkpoint.height ? checkpoint.text : undefined),
    };
    lines = [...exportLines(source, PBFT_LITE)];
  });

  /** A fifth member is admitted by a quorum; it need not run for the others to go on. */
  async function admitElm(
    writer: TestLedger,
    submit: (request: Uint8Array) => Promise<{ readonly height: number }>,
  ) {
    const document = genesisDocument([...MEMBER_IDS, 'elm']);
    const [member, operator] = [document.members[4], document.operators[4]];
    await vi.waitFor(() => expect(members[0].engine.checkpoint()).toBeDefined());
    const checkpoint = members[0].engine.checkpoint()?.text ?? '';
    const proof = validatorOf('elm').sign(admissionMessage(CHAIN_ID, member, operator, checkpoint));
    const until = Date.now() + 600_000;
    const proposal = {
      kind: 'Reconfig',
      body: { add: { member, operator, checkpoint, proof }, remove: null },
      until,
    } as const;
    await submit(writer.request(operatorOf('alder'), 'Proposal', proposal));
    const [{ engine }] = members;
    const { entries } = engine.entries({ kind: 'Proposal' }, { limit: 1 });
    for (const id of ['birch', 'cedar']) {
      await submit(writer.request(operatorOf(id), 'Approval', { proposal: fromHex(entries[0].id) }));
    }
    // Two heights later the new set decides; the operator that came with it signs one of its first entries.
    await submit(writer.request(operatorOf('dogwood'), 'SubjectPut', enrolment('between', 'dogwood')));
    await submit(writer.request(operatorOf('elm'), 'SubjectPut', enrolment('of elm', 'elm')));
  }

  function validators(engine: LedgerEngine, epoch: number) {
    const set = engine.get(STATE.validators(epoch));
    return set === undefined ? undefined : { epoch, validators: set.validators, from: set.from };
  }

  afterAll(async () => {
    await consortium.stop();
  });

  const verify = (of: readonly string[]) =>
    verifyLedger(readExport(of), anchorOfGenesis(genesisLeaf), {
      consensus: PBFT_LITE,
      signatures: new RegisteredKeys(),
      replay: new MachineReplay({ verifies: verifySignature, culpritOf: () => undefined }),
    });

  test('exports a ledger that verifies offline, with every signature, certificate, result and root', async () => {
    const report = await verify(lines);
    expect(report.failures).toEqual([]);
    expect(report).toMatchObject({ ok: true, entries: 17, blocks: lines.length - 1 });
    const changes = lines.filter((line) => line.includes('nextValidators'));
    expect(changes).toHaveLength(1);
  });

  test('gives receipts that verify from the genesis and the links of its epochs', () => {
    const [{ engine }] = members;
    const anchor = anchorOfGenesis(genesisLeaf);
    expect(equalBytes(anchor.genesisEntry, entryId(genesisLeaf))).toBe(true);
    expect(anchor.chainId).toBe(CHAIN_ID);
    const source = {
      block: (height: number) => engine.block(height),
      validators: (epoch: number) => validators(engine, epoch),
    };
    const links = [...epochLinks(source, 0)].map((link) => JSON.parse(JSON.stringify(epochLinkToJson(link))));
    expect(links).toHaveLength(1);
    const extended = extendAnchor(anchor, links.map(epochLinkFromJson), PBFT_LITE);
    expect(extended.periods.map(({ validators: list }) => list.length)).toEqual([4, 5]);
    for (let index = 0; index < engine.head.size; index++) {
      const receipt = engine.receipt(engine.entryAt(index)?.id ?? '');
      if (receipt === undefined) throw new Error('expected a receipt');
      const bytes = encodeReceipt(receipt);
      expect(verifyReceipt(bytes, extended)).toMatchObject({ ok: true });
      // Four of five: a verifier that stayed at the first epoch does not take them.
      expect(verifyReceipt(bytes, anchor)).toMatchObject({ ok: false, code: 'checkpoint.epoch' });
    }
    const [link] = links;
    const forged = {
      ...link,
      next: { ...link.next, epoch: 1, validators: link.next.validators.slice(0, 4) },
    };
    expect(() => extendAnchor(anchor, [epochLinkFromJson(forged)], PBFT_LITE)).toThrow('next height');
    expect(() => epochLinkFromJson({ ...link, more: 1 })).toThrow('fields');
  });

  test('is red in exactly the block whose header was changed, whichever byte', async () => {
    const object = JSON.parse(lines[3]);
    const header = Buffer.from(object.header, 'base64url');
    for (const at of [0, 5, 40, 45, 50, 52, 59, 70, 100, 130, 160, 190, 200, 230, 291]) {
      const bent = Buffer.from(header);
      bent[at] ^= 1;
      const line = JSON.stringify({ ...object, header: bent.toString('base64url') });
      const report = await verify(lines.map((one, i) => (i === 3 ? line : one)));
      expect(new Set(report.failures.map(({ height }) => height)), `byte ${at}`).toEqual(new Set([3]));
      // Log, keys and state are followed through that block by its leaves and requests.
      const { logUnverifiedFrom, replayStoppedAt, signaturesUnverifiedFrom } = report;
      expect([logUnverifiedFrom, replayStoppedAt, signaturesUnverifiedFrom]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    }
  });

  test('is red in exactly the entry whose result was rewritten', async () => {
    const at = lines.findIndex((line) => line.includes('"header"') && JSON.parse(line).leaves.length === 3);
    const record = decodeLine(lines[at]);
    if (record.kind !== 'block') throw new Error('expected a block');
    const leaf = decodeLeaf(record.leaves[1]);
    const object = JSON.parse(lines[at]);
    const bytes = Buffer.from(object.leaves[1], 'base64url');
    bytes[bytes.length - 1] ^= 1;
    object.leaves[1] = bytes.toString('base64url');
    const report = await verify(lines.map((line, i) => (i === at ? JSON.stringify(object) : line)));
    expect(report.failures.map(({ height, index }) => [height, index])).toEqual(
      report.failures.map(() => [leaf.height, leaf.index]),
    );
    expect(report.failures.map(({ what }) => what)).toEqual(['leaf', 'result']);
  });
});
