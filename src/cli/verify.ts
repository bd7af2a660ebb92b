/** Offline verification of a ledger export: every block, entry, signature, certificate, proof and state root. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fromBase64url, toBase64url } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { verifySignature } from '../codec/signature.ts';
import { checkEvidence } from '../consensus/index.ts';
import { MachineReplay } from '../ledger/index.ts';
import {
  anchorOfGenesis,
  decodeLine,
  type LedgerAnchor,
  type LedgerReport,
  PBFT_LITE,
  RegisteredKeys,
  readExport,
  verifyLedger,
} from '../ledger/verify/index.ts';

/** Recomputes the export at `path`. The anchor of its own genesis is used when none is given. */
export async function verifyExport(path: string, anchor?: LedgerAnchor): Promise<LedgerReport> {
  const trusted = anchor ?? (await anchorOfFile(path));
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  return verifyLedger(readExport(lines), trusted, {
    consensus: PBFT_LITE,
    signatures: new RegisteredKeys(),
    replay: new MachineReplay({
      verifies: verifySignature,
      culpritOf: (evidence) => {
        try {
          return checkEvidence(evidence, trusted.genesisEntry);
        } catch {
          return undefined;
        }
      },
    }),
  });
}

/** The anchor that the first line of an export names: as good as the file's source. */
export async function anchorOfFile(path: string): Promise<LedgerAnchor> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    const record = decodeLine(line);
    if (record.kind !== 'genesis') break;
    return anchorOfGenesis(record.leaf);
  }
  throw new CodedError('export.malformed', 'expected an export whose first line is the genesis');
}

/**
 * `text` of an export with one byte of one stored entry flipped: of the middle one, in the middle of its leaf. Answers
 * which entry it is.
 */
export function flipOneByte(text: string): { readonly text: string; readonly index: number } {
  const lines = text.split('\n').filter((line) => line !== '');
  const blocks = lines.slice(1).map((line) => JSON.parse(line) as { leaves: string[] });
  const total = blocks.reduce((sum, block) => sum + block.leaves.length, 0);
  let index = 1;
  for (const [i, block] of blocks.entries()) {
    if (index + block.leaves.length <= total / 2 || block.leaves.length === 0) {
      index += block.leaves.length;
      continue;
    }
    const leaf = fromBase64url(block.leaves[0]);
    leaf[Math.floor(leaf.length / 2)] ^= 1;
    block.leaves[0] = toBase64url(leaf);
    lines[i + 1] = JSON.stringify(block);
    return { text: `${lines.join('\n')}\n`, index };
  }
  throw new CodedError('export.malformed', 'the export holds no entry besides the genesis');
}
