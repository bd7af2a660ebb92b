/**
 * What the CLI shows: data on stdout, notes and progress on stderr, one JSON value with `--json`. Colour and bars only on
 * a terminal. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
 */
import { styleText } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';
import { CodedError } from '../codec/errors.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

type Style = Parameters<typeof styleText>[0];

export interface Progress {
  add(count: number): void;
  end(): void;
}

export class Output {
  readonly json: boolean;
  readonly #quiet: boolean;

  constructor(options: { readonly json: boolean; readonly quiet: boolean }) {
    this.json = options.json;
    this.#quiet = options.quiet;
  }

  /** Text for people, or the value itself with `--json`. */
  result(value: unknown, text: () => string): void {
    process.stdout.write(this.json ? `${JSON.stringify(value, null, 2)}\n` : `${text()}\n`);
  }

  /** A line for people on stdout; nothing with `--json`. */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${text}\n`);
  }

  /** A remark on stderr. */
  note(text: string): void {
    if (!this.#quiet) process.stderr.write(`${text}\n`);
  }

  /** A problem on stderr, with its code and what may be done. */
  problem(error: unknown): void {
    if (this.json) {
      const { code, message, details } = known(error);
      process.stderr.write(`${JSON.stringify({ error: { code, message, ...details } })}\n`);
      return;
    }
    const { code, message, details } = known(error);
    process.stderr.write(`${paint('red', 'error')} ${code}: ${message}\n`, () => undefined);
    for (const name of ['reason', 'entryId', 'line', 'column', 'requestId']) {
      if (details[name] !== undefined) process.stderr.write(`  ${name}: ${details[name]}\n`);
    }
  }

  /** A bar on a terminal, a line every tenth elsewhere. */
  progress(label: string, total: number, unit: string): Progress {
    if (this.#quiet || this.json) return { add: () => undefined, end: () => undefined };
    if (!process.stderr.isTTY) return lines(label, total, unit);
    const bar = new SingleBar(
      {
        format: `${label} [{bar}] {value}/{total} ${unit} · {rate} ${unit}/s · {eta_formatted}`,
        stream: process.stderr,
        etaBuffer: 50,
        clearOnComplete: false,
      },
      Presets.shades_classic,
    );
    const started = performance.now();
    let done = 0;
    bar.start(total, 0, { rate: 0 });
    return {
      add: (count) => {
        done += count;
        bar.update(done, { rate: Math.round((1000 * done) / (performance.now() - started)) });
      },
      end: () => bar.stop(),
    };
  }
}

/** File problems in words. */
const SYSTEM_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'not allowed to read or write',
  EISDIR: 'expected a file, got a folder',
  ENOTDIR: 'expected a folder, got a file',
  ENOSPC: 'the disk is full',
  EADDRINUSE: 'the address is taken',
};

function lines(label: string, total: number, unit: string): Progress {
  let done = 0;
  let shown = 0;
  return {
    add: (count) => {
      done += count;
      if (Math.floor((10 * done) / total) > shown) {
        shown = Math.floor((10 * done) / total);
        process.stderr.write(`${label}: ${done}/${total} ${unit}\n`);
      }
    },
    end: () => undefined,
  };
}

/** `text` in colour on a terminal. */
export function paint(style: Style, text: string): string {
  return process.stdout.isTTY && process.env.NO_COLOR === undefined ? styleText(style, text) : text;
}

/** Columns of equal width, headings first. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const print = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd();
  return [paint('bold', print(head)), ...rows.map(print)].join('\n');
}

function known(error: unknown): {
  code: string;
  message: string;
  details: Readonly<Record<string, unknown>>;
} {
  if (error instanceof CodedError)
    return { code: error.code, message: error.message, details: error.details };
  const system = error as { code?: unknown; path?: unknown; message?: unknown };
  const told = typeof system.code === 'string' ? SYSTEM_PROBLEMS[system.code] : undefined;
  if (told !== undefined)
    return {
      code: 'cli.file',
      message: `${told}: ${String(system.path ?? system.message ?? '')}`,
      details: {},
    };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message, details: {} };
}
