/**
 * Blocks that were decided before a crash and had not reached the application's disk: the WAL holds the proposal that
 * this node accepted and the certificate that it saw, in that order and before any record of the next height. They are
 * applied again before the node takes part.
 */
import type { Chain } from '../chain.ts';
import { fitsChain } from '../core/rules.ts';
import type { WalRecord } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import type { Hash } from '../wire/bytes.ts';
import type { Proposal } from '../wire/messages.ts';
import type { Executor } from './executor.ts';

/** The state after everything that could be applied again. */
export interface Redone {
  readonly chain: Chain;
  /** Settles when the application has it on disk; absent when nothing was applied or it has already. */
  readonly durable: Promise<void> | undefined;
}

/**
 * Goes on from `chain`, the application's tip. Certificates are verified and roots compared as for a fetched block. What
 * the WAL does not hold whole ends the walk: peers have it. Throws `consensus.halted` when own execution gives other
 * roots than a certificate.
 */
export async function redo(
  records: readonly WalRecord[],
  chain: Chain,
  executor: Pick<Executor, 'validate' | 'apply'>,
): Promise<Redone> {
  const proposals = new Map<Hash, Proposal>();
  let state: Redone = { chain, durable: undefined };
  for (const record of records) {
    if (record.height !== state.chain.height + 1) continue;
    if (record.kind === 'proposal') proposals.set(record.message.digest, record.message.proposal);
    if (record.kind !== 'decided') continue;
    const proposal = proposals.get(record.qc.headerHash);
    if (proposal === undefined || !fitsChain(state.chain, proposal.header)) continue;
    const { qc } = record;
    const verdict = await executor.validate({ t: 'validate', proposal, mode: 'decided', qc }, state.chain);
    if (verdict === 'mismatch') {
      throw new ConsensusError(
        'consensus.halted',
        `own execution of height ${record.height} gives other roots than its quorum certificate`,
      );
    }
    if (verdict === 'invalid') break;
    const applied = await executor.apply({ proposal, qc }, state.chain, false);
    state = { chain: applied.chain, durable: applied.durable };
    proposals.clear();
  }
  return state;
}
