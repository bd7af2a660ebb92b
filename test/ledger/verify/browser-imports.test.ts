/** What must run in a browser imports nothing of Node, at any depth (ARCHITECTURE: arrows point down only). */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../../../src', import.meta.url));
const FOLDERS = ['ledger/verify', 'ledger/checkpoint', 'ledger/log', 'ledger/state-tree', 'ledger/entries'];
const OTHERS = ['abe', 'search', 'client', 'fhir', 'codec'];
const builtin = new Set(builtinModules);

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** Specifiers that survive into the built module: imports and re-exports that are not types only. */
function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const found: string[] = [];
  const form = /^\s*(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
  for (const match of text.matchAll(form)) found.push(match[1]);
  return found;
}

/** Chains of imports from `path` that end in a Node module. */
function nodeImports(path: string, seen: Set<string>, trail: readonly string[]): string[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const here = [...trail, relative(src, path)];
  return importsOf(path).flatMap((name) => {
    if (name.startsWith('.')) return nodeImports(resolve(dirname(path), name), seen, here);
    const isNode = name.startsWith('node:') || builtin.has(name.split('/')[0]);
    return isNode ? [`${here.join(' > ')} > ${name}`] : [];
  });
}

describe('no import of a Node module is reachable from', () => {
  test.each([...FOLDERS, ...OTHERS].filter((name) => existsSync(join(src, name))))('src/%s', (name) => {
    const seen = new Set<string>();
    const files = filesIn(join(src, name));
    const found = files.flatMap((path) => nodeImports(path, seen, []));
    expect(found).toEqual([]);
    expect(seen.size).toBeGreaterThanOrEqual(files.length);
  });

  test('the scan itself finds one where there is one', () => {
    const consensus = join(src, 'consensus/index.ts');
    if (existsSync(consensus)) expect(nodeImports(consensus, new Set(), []).length).toBeGreaterThan(0);
    expect(importsOf(fileURLToPath(import.meta.url))).toContain('node:fs');
  });
});

describe('the verifier', () => {
  test('does not reach the consensus library, the engine, or storage from its index', () => {
    const seen = new Set<string>();
    nodeImports(join(src, 'ledger/verify/index.ts'), seen, []);
    const outside = [...seen]
      .map((path) => relative(src, path))
      .filter((path) => !/^(codec|ledger)\//.test(path));
    expect(outside.filter((path) => !path.startsWith('abe/'))).toEqual([]);
    const heavy = [...seen]
      .map((path) => relative(src, path))
      .filter((path) => /ledger\/(engine|machine)/.test(path));
    expect(heavy).toEqual([]);
  });
});
