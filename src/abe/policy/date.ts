/**
 * Calendar dates as days since 1970-01-01 in the proleptic Gregorian calendar, years 0001 to 9999. Computed
 * here rather than with `Date`, whose two-digit years and rounding differ from what is signed.
 */

const FORM = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** First and last day that the language can write: 0001-01-01 and 9999-12-31. */
export const DAY_MIN = -719162;
export const DAY_MAX = 2932896;

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

/** Days before January 1 of `year`, counted from 0001-01-01. */
const daysBeforeYear = (year: number): number => {
  const y = year - 1;
  return y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
};

/** True when `text` has the form of a date, whether or not that day exists. */
export function looksLikeDate(text: string): boolean {
  return FORM.test(text);
}

/** Days since 1970-01-01 of `YYYY-MM-DD`, or undefined when there is no such day. */
export function daysOfDate(text: string): number | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = match.slice(1).map(Number);
  if (year < 1 || month < 1 || month > 12 || day < 1) return undefined;
  const leapDay = month === 2 && isLeap(year) ? 1 : 0;
  if (day > MONTH_DAYS[month - 1] + leapDay) return undefined;
  let days = daysBeforeYear(year) + day - 1;
  for (let m = 1; m < month; m++) days += MONTH_DAYS[m - 1] + (m === 2 && isLeap(year) ? 1 : 0);
  return days + DAY_MIN;
}

/** `YYYY-MM-DD` of days since 1970-01-01; the number lies between `DAY_MIN` and `DAY_MAX`. */
export function dateOfDays(days: number): string {
  if (!Number.isInteger(days) || days < DAY_MIN || days > DAY_MAX) throw new RangeError('day out of range');
  let left = days - DAY_MIN;
  let year = Math.floor(left / 366) + 1;
  while (daysBeforeYear(year + 1) <= left) year++;
  left -= daysBeforeYear(year);
  let month = 1;
  for (; ; month++) {
    const length = MONTH_DAYS[month - 1] + (month === 2 && isLeap(year) ? 1 : 0);
    if (left < length) break;
    left -= length;
  }
  const pad = (n: number, width: number): string => String(n).padStart(width, '0');
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(left + 1, 2)}`;
}
