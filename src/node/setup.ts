/**
 * What a new consortium does once: the authorities make their key. It looks at the ledger first, so that it goes on where
 * a crash ended it. Secrets are durable before they are used.
 */
import { encodeAuthorityShare } from '../abe/index.ts';
import { runCeremony } from '../authority/ceremony.ts';
import { CodedError } from '../codec/errors.ts';
import { STATE } from '../ledger/index.ts';
import type { MemberNode } from './member.ts';

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

async function pause(ms: number, giveUp: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (giveUp.aborted) {
    throw new CodedError('dkg.timeout', 'the key ceremony was given up: not all members took part in time');
  }
}
