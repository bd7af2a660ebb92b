/**
 * The one error class of the house. A module throws a code from its own list; only the API knows what
 * HTTP status a code has. A message says what was expected, what came and what to do; it never carries a
 * secret, a key, a record's text or a patient's name.
 */
export class CodedError extends Error {
  readonly code: string;
  /** Machine-readable position and limits (column, line, max, got); safe to show to the caller. */
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(
    code: string,
    message: string,
    options: { cause?: unknown; details?: Record<string, string | number | boolean> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CodedError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True when `error` carries `code`; narrows without instanceof across package copies. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof CodedError && error.code === code;
}
