/**
 * A custodian's search fields on the ledger, and the secrets behind them in its keystore: OPRF seed and field key of each
 * (field, epoch), durable before the ledger hears of the epoch. The field key is sealed like a record, under the field's
 * search policy.
 */
import { decodePolicy, printPolicy } from '../abe/index.ts';
import { concat } from '../codec/bytes.ts';
import type { MemberId } from '../codec/ids.ts';
import { defaultSearchPolicy, fieldSpecs } from '../fhir/index.ts';
import { fieldRecordId, STATE } from '../ledger/index.ts';
import { deriveFieldKeyPair, encodeFieldSpec, type FieldKeys } from '../search/index.ts';
import type { HeaderStore, Keystore } from '../storage/index.ts';
import type { NodeLedger } from './ledger.ts';
import type { WorkPool } from './work/pool.ts';
import type { Parameters } from './work/tasks.ts';

const SECRET_FORM = /^oprf\/([A-Za-z][A-Za-z0-9._:-]*)\/(\d+)$/;
const SEED_BYTES = 32;
/** Bodies of one signed list. */
const LIST_MAX = 32;

/** What opening epochs of a member's fields needs of its node. */
export interface FieldOwner {
  readonly id: MemberId;
  readonly ledger: NodeLedger;
  readonly keystore: Keystore;
  readonly headers: HeaderStore;
  readonly pool: WorkPool;
  readonly parameters: () => Parameters;
  readonly random: (length: number) => Uint8Array;
  /** Commits FieldKeyPut bodies as the member's operator. */
  readonly commit: (bodies: readonly unknown[]) => Promise<unknown>;
}

/** An epoch to be opened, with the field's declaration. */
export interface NewEpoch {
  readonly field: string;
  readonly epoch: number;
  /** Search policy as text. */
  readonly policy: string;
  readonly spec: Uint8Array;
  readonly budgetDay: number;
  readonly budgetEpoch: number;
}

const secretName = ({ field, epoch }: Pick<FieldKeys, 'field' | 'epoch'>): string => `oprf/${field}/${epoch}`;

/** The secrets of an epoch; undefined when the keystore lacks them. */
export async function heldFieldKey(
  keystore: Keystore,
  field: string,
  epoch: number,
): Promise<FieldKeys | undefined> {
  const secret = await keystore.get(secretName({ field, epoch }));
  if (secret === undefined) return undefined;
  return { field, epoch, seed: secret.slice(0, SEED_BYTES), fieldKey: secret.slice(SEED_BYTES) };
}

/** Secrets of every epoch that the ledger knows as applied here; those of an epoch that it does not know yet wait. */
export async function heldFieldKeys({
  id,
  ledger,
  keystore,
}: Pick<FieldOwner, 'id' | 'ledger' | 'keystore'>): Promise<FieldKeys[]> {
  const held: FieldKeys[] = [];
  for (const name of await keystore.names()) {
    const match = SECRET_FORM.exec(name);
    if (match === null) continue;
    const [field, epoch] = [match[1], Number(match[2])];
    const known = ledger.state(STATE.field(id, field));
    const keys = known !== undefined && epoch <= known.epoch && (await heldFieldKey(keystore, field, epoch));
    if (keys) held.push(keys);
  }
  return held;
}

/** Erases the secrets of epochs that are over. */
export function eraseFieldKeys(
  keystore: Keystore,
  keys: readonly Pick<FieldKeys, 'field' | 'epoch'>[],
): Promise<void> {
  return keystore.delete(...keys.map(secretName));
}

/** Registers the default search fields that this custodian has not registered. Answers how many. */
export async function ensureFields(owner: FieldOwner): Promise<number> {
  const wanted = fieldSpecs().filter(
    (spec) => owner.ledger.state(STATE.field(owner.id, spec.name)) === undefined,
  );
  await openEpochs(
    owner,
    wanted.map((spec) => ({
      field: spec.name,
      epoch: 0,
      policy: defaultSearchPolicy(owner.id, spec),
      spec: encodeFieldSpec(spec),
      budgetDay: spec.budget.perDay,
      budgetEpoch: spec.budget.perEpoch,
    })),
  );
  return wanted.length;
}

/** The next epoch of a registered field, as it is declared now; undefined for a field that this member has not. */
export function nextEpoch(
  { id, ledger }: Pick<FieldOwner, 'id' | 'ledger'>,
  field: string,
): NewEpoch | undefined {
  const state = ledger.state(STATE.field(id, field));
  if (state === undefined) return undefined;
  const { spec, budgetDay, budgetEpoch } = state;
  const policy = printPolicy(decodePolicy(state.policy));
  return { field, epoch: state.epoch + 1, policy, spec, budgetDay, budgetEpoch };
}

/** Makes the secrets of `wanted`, or goes on with those that an earlier attempt made, and commits their FieldKeyPuts. */
export async function openEpochs(owner: FieldOwner, wanted: readonly NewEpoch[]): Promise<void> {
  if (wanted.length === 0) return;
  const { keystore, headers } = owner;
  const made = await Promise.all(wanted.map((one) => prepare(owner, one)));
  await keystore.putMany(made.map((one) => one.secret));
  await headers.putMany(made.map((one) => one.header));
  for (let i = 0; i < made.length; i += LIST_MAX) {
    await owner.commit(made.slice(i, i + LIST_MAX).map((one) => one.body));
  }
}

async function prepare(owner: FieldOwner, { field, epoch, policy, ...declared }: NewEpoch) {
  const { id, keystore, pool, parameters, random } = owner;
  const keys = (await heldFieldKey(keystore, field, epoch)) ?? {
    field,
    epoch,
    seed: random(SEED_BYTES),
    fieldKey: random(32),
  };
  const sealed = await pool.run({
    task: 'rewrap',
    parameters: parameters(),
    item: {
      recordId: fieldRecordId(id, field, epoch),
      version: 0,
      policy,
      gate: 'record',
      dataKey: keys.fieldKey,
    },
  });
  return {
    secret: { name: secretName(keys), secret: concat(keys.seed, keys.fieldKey) },
    header: { hash: sealed.headerHash, bytes: sealed.header },
    body: {
      field,
      epoch,
      publicKey: deriveFieldKeyPair(keys.seed, id, field, epoch).publicKey,
      policy: sealed.policy,
      headerHash: sealed.headerHash,
      ...declared,
    },
  };
}
