/**
 * Dates as nodes of a calendar tree: decade > year > quarter > month > day. A value is indexed under every node
 * that contains it; a range is the OR over the fewest nodes that fill it, so a bound never reaches the index.
 * A value of year or month precision matches a range only when all of it lies inside. Proleptic Gregorian days;
 * a date-time counts as the calendar day written in it, whatever its offset.
 */
import { searchError } from './errors.ts';

/** A day, month or year as given: `month` and `day` are 0 when the value is less precise. */
export interface PartialDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

const FORM = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T[0-9:.]+(?:Z|[+-]\d{2}:\d{2})?)?)?)?$/;

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a FHIR dateTime; throws `search.value_malformed`. */
export function parseDate(text: string): PartialDate {
  const match = FORM.exec(text);
  const year = Number(match?.[1] ?? 0);
  const month = Number(match?.[2] ?? 0);
  const day = Number(match?.[3] ?? 0);
  const good =
    match !== null &&
    year >= 1 &&
    (match[2] === undefined || (month >= 1 && month <= 12)) &&
    (match[3] === undefined || (day >= 1 && day <= daysInMonth(year, month)));
  if (!good) {
    throw searchError('search.value_malformed', 'expected a date: YYYY, YYYY-MM, YYYY-MM-DD or a date-time');
  }
  return { year, month, day };
}

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0');
const quarterOf = (month: number): number => Math.ceil(month / 3);

const decadeNode = (year: number): string => `T${pad(Math.floor(year / 10), 3)}`;
const yearNode = (year: number): string => `Y${pad(year, 4)}`;
const quarterNode = (year: number, quarter: number): string => `Q${pad(year, 4)}-${quarter}`;
const monthNode = (year: number, month: number): string => `M${pad(year, 4)}-${pad(month, 2)}`;
const dayNode = (year: number, month: number, day: number): string =>
  `D${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;

/** The nodes that contain `date`, widest first: 2 for a year, 4 for a month, 5 for a day. */
export function calendarNodes(date: PartialDate): string[] {
  const nodes = [decadeNode(date.year), yearNode(date.year)];
  if (date.month > 0) {
    nodes.push(quarterNode(date.year, quarterOf(date.month)), monthNode(date.year, date.month));
  }
  if (date.day > 0) nodes.push(dayNode(date.year, date.month, date.day));
  return nodes;
}

/** The narrowest node of `date`: what equality asks for. */
export function calendarNode(date: PartialDate): string {
  const nodes = calendarNodes(date);
  return nodes[nodes.length - 1];
}

/** First day of `date`'s interval. */
export function firstDay(date: PartialDate): PartialDate {
  return { year: date.year, month: date.month || 1, day: date.day || 1 };
}

/** Last day of `date`'s interval. */
export function lastDay(date: PartialDate): PartialDate {
  const month = date.month || 12;
  return { year: date.year, month, day: date.day || daysInMonth(date.year, month) };
}

/** The day after or before `day`. */
export function stepDay(day: PartialDate, by: 1 | -1): PartialDate {
  const { year, month } = day;
  const next = day.day + by;
  if (next >= 1 && next <= daysInMonth(year, month)) return { year, month, day: next };
  if (by > 0) return month < 12 ? { year, month: month + 1, day: 1 } : { year: year + 1, month: 1, day: 1 };
  if (month > 1) return { year, month: month - 1, day: daysInMonth(year, month - 1) };
  return { year: year - 1, month: 12, day: 31 };
}

const order = (a: PartialDate, b: PartialDate): number =>
  a.year - b.year || a.month - b.month || a.day - b.day;

/**
 * Fewest nodes whose union is [from, to], both full days, in order of time; empty when from > to. At most 30
 * days, 2 months and 3 quarters at either end plus years and decades between.
 */
export function calendarCover(from: PartialDate, to: PartialDate): string[] {
  const nodes: string[] = [];
  let at = from;
  while (order(at, to) <= 0) {
    const [node, end] = widestFrom(at, to);
    nodes.push(node);
    at = stepDay(end, 1);
  }
  return nodes;
}

/** The widest node that begins on `at` and ends by `to`, with its last day. */
function widestFrom(at: PartialDate, to: PartialDate): [string, PartialDate] {
  const { year, month, day } = at;
  if (day === 1) {
    if (month === 1) {
      const decadeEnd = { year: year + 9, month: 12, day: 31 };
      if (year % 10 === 0 && order(decadeEnd, to) <= 0) return [decadeNode(year), decadeEnd];
      const yearEnd = { year, month: 12, day: 31 };
      if (order(yearEnd, to) <= 0) return [yearNode(year), yearEnd];
    }
    if (month % 3 === 1) {
      const quarterEnd = lastDay({ year, month: month + 2, day: 0 });
      if (order(quarterEnd, to) <= 0) return [quarterNode(year, quarterOf(month)), quarterEnd];
    }
    const monthEnd = lastDay({ year, month, day: 0 });
    if (order(monthEnd, to) <= 0) return [monthNode(year, month), monthEnd];
  }
  return [dayNode(year, month, day), at];
}
