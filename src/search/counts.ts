/**
 * Counts for feasibility studies. Exact small counts single people out, and differences of exact counts do so too:
 * what leaves a gateway is suppressed and rounded (search-security notes, section 3). Weakens such attacks; does not
 * end them, so counts stay behind grants and budgets.
 */

/** Counts below this are not told. */
export const COUNT_SUPPRESSED_BELOW = 10;
/** Told counts are multiples of this. */
export const COUNT_ROUNDED_TO = 5;

/** `count` rounded to the nearest 5, or null when it is below 10: to be shown as "fewer than 10". */
export function suppressedCount(count: number): number | null {
  if (count < COUNT_SUPPRESSED_BELOW) return null;
  return COUNT_ROUNDED_TO * Math.round(count / COUNT_ROUNDED_TO);
}
