/**
 * Writes what others verify: the export file (see `export.ts`) from a member's applied blocks, line by line, in bounded
 * memory, and the links by which a verifier follows the changes of validators.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { ValidatorSet } from '../checkpoint/validators.ts';
import type { EpochLink } from './anchor.ts';
import type { ConsensusVerifier } from './consensus.ts';
import { encodeBlockLine, encodeGenesisLine } from './export.ts';
import { leafHash } from './rfc6962.ts';

/** Where blocks come from; a ledger engine has these. */
export interface ExportSource {
  readonly chainId: string;
  /** Last height to export. */
  readonly height: number;
  /** The leaf of height 0. */
  readonly genesisLeaf: Uint8Array;
  block(height: number):
    | {
        readonly header: Uint8Array;
        readonly qc: Uint8Array;
        readonly batch: readonly Uint8Array[];
        readonly leaves: readonly Uint8Array[];
      }
    | undefined;
  /** The set of an epoch, when the state has it. */
  validators(epoch: number): ValidatorSet | undefined;
  /** A cosigned checkpoint of this height, if one is at hand. */
  checkpoint(height: number): string | undefined;
}

/**
 * Lines without newlines. Ends early at a block that the source no longer has: the file is then a shorter ledger. A block
 * that the source cannot read any more becomes a line that no verifier takes for a block, so that it is named and the rest is
 * still verified.
 */
export function* exportLines(source: ExportSource, consensus: ConsensusVerifier): Generator<string> {
  yield encodeGenesisLine(source.chainId, source.genesisLeaf);
  for (let height = 1; height <= source.height; height++) {
    let line: string | undefined;
    try {
      line = blockLine(source, height, consensus);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      line = JSON.stringify({ height, damaged: error.code });
    }
    if (line === undefined) return;
    yield line;
  }
}

function blockLine(source: ExportSource, height: number, consensus: ConsensusVerifier): string | undefined {
  const block = source.block(height);
  if (block === undefined) return undefined;
  const header = consensus.readHeader(block.header);
  const changes = !equalBytes(header.validatorsHash, header.nextValidatorsHash);
  const nextValidators = changes ? source.validators(header.epoch + 1) : undefined;
  const checkpoint = source.checkpoint(height);
  const { qc, batch, leaves } = block;
  return encodeBlockLine({
    header: block.header,
    qc,
    batch,
    leaves,
    leafHashes: leaves.map(leafHash),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(nextValidators === undefined ? {} : { nextValidators }),
  });
}

/**
 * The links that lead from epoch `after` to the newest that `source` knows, for `extendAnchor`. `from` is the height at which an
 * epoch begins, as the state has it (`validators/<epoch>`); the header below it names the set.
 */
export function* epochLinks(
  source: Pick<ExportSource, 'block'> & {
    validators(epoch: number): (ValidatorSet & { readonly from: number }) | undefined;
  },
  after: number,
): Generator<EpochLink> {
  for (let epoch = after + 1; ; epoch++) {
    const next = source.validators(epoch);
    const block = next === undefined ? undefined : source.block(next.from - 1);
    if (next === undefined || block === undefined) return;
    yield { header: block.header, qc: block.qc, next: { epoch, validators: next.validators } };
  }
}
