/** One ledger that holds every kind of entry, with outcomes of both sorts where a kind has verdicts. */
import { fromHex, utf8 } from '../../../src/codec/bytes.ts';
import {
  admissionMessage,
  fieldRecordId,
  type KvStore,
  subjectProofMessage,
} from '../../../src/ledger/index.ts';
import {
  bytesOf,
  CHAIN_ID,
  CID,
  ceremony,
  DAY_MS,
  MEMBER_IDS,
  memberOf,
  operatorOf,
  policy,
  recordItem,
  recordOf,
  signerOf,
  subjectHex,
  subjectOf,
  TestLedger,
  validatorOf,
} from '../support.ts';

const ALDER = operatorOf('alder');
const BIRCH = operatorOf('birch');
const DOCTOR = 'alder/role:doctor';
const CONSENT = `consent:${subjectHex('pat')}`;

/** Stands for the ordering engine's evidence: the key of birch, epoch 0, height 3. */
export const culpritOf = (evidence: Uint8Array) =>
  evidence.length === 3 ? { key: memberOf('birch').validatorKey, epoch: 0, height: 3 } : undefined;

export async function everyKind(store?: KvStore): Promise<TestLedger> {
  const ledger = await TestLedger.open({ culpritOf, ...(store === undefined ? {} : { store }) });
  await people(ledger);
  const keyId = await records(ledger);
  await consents(ledger);
  await searches(ledger);
  await emergencies(ledger);
  await governance(ledger);
  await ledger.put(ALDER, 'SubjectRevoke', { subject: subjectOf('ada'), reason: 'left' });
  await ledger.block([], ledger.time + 11 * 60_000);
  return keyId.length === 32 ? ledger : Promise.reject(new Error('no key'));
}

async function people(ledger: TestLedger): Promise<void> {
  const { id: _, name: __, validatorKey: ___, ...contact } = memberOf('alder');
  await ledger.put(ALDER, 'MemberPut', { ...contact, member: 'alder', url: 'https://new.alder.example' });
  await ledger.openShares();
  await ledger.enrol('import', 'alder', ['right:author', 'right:indexer']);
  await ledger.enrol('officer', 'alder', ['right:privacy']);
  await ledger.enrol('ada', 'alder', ['role:doctor', 'unit:a', 'age:40', 'clearance:3']);
  await ledger.enrol('bob', 'birch', ['role:doctor', 'right:emergency']);
  await ledger.enrol('pat', 'alder', [], 'patient');
  const key = signerOf('bob second').publicKey;
  const proof = signerOf('bob second').sign(subjectProofMessage(CHAIN_ID, subjectOf('bob'), 'birch', key));
  const second = { subject: subjectOf('bob'), key, hpkeKey: bytesOf('hpke bob second'), proof, retire: [] };
  await ledger.put(BIRCH, 'SubjectKeyPut', second);
  const unit = { subject: subjectOf('ada'), attribute: 'alder/unit:b', until: ledger.time + DAY_MS };
  await ledger.put(ALDER, 'AttributeSet', [unit, { ...unit, attribute: 'alder/unit:c', until: null }]);
  await ledger.put(ALDER, 'AttributeEnd', { subject: subjectOf('ada'), attribute: 'alder/unit:c' });
}

async function records(ledger: TestLedger): Promise<Uint8Array> {
  const keyId = await ledger.key('ada', [DOCTOR]);
  await ledger.put('ada', 'KeyExtend', { keyId, attributes: ['alder/unit:a', 'alder/clearance:3'] });
  const patient = subjectOf('pat');
  await ledger.put('import', 'RecordPut', {
    records: [
      recordItem('a', `${DOCTOR} or ${CONSENT}`, { patient }),
      recordItem('b', '2 of (alder/role:nurse, alder/unit:a, alder/clearance >= 2)', { indexed: false }),
      recordItem('c', 'alder/role != doctor and alder/age in [30, 50]', { patient }),
      recordItem('d', 'alder/unit:a', { gate: 'none' }),
    ],
  });
  await ledger.put('import', 'RecordPut', { records: [recordItem('c', DOCTOR, { version: 1, patient })] });
  await ledger.put('import', 'PolicyChange', {
    record: recordOf('a'),
    version: 1,
    headerHash: bytesOf('header a 1'),
    policy: policy(`alder/role:nurse or ${CONSENT}`),
    gate: 'record',
    cid: null,
    bytes: null,
    commitment: null,
  });
  await ledger.put('ada', 'Access', {
    keyId,
    generation: 1,
    records: ['a', 'b', 'c', 'd', 'e'].map((name) => ({
      record: recordOf(name),
      version: name === 'c' ? 1 : 0,
    })),
    purpose: 'treatment',
  });
  await ledger.put('import', 'Erase', { record: recordOf('d'), reason: 'order' });
  await ledger.put(ALDER, 'Destroyed', { record: recordOf('d'), kinds: ['header', 'payload'] });
  await ledger.put(BIRCH, 'Stored', { cids: [CID] });
  await ledger.put('import', 'IndexCommit', { seq: 1, manifestHash: bytesOf('manifest'), covered: 4 });
  return keyId;
}

