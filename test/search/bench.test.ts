/** The bench runs, and every answer equals that of SQLite FTS5 on the plaintext (the bench itself throws otherwise). */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { runSearchBench } from '../../bench/search.ts';

const hasPeer =
  spawnSync('python3', [
    '-c',
    "import sqlite3; sqlite3.connect(':memory:').execute('create virtual table t using fts5(a)')",
  ]).status === 0;
if (!hasPeer) console.warn('the comparison with SQLite FTS5 is skipped: no python3 with FTS5');

test(`a small bench gives every row${hasPeer ? ', equal to FTS5' : ' (without FTS5: python3 lacks it)'}`, async () => {
  const rows = await runSearchBench({ documents: 3000, runs: 1, peers: ['SQLite FTS5'] });
  const ours = rows.filter(({ op }) => /^and \d terms, \d+ candidates$/.test(op));
  expect(ours).toHaveLength(12);
  expect(ours.filter(({ ratio_to_fts5 }) => ratio_to_fts5 !== undefined)).toHaveLength(hasPeer ? 12 : 0);
  expect(Math.max(...ours.map(({ hits }) => Number(hits)))).toBeGreaterThan(10);
  const build = rows.find(({ op }) => op === 'build');
  expect(build?.n).toBe(60_000);
  expect(rows.filter(({ op }) => op.startsWith('voprf'))).toHaveLength(13);
});
