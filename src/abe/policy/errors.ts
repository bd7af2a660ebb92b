/**
 * Errors of the policy language. A code is stable; the message is for people. `details` carry `line` and
 * `column` (both from 1, columns counted in characters) where the place in the text is known.
 */
import { CodedError } from '../../codec/errors.ts';

export const POLICY_ERRORS = {
  /** The text is not a policy or an attribute; details: line, column. */
  syntax: 'policy.syntax',
  /** A tree or its bytes break a rule of the language (empty list, k out of bounds, non-NFC text, not canonical). */
  malformed: 'policy.malformed',
  /** Text or bytes over `POLICY_TEXT_BYTES_MAX`. */
  tooLarge: 'policy.too_large',
  /** Nested deeper than `POLICY_DEPTH_MAX`. */
  tooDeep: 'policy.too_deep',
  /** More than `POLICY_LEAVES_MAX` leaves, before or after ranges are expanded. */
  tooManyLeaves: 'policy.too_many_leaves',
  /** The registry does not know the label. */
  unknownLabel: 'policy.unknown_label',
  /** The registry lists the label's values and this is none of them. */
  unknownValue: 'policy.unknown_value',
  /** An issuer is missing, or stands before a shared label. */
  issuer: 'policy.issuer',
  /** The literal does not fit the label's type. */
  type: 'policy.type',
  /** The relation has no meaning for the label's type. */
  relation: 'policy.relation',
  /** `!=` or `not` on a label whose values the registry does not list. */
  notFinite: 'policy.not_finite',
  /** A number or date outside the label's width, or a condition that can never hold. */
  range: 'policy.range',
  /** `not` or `consent` in a policy that is to be opened without a gate. */
  offline: 'policy.offline',
  /** An attribute that its label does not allow, or two values for a label that has one. */
  attribute: 'policy.attribute',
  /** A registry entry that is malformed, reserved or changes what is fixed for ever. */
  registry: 'policy.registry',
} as const;

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The error `code` with `message`, and the position when it is known. */
export function policyError(
  code: string,
  message: string,
  position?: Position,
  details: Record<string, string | number | boolean> = {},
): CodedError {
  if (position === undefined) return new CodedError(code, message, { details });
  return new CodedError(code, `${message} (line ${position.line}, column ${position.column})`, {
    details: { ...details, line: position.line, column: position.column },
  });
}
