import { describe, expect, it } from 'vitest';
import type { Environment } from '../../bench/harness/environment.ts';
import { escapeHtml, renderPage } from '../../bench/harness/page.ts';
import { drawPlots } from '../../bench/harness/plots.ts';
import type { Row } from '../../bench/harness/row.ts';

const environment: Environment = {
  version: '0.1.0',
  commit: '0123456789ab',
  date: '2026-01-02T03:04:05.000Z',
  node: '20.20.0',
  os: 'Linux 6',
  arch: 'x64',
  cpu: 'A <fast> processor',
  cores: 2,
  memory_mib: 4096,
  load_average: [3.5, 1, 1],
  core_share: 0.98,
  disk_flush: { n: 60, p50_ms: 1.5, p95_ms: 2 },
  quick: false,
  suites: [
    { suite: 'ledger', status: 'skipped', rows: 0, seconds: 0.1, reason: 'there is no bench/ledger.ts' },
  ],
};
const abe = (op: string, backend: string, n: number, p50: number): Row => ({
  suite: 'abe',
  op,
  backend,
  n,
  p50_ms: p50,
  p95_ms: 2 * p50,
  runs: 5,
  bytes: 100 * n,
});
const rows: readonly Row[] = [
  ...['mcl', 'noble', 'circl'].flatMap((backend, i) =>
    [1, 10, 100].map((n) => abe('decrypt', backend, n, (i + 1) * n)),
  ),
  { suite: 'search', op: 'and 2 terms, 10 candidates', n: 7, p50_ms: 0.5, p95_ms: 1 },
  { suite: 'search', op: 'and 2 terms, 10 candidates, SQLite FTS5', n: 7, p50_ms: 0.25, p95_ms: 1 },
  {
    suite: 'main',
    op: 'open </script><b>',
    n: 10,
    p50_ms: 40,
    p95_ms: 90,
    target: 'p50_ms <= 30',
    met: false,
  },
  { suite: 'storage', op: 'get nothing', n: 10, p50_ms: 0, p95_ms: 0 },
  { suite: 'storage', op: 'lose', n: 1, p50_ms: 1, p95_ms: 1, lost: 0, target: 'lost <= 0', met: true },
  { suite: 'storage', op: 'lose one', n: 1, p50_ms: 1, p95_ms: 1, lost: 1, target: 'lost <= 0', met: false },
];

describe('plots', () => {
  it('are SVG made without a browser: the targets, then one for each suite', async () => {
    const plots = await drawPlots(rows);
    expect(plots.map(({ name }) => name)).toEqual(['targets', 'abe', 'search', 'main', 'storage']);
    for (const { svg } of plots) {
      expect(svg).toMatch(/^<svg [\s\S]*<\/svg>$/);
      expect(svg).not.toContain('NaN');
      expect(svg).not.toContain('Infinity');
    }
  });

  it('have ids of their own, since they stand in one page', async () => {
    const ids = (await drawPlots(rows)).flatMap(({ svg }) =>
      [...svg.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('show the peer beside us', async () => {
    const [, abePlot, search] = await drawPlots(rows);
    expect(abePlot.svg).toContain('CIRCL tkn20 (Go)');
    expect(search.svg).toContain('SQLite FTS5, plaintext');
  });
});

describe('the page', () => {
  const render = async (): Promise<string> => renderPage({ environment, rows }, await drawPlots(rows));

  it('needs nothing from elsewhere and runs no script', async () => {
    const page = await render();
    expect(page).not.toMatch(/(?:src|href)="(?!#)/);
    expect(page).not.toContain('@import');
    expect([...page.matchAll(/<script([^>]*)>/g)].map(([, attributes]) => attributes)).toEqual([
      ' type="application/json" id="results"',
    ]);
  });

  it('carries the results, so that a page can become a baseline', async () => {
    const [, json] = /id="results">([\s\S]*?)<\/script>/.exec(await render()) ?? [];
    expect(JSON.parse(json)).toEqual({ environment, rows });
  });

  it('escapes what rows and machines say', async () => {
    const page = await render();
    expect(page).toContain('A &lt;fast&gt; processor');
    expect(page).toContain('open &lt;/script&gt;&lt;b&gt;');
    expect(page).not.toContain('<b>');
    expect(escapeHtml(`<&"'>`)).toBe('&lt;&amp;&quot;&#39;&gt;');
  });

  it('names what was skipped, that the machine was busy, and how many targets were met', async () => {
    const page = await render();
    expect(page).toContain('there is no bench/ledger.ts');
    expect(page).toContain('The machine was busy');
    expect(page).toMatch(/<strong>\d+ of \d+<\/strong> targets met/);
  });
});
