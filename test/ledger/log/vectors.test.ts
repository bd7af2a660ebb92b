/** RFC 6962 proofs against the vectors of transparency-dev/merkle (testdata, Apache-2.0). */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  verifyConsistency,
  verifyInclusion,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from '../../../src/ledger/verify/rfc6962.ts';

const shared = process.env.HIPPOCRYPT_SHARED ?? fileURLToPath(new URL('../../../../shared', import.meta.url));
const file = `${shared}/vectors/rfc6962/merkle.ndjson`;
const absent = !existsSync(file);
if (absent) console.warn(`skipped: no RFC 6962 vectors at ${file}; set HIPPOCRYPT_SHARED`);

interface Case {
  name: string;
  wantErr: boolean;
  proof: string[] | null;
  leafIdx?: number;
  treeSize?: number;
  leafHash?: string;
  root?: string;
  size1?: number;
  size2?: number;
  root1?: string;
  root2?: string;
  start?: number;
  end?: number;
  size?: number;
}

const bytes = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? '', 'base64'));

function holds(c: Case): boolean {
  const proof = (c.proof ?? []).map(bytes);
  const [kind] = c.name.split('/');
  const { start = -1, end = -1, size = -1 } = c;
  switch (kind) {
    case 'inclusion':
      return verifyInclusion(bytes(c.leafHash), c.leafIdx ?? -1, c.treeSize ?? -1, proof, bytes(c.root));
    case 'consistency':
      return verifyConsistency(c.size1 ?? -1, c.size2 ?? -1, proof, bytes(c.root1), bytes(c.root2));
    case 'subtreeinclusion':
      return verifySubtreeInclusion(bytes(c.leafHash), c.leafIdx ?? -1, { start, end }, proof, bytes(c.root));
    case 'subtreeconsistency':
      return verifySubtreeConsistency({ start, end, size }, proof, bytes(c.root1), bytes(c.root2));
    default:
      throw new Error(`unknown kind of case: ${c.name}`);
  }
}

describe.skipIf(absent)(`RFC 6962 vectors${absent ? ' (skipped: files absent)' : ''}`, () => {
  test('every published case is accepted or refused as it says', () => {
    const cases = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Case);
    expect(cases.length).toBe(389);
    const wrong = cases.filter((c) => holds(c) === c.wantErr).map((c) => c.name);
    expect(wrong).toEqual([]);
  });
});
