/**
 * Counts for who may not see hits. Exact small counts single people out, and differences of exact counts do so too: what
 * such a caller is told is suppressed and rounded (search-security notes, section 3). Weakens such attacks; does not end
 * them, so counts stay behind grants and budgets (THREATS.md).
 */

/** Counts below this, and counts of fewer people than this, are not told. */
export const COUNT_SUPPRESSED_BELOW = 10;
/** Told counts are multiples of this. */
export const COUNT_ROUNDED_TO = 5;

/**
 * `count` rounded to the nearest 5, or null, to be shown as "few", when it is below 10 or stands for fewer than 10 people:
 * two hundred records of one patient are a small cell.
 */
export function suppressedCount(count: number, people = count): number | null {
  if (Math.min(count, people) < COUNT_SUPPRESSED_BELOW) return null;
  return COUNT_ROUNDED_TO * Math.round(count / COUNT_ROUNDED_TO);
}