async function consents(ledger: TestLedger): Promise<void> {
  const ask = async (): Promise<Uint8Array> => {
    const until = ledger.time + 30 * DAY_MS;
    const { id } = await ledger.put('bob', 'ConsentRequest', {
      patient: subjectOf('pat'),
      until,
      purpose: 'research',
    });
    return fromHex(id);
  };
  const first = await ask();
  const second = await ask();
  await ledger.put('pat', 'ConsentAnswer', { consent: first, answer: 'reject', until: null });
  await ledger.put('pat', 'ConsentAnswer', {
    consent: second,
    answer: 'accept',
    until: ledger.time + 10 * DAY_MS,
  });
  const keyId = await ledger.key('bob', [CONSENT]);
  const open = {
    keyId,
    generation: 0,
    records: [{ record: recordOf('a'), version: 1 }],
    purpose: 'research',
  } as const;
  await ledger.put('bob', 'Access', open);
  await ledger.put('pat', 'ConsentRevoke', { consent: second });
  await ledger.put('bob', 'Access', open);
}

async function searches(ledger: TestLedger): Promise<void> {
  await ledger.put(ALDER, 'FieldKeyPut', {
    field: 'Condition.code',
    epoch: 0,
    publicKey: bytesOf('voprf'),
    policy: policy(DOCTOR),
    headerHash: bytesOf('field header'),
    spec: utf8('spec'),
    budgetDay: 8,
    budgetEpoch: 2000,
  });
  const ask = {
    custodian: 'alder',
    field: 'Condition.code',
    epoch: 0,
    count: 8,
    purpose: 'research',
  } as const;
  for (const name of ['ada', 'ada', 'bob']) {
    await ledger.put(name, 'Search', { ...ask, blindedHash: bytesOf('blinded') });
  }
}

async function emergencies(ledger: TestLedger): Promise<void> {
  const keyId = await ledger.key('bob', ['birch/role:doctor']);
  const glass = { keyId, generation: 1, version: 1, reason: 'unconscious', stepUp: 'webauthn' } as const;
  const { id } = await ledger.put('bob', 'BreakGlass', { ...glass, record: recordOf('c') });
  const field = fieldRecordId('alder', 'Condition.code', 0);
  await ledger.put('bob', 'BreakGlass', { ...glass, record: field, version: 0 });
  await ledger.put('officer', 'BreakGlassReview', { entry: fromHex(id), outcome: 'justified' });
}

async function governance(ledger: TestLedger): Promise<void> {
  const decide = async (kind: 'RegistryPut' | 'Reconfig', body: object): Promise<void> => {
    const until = ledger.time + DAY_MS;
    const { id } = await ledger.put(ALDER, 'Proposal', { kind, body, until } as never);
    for (const member of MEMBER_IDS.slice(1, 3)) {
      await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(id) });
    }
  };
  const label = { label: 'ward', type: 'text', width: null, values: null, shared: false };
  await decide('RegistryPut', { labels: [label] });
  await ledger.openShares(ceremony(1));
  await ledger.put(ALDER, 'Evidence', { evidence: new Uint8Array(3) });
  const member = memberOf('elm');
  const operator = {
    subject: subjectOf(operatorOf('elm')),
    member: 'elm',
    key: signerOf(operatorOf('elm')).publicKey,
    hpkeKey: bytesOf('hpke elm'),
  };
  const checkpoint = ledger.checkpoint();
  const proof = validatorOf('elm').sign(admissionMessage(CHAIN_ID, member, operator, checkpoint));
  await decide('Reconfig', { add: { member, operator, checkpoint, proof }, remove: null });
  for (let i = 0; i < 3; i++) await ledger.block([]);
}
