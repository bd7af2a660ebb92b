/**
 * The error table: every code that the sources can raise stands in it and in docs/errors.md, with one status; and the
 * document lists nothing that does not exist. Codes are read from the sources, so that a new one cannot be forgotten.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ABE_ERROR } from '../../src/abe/errors.ts';
import { POLICY_ERRORS } from '../../src/abe/policy/errors.ts';
import { PROBLEM_TABLE, problemOf, toProblem } from '../../src/api/problems.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { FHIR_ERRORS } from '../../src/fhir/errors.ts';
import { DECISION_REASONS } from '../../src/ledger/entries/results.ts';
import { REFUSALS } from '../../src/ledger/machine/refusal.ts';
import { SEARCH_ERRORS } from '../../src/search/index.ts';
import { STORAGE_ERRORS } from '../../src/storage/index.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Raised on the client's side; a gateway never answers with them, so they have no status. */
const CLIENT_FAMILIES = new Set(['client', 'cli', 'device', 'tour', 'config']);
/** Literals of a code's form that name something else: files, events of the log, steps of an event. */
const NOT_CODES = new Set([
  'genesis.document',
  'genesis.draft',
  'genesis.sig',
  'index.failed',
  'ledger.ndjson',
  'node.ceremony',
  'node.fields',
  'node.link',
  'node.ready',
  'node.share',
  'request.failed',
  'tour.json',
]);

const CODE = '[a-z][a-z0-9_]*(?:\\.[a-z][a-z0-9_]*){1,2}';
/** A code as the first argument of what makes an error. */
const MADE = new RegExp(
  `\\b(?:CodedError|ConsensusError|storageError|searchError|policyError|refuse|refusal)\\(\\s*'(${CODE})'`,
  'g',
);
/** Any literal of that form, unless it names an event of the log. */
const LITERAL = new RegExp(`(?<!(?:event|[eE]rror|onError)\\(\\s*)'(${CODE})'`, 'g');

function sources(): string[] {
  const folder = join(ROOT, 'src');
  return (readdirSync(folder, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

const texts = sources();
const made = new Set(
  texts
    .flatMap((text) => [...text.matchAll(MADE)].map((match) => match[1]))
    // Elements of a FHIR Consent, which its reader refuses by their paths.
    .filter((code) => !code.startsWith('provision.')),
);
const tables = [
  ...Object.values(ABE_ERROR),
  ...Object.values(POLICY_ERRORS),
  ...Object.keys(FHIR_ERRORS),
  ...Object.keys(REFUSALS),
  ...Object.keys(SEARCH_ERRORS),
  ...Object.keys(STORAGE_ERRORS),
  ...Object.keys(PROBLEM_TABLE.codes),
];
const families = new Set([...made, ...tables].map((code) => code.split('.', 1)[0]));
/** Also those that reach a maker through a variable, a conditional or a union of types. */
const literals = texts
  .flatMap((text) => [...text.matchAll(LITERAL)].map((match) => match[1]))
  .filter((code) => families.has(code.split('.', 1)[0]) && !NOT_CODES.has(code));
const codes = new Set([...made, ...tables, ...literals]);

/** Rows of the tables of docs/errors.md: code and status. */
const documented = new Map<string, string>();
const document = readFileSync(join(ROOT, 'docs', 'errors.md'), 'utf8');
for (const [, code, status] of document.matchAll(/^\| ([a-z][a-z0-9_.]*) \| (\d{3}|-) \| \S.*\|$/gm)) {
  documented.set(code, status);
}

describe('the error table', () => {
  it('reads the codes of the sources', () => {
    expect(made.size).toBeGreaterThan(150);
    expect(codes.size).toBeGreaterThan(250);
  });

  it('has a status and a title for every code that a gateway can meet', () => {
    const missing = [...codes].filter((code) => {
      const [family] = code.split('.', 1);
      return !CLIENT_FAMILIES.has(family) && problemOf(code) === undefined;
    });
    expect(missing.sort()).toEqual([]);
  });

  it('has no family that nobody raises', () => {
    const used = new Set([...codes].map((code) => code.split('.', 1)[0]));
    expect(Object.keys(PROBLEM_TABLE.families).filter((family) => !used.has(family))).toEqual([]);
  });

  it('is docs/errors.md, code by code', () => {
    expect([...codes].filter((code) => !documented.has(code)).sort()).toEqual([]);
    expect([...documented.keys()].filter((code) => !codes.has(code)).sort()).toEqual([]);
    for (const [code, status] of documented) {
      const expected = CLIENT_FAMILIES.has(code.split('.', 1)[0]) ? '-' : String(problemOf(code)?.[0]);
      expect([code, status]).toEqual([code, expected]);
    }
  });

  it('documents every reason of a verdict', () => {
    for (const reason of DECISION_REASONS) {
      if (reason !== 'ok') expect(document).toMatch(new RegExp(`^\\| ${reason} \\| \\S`, 'm'));
    }
  });
});

describe('toProblem', () => {
  it('lets no detail stand in the place of a member of RFC 9457', () => {
    const details = { status: 200, code: 'forged', type: 'x', title: 'y', detail: 'z', line: 3 };
    const problem = toProblem(new CodedError('policy.syntax', 'text', { details }));
    expect(problem).toMatchObject({ status: 400, code: 'policy.syntax', detail: 'text', line: 3 });
    expect(problem.type).toBe('urn:hippocrypt:problem:policy.syntax');
  });

  it('says nothing of what it does not know', () => {
    for (const error of [
      new Error('/secret/path and a name'),
      new CodedError('nobody.knows', 'secret', { details: { key: 'secret' } }),
      'secret',
      undefined,
    ]) {
      const problem = toProblem(error ?? {});
      expect([problem.status, problem.code]).toEqual([500, 'internal']);
      expect(JSON.stringify(problem)).not.toContain('secret');
    }
  });
});
