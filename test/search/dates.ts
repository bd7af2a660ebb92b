/** Ranges of dates as plain text compares them, for the scans that searches are held against. */
import type { Match } from '../../src/search/index.ts';

type Range = Extract<Match, { kind: 'range' }>;

/** A month or a year is inside when all of it is. */
export function dateInside(text: string, { low, high }: Range): boolean {
  const date = text.slice(0, 10);
  const [first, last] = [earliest(date), latest(date)];
  return (
    (low === undefined || (low.inclusive ? first >= earliest(low.value) : first > latest(low.value))) &&
    (high === undefined || (high.inclusive ? last <= latest(high.value) : last < earliest(high.value)))
  );
}

const earliest = (date: string): string => date + '-01-01'.slice(date.length - 4);

function latest(date: string): string {
  if (date.length === 10) return date;
  if (date.length === 4) return `${date}-12-31`;
  return new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).toISOString().slice(0, 10);
}
