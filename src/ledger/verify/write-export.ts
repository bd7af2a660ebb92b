/** Writes the export file (see `export.ts`) from a member's applied blocks, line by line, in bounded memory. */
import { equalBytes } from '../../codec/bytes.ts';
import type { ValidatorSet } from '../checkpoint/validators.ts';
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

/** Lines without newlines. Ends early at a block that the source no longer has: the file is then a shorter ledger. */
export function* exportLines(source: ExportSource, consensus: ConsensusVerifier): Generator<string> {
  yield encodeGenesisLine(source.chainId, source.genesisLeaf);
  for (let height = 1; height <= source.height; height++) {
    const block = source.block(height);
    if (block === undefined) return;
    const header = consensus.readHeader(block.header);
    const changes = !equalBytes(header.validatorsHash, header.nextValidatorsHash);
    const nextValidators = changes ? source.validators(header.epoch + 1) : undefined;
    const checkpoint = source.checkpoint(height);
    const { qc, batch, leaves } = block;
    yield encodeBlockLine({
      header: block.header,
      qc,
      batch,
      leaves,
      leafHashes: leaves.map(leafHash),
      ...(checkpoint === undefined ? {} : { checkpoint }),
      ...(nextValidators === undefined ? {} : { nextValidators }),
    });
  }
}
