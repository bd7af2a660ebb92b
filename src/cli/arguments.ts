/** Numbers on the command line: what is no whole number in bounds is wrong usage (exit code 2) before anything begins. */
import { InvalidArgumentError } from 'commander';

/** A parser of whole numbers from `min` to `max`, for `option(...)`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** `--limit`, as the list routes take it. */
export const LIST_LIMIT_MAX = 500;
