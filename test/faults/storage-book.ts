/** What the clients of the storage suite know: every record that was acknowledged, and what it must look like from then on. */

import type { Gateway } from '../../src/client/index.ts';
import { toHex, utf8 } from '../../src/codec/bytes.ts';
import { CodedError } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import type { Random } from '../../src/consensus/sim/random.ts';

/** Codes that the records carry, by which the index is compared with a plain scan. */
export const CODES = Array.from({ length: 12 }, (_, i) => `Z${10 + i}`);
const POLICY = 'mercy/role:nurse';

export interface Content {
  readonly text: string;
  readonly code: string;
}

/** A Condition with a code of `CODES` and `filler` characters of note that nobody searches. */
export function conditionOf(random: Random, name: string, filler: number): Content {
  const code = random.pick(CODES);
  const text = JSON.stringify({
    resourceType: 'Condition',
    id: name,
    code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10', code }] },
    text: { status: 'empty', div: toHex(random.bytes(32)).repeat(Math.ceil(filler / 64)) },
  });
  return { text, code };
}

export interface Kept extends Content {
  readonly record: string;
  erased: boolean;
}

/** One acknowledged list, in order. */
export interface PutAnswer {
  readonly records: readonly string[];
}

export class Book {
  readonly #kept = new Map<string, Kept>();

  add(records: readonly string[], contents: readonly Content[]): void {
    records.forEach((record, i) => {
      this.#kept.set(record, { record, erased: false, ...contents[i] });
    });
  }

  get(record: string): Kept | undefined {
    return this.#kept.get(record);
  }

  get living(): readonly Kept[] {
    return [...this.#kept.values()].filter(({ erased }) => !erased);
  }

  get all(): readonly Kept[] {
    return [...this.#kept.values()];
  }

  /** What a plain scan finds: living records with `code`, in order. */
  withCode(code: string): string[] {
    return this.living
      .filter((one) => one.code === code)
      .map(({ record }) => record)
      .sort();
  }
}

export function putBody(contents: readonly Content[]): { records: { content: string; policy: string }[] } {
  return { records: contents.map(({ text }) => ({ content: text, policy: POLICY })) };
}

/** Why `kept` cannot be opened as it was put, undefined when it can. */
export async function openProblem(nurse: Gateway, kept: Kept): Promise<string | undefined> {
  try {
    const { content } = await nurse.json<{ content: string }>('POST', `/v1/records/${kept.record}/open`, {
      body: { purpose: 'treatment' },
      timeoutMs: 30_000,
    });
    const same = toHex(sha256(utf8(content))) === toHex(sha256(utf8(kept.text)));
    return same ? undefined : `record ${kept.record} opens as something else`;
  } catch (error) {
    return `record ${kept.record} does not open: ${codeOf(error)}`;
  }
}

export function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : String(error);
}
