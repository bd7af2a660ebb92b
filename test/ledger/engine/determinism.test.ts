/** Equal blocks give equal roots: on a warm node, on one that restarts before every block, and in a replay. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import { CommittedState } from '../../../src/ledger/engine/committed-state.ts';
import { encodeChanges } from '../../../src/ledger/engine/execution.ts';
import {
  decodeRequest,
  type EntryBodies,
  type EntryType,
  LedgerEngine,
  MachineReplay,
  MemoryStore,
  updateState,
} from '../../../src/ledger/index.ts';
import { applyBlock } from '../../../src/ledger/machine/index.ts';
import {
  applyTo,
  CID,
  ceremony,
  DAY_MS,
  enrolment,
  genesisDocument,
  MEMBER_IDS,
  operatorOf,
  recordItem,
  recordOf,
  signGenesis,
  subjectOf,
  TestLedger,
} from '../support.ts';

const PEOPLE = ['ada', 'bob', 'cem'] as const;
const POLICIES = [
  'alder/role:doctor',
  'alder/unit:a or birch/unit:a',
  'alder/role != nurse',
  'alder/age >= 40',
];
const ATTRIBUTES = ['role:doctor', 'role:nurse', 'unit:a', 'age:39', 'age:41', 'right:author', 'clearance:2'];

/** One request that may or may not be refused when its turn comes. */
interface Action {
  readonly by: string;
  readonly type: EntryType;
  readonly body: unknown;
}

const act = <K extends EntryType>(by: string, type: K, body: EntryBodies[K]): Action => ({ by, type, body });
const person = fc.constantFrom(...PEOPLE);
const member = fc.constantFrom('alder', 'birch');
const attribute = fc.constantFrom(...ATTRIBUTES);
const number = fc.nat(2);
const record = fc.constantFrom('r', 's');

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.tuple(person, member, attribute, fc.boolean()).map(([name, issuer, text, ends]) => {
    const body = { subject: subjectOf(name), attribute: `${issuer}/${text}` };
    return ends
      ? act(operatorOf(issuer), 'AttributeEnd', body)
      : act(operatorOf(issuer), 'AttributeSet', { ...body, until: null });
  }),
  fc
    .tuple(person, record, number, fc.constantFrom(...POLICIES))
    .map(([name, which, version, text]) =>
      act(name, 'RecordPut', { records: [recordItem(which, text, { version, patient: subjectOf('ada') })] }),
    ),
  fc
    .tuple(person, record)
    .map(([name, which]) => act(name, 'Erase', { record: recordOf(which), reason: 'order' })),
  fc
    .tuple(person, member, attribute)
    .map(([name, issuer, text]) =>
      act(name, 'KeyIssue', { attributes: [`${issuer}/${text}`], stepUp: null }),
    ),
  member.map((id) => act(operatorOf(id), 'Stored', { cids: [CID] })),
);

const blocks = fc.array(fc.array(action, { maxLength: 6 }), { minLength: 1, maxLength: 8 });

describe('determinism', () => {
  it('warm, cold and replayed nodes agree on every root', async () => {
    await fc.assert(
      fc.asyncProperty(blocks, async (plan) => {
        const ledger = await TestLedger.open();
        const cold = new MemoryStore();
        const genesis = signGenesis(genesisDocument());
        const replay = new MachineReplay({ verifies: verifySignature, culpritOf: () => undefined });
        await replay.genesis(ledger.engine.entryAt(0)?.bytes ?? new Uint8Array());
        const setUp = [
          ...MEMBER_IDS.map((id) => ledger.request(operatorOf(id), 'ShareEpoch', ceremony())),
          ...PEOPLE.map((name) =>
            ledger.request(operatorOf('alder'), 'SubjectPut', enrolment(name, 'alder')),
          ),
        ];
        const step = async (batch: readonly Uint8Array[]): Promise<void> => {
          const height = ledger.engine.head.height + 1;
          const { time } = ledger;
          await ledger.block(batch);
          const engine = await LedgerEngine.open({ store: cold, genesis, onListenerError: () => undefined });
          await applyTo(engine, height, time, batch);
          const { leaves, stateRoot } = await replay.block({ height, time }, batch);
          const { head } = ledger.engine;
          expect(engine.head).toEqual(head);
          expect(toHex(stateRoot)).toBe(toHex(head.stateRoot));
          expect(leaves).toEqual(ledger.engine.block(height)?.leaves);
        };
        await step(setUp);
        for (const actions of plan) {
          const batch: Uint8Array[] = [];
          for (const { by, type, body } of actions) {
            const request = ledger.request(by, type, body as never);
            const context = { height: ledger.engine.head.height + 1, time: ledger.time, proposer: 0 };
            const batchHash = toHex(request.subarray(-32));
            // A proposer drops what is refused, given what stands before it in the batch.
            const result = await ledger.engine.execute({ ...context, batchHash }, [...batch, request]);
            if (result.ok) batch.push(request);
          }
          await step(batch);
        }
        ledger.time += DAY_MS;
        await step([]);
      }),
      { numRuns: 15 },
    );
  });

  it('the root depends on the set of changes, not on their order', async () => {
    const store = new MemoryStore();
    const host = { verifies: verifySignature, culpritOf: () => undefined };
    const ledger = await TestLedger.open({ store });
    const requests = PEOPLE.map((name) =>
      ledger.request(operatorOf('alder'), 'SubjectPut', enrolment(name, 'alder')),
    );
    const block = { height: 1, time: ledger.time, firstIndex: 1 };
    const { changes } = applyBlock(new CommittedState(store), block, requests.map(decodeRequest), host);
    const root = toHex(updateState(store, encodeChanges(changes)).root);
    expect(toHex(updateState(store, encodeChanges(changes.toReversed())).root)).toBe(root);
  });
});
