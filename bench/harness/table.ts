/** Rows as text for a terminal: one block a suite, one line a row, numbers aligned at the right. */
import { NOTABLE_RATIO } from './baseline.ts';
import { ROW_KEYS, type Row, rowKey } from './row.ts';

/** A number with three significant digits below 100, in full above. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

/** Ratio to the baseline, in words where it says something. */
export function formatRatio(ratio: number): string {
  const text = `${ratio.toFixed(2)}x`;
  if (ratio > NOTABLE_RATIO) return `${text} slower`;
  return ratio < 1 / NOTABLE_RATIO ? `${text} faster` : text;
}

/** Everything in a row beyond what all rows have, as `name value` pairs. */
export function detailsOf(row: Row): string {
  return Object.entries(row)
    .filter(([key]) => !(ROW_KEYS as readonly string[]).includes(key))
    .map(([key, value]) => `${key} ${typeof value === 'number' ? formatNumber(value) : value}`)
    .join(', ');
}

/** The whole table; `ratios` adds a column when there is a baseline. */
export function formatTable(rows: readonly Row[], ratios?: ReadonlyMap<string, number>): string {
  const blocks: string[] = [];
  for (const suite of new Set(rows.map((row) => row.suite))) {
    const own = rows.filter((row) => row.suite === suite);
    const head = [
      'operation',
      'n',
      'p50 ms',
      'p95 ms',
      ...(ratios === undefined ? [] : ['baseline']),
      'more',
    ];
    const lines = own.map((row) => {
      const ratio = ratios?.get(rowKey(row));
      return [
        row.op,
        formatNumber(row.n),
        formatNumber(row.p50_ms),
        formatNumber(row.p95_ms),
        ...(ratios === undefined ? [] : [ratio === undefined ? 'new' : formatRatio(ratio)]),
        detailsOf(row),
      ];
    });
    blocks.push(`${suite}\n${align([head, ...lines])}`);
  }
  return `${blocks.join('\n\n')}\n`;
}

function align(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const last = widths.length - 1;
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : i === last ? cell : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n');
}
