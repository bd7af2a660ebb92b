import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HELP, parseBenchArguments } from '../../bench/harness/arguments.ts';
import { SUITES } from '../../bench/harness/suites.ts';

const docs = readFileSync(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8');

describe('docs/benchmarks.md', () => {
  it('shows command lines that are understood', () => {
    const lines = [...docs.matchAll(/^npm run (?:--silent )?bench(?: -- ([^#\n]*))?/gm)];
    expect(lines.length).toBeGreaterThanOrEqual(4);
    for (const [, args = ''] of lines) {
      expect(() => parseBenchArguments(args.trim().split(/\s+/).filter(Boolean))).not.toThrow();
    }
  });

  it('lists every option and every suite', () => {
    const options = [...HELP.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, option]) => option);
    expect(options).toContain('--save-baseline');
    for (const option of options.filter((one) => one !== '--help')) expect(docs).toContain(`| \`${option}`);
    for (const { name } of SUITES) expect(docs).toContain(`| \`${name}\` |`);
  });
});
