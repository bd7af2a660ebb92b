/**
 * What a new consortium does once: the authorities make their key, and each custodian its search fields. Every step looks
 * at the ledger first, so that it goes on where a crash ended it. Secrets are durable before they are used.
 */
import { encodeAuthorityShare } from '../abe/index.ts';
import { runCeremony } from '../authority/ceremony.ts';
import { concat } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { defaultSearchPolicy, fieldSpecs } from '../fhir/index.ts';
import { fieldRecordId, STATE } from '../ledger/index.ts';
import { deriveFieldKeyPair, encodeFieldSpec, type FieldKeys } from '../search/index.ts';
import type { Keystore } from '../storage/index.ts';
import type { MemberNode } from './member.ts';

const FIELD_SECRET = /^oprf\/([a-z0-9._-]+)\/(\d+)$/;
/** Bodies of one signed list. */
const LIST_MAX = 32;

/** OPRF seeds and field keys that a custodian's keystore holds. */
export async function heldFieldKeys(keystore: Keystore): Promise<FieldKeys[]> {
  const held: FieldKeys[] = [];
  for (const name of await keystore.names()) {
    const match = FIELD_SECRET.exec(name);
    const secret = match === null ? undefined : await keystore.get(name);
    if (match === null || secret === undefined) continue;
    held.push({
      field: match[1],
      epoch: Number(match[2]),
      seed: secret.slice(0, 32),
      fieldKey: secret.slice(32),
    });
  }
  return held;
}

/** Takes part in the first key ceremony, unless the ledger has a share epoch. Resolves when it is in force here. */
export async function ensureShare(node: MemberNode, giveUp: AbortSignal): Promise<void> {
  if (node.ledger.shareEpoch() !== null) return;
  const { group, keystore, link, random } = node.options;
  const members = node.ledger.members().map((id) => {
    const hpkeKey = node.ledger.state(STATE.member(id))?.hpkeKey;
    if (hpkeKey === undefined) throw new CodedError('member.unknown', `the ledger has no member ${id}`);
    return { id, hpkeKey };
  });
  const threshold = node.ledger.state(STATE.chain)?.threshold ?? members.length;
  const result = await runCeremony({
    link,
    chainId: node.ledger.chainId,
    members,
    threshold,
    hpke: node.hpke,
    group,
    random,
    pause: (ms) => pause(ms, giveUp),
  });
  const { keys, share, transcript } = result;
  await keystore.put(`share/${share.shareEpoch}`, encodeAuthorityShare(share));
  await node.commitAs(node.operator, 'ShareEpoch', {
    shareEpoch: share.shareEpoch,
    threshold: keys.t,
    members: members.map((member) => member.id),
    mpk: group.encodeGT(keys.mpk.E),
    commitments: keys.E.map((one) => group.encodeGT(one)),
    transcript,
  });
  while (node.ledger.shareEpoch() === null) await pause(20, giveUp);
}

/** Registers the default search fields that this custodian has not registered. Answers how many. */
export async function ensureFields(node: MemberNode): Promise<number> {
  const { keystore, random, pool } = node.options;
  const wanted = fieldSpecs().filter(
    (spec) => node.ledger.state(STATE.field(node.id, spec.name)) === undefined,
  );
  const policy = defaultSearchPolicy(node.id);
  const bodies = await Promise.all(
    wanted.map(async (spec) => {
      const secret = (await keystore.get(`oprf/${spec.name}/0`)) ?? random(64);
      const [seed, fieldKey] = [secret.slice(0, 32), secret.slice(32)];
      const id = fieldRecordId(node.id, spec.name, 0);
      const made = await pool.run({
        task: 'rewrap',
        parameters: node.parameters(),
        item: { recordId: id, version: 0, policy, gate: 'record', dataKey: fieldKey },
      });
      return {
        secret: { name: `oprf/${spec.name}/0`, secret: concat(seed, fieldKey) },
        header: { hash: made.headerHash, bytes: made.header },
        body: {
          field: spec.name,
          epoch: 0,
          publicKey: deriveFieldKeyPair(seed, node.id, spec.name, 0).publicKey,
          policy: made.policy,
          headerHash: made.headerHash,
          spec: encodeFieldSpec(spec),
          budgetDay: spec.budget.perDay,
          budgetEpoch: spec.budget.perEpoch,
        },
      };
    }),
  );
  if (bodies.length === 0) return 0;
  await keystore.putMany(bodies.map((one) => one.secret));
  await node.headers.putMany(bodies.map((one) => one.header));
  for (let i = 0; i < bodies.length; i += LIST_MAX) {
    await node.commitAs(
      node.operator,
      'FieldKeyPut',
      bodies.slice(i, i + LIST_MAX).map((one) => one.body),
    );
  }
  return bodies.length;
}

async function pause(ms: number, giveUp: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (giveUp.aborted) {
    throw new CodedError('dkg.timeout', 'the key ceremony was given up: not all members took part in time');
  }
}
