/**
 * The error table: every code that a caller can meet, its HTTP status and its title (RFC 9457).
 * Modules throw codes; only this file knows HTTP. `docs/errors.md` is written from this table and a test holds
 * every code in the sources against it. A code that is missing here is a fault of ours and shows as `internal`.
 */
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { CodedError } from '../codec/errors.ts';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly [extension: string]: unknown;
}

/** Status by the first segment of a code, for the families whose members differ in detail only. */
const FAMILIES: Readonly<Record<string, readonly [status: number, title: string]>> = {
  anchor: [422, 'The trust anchor cannot answer for this'],
  abe: [422, 'A key, part or header was refused'],
  aead: [422, 'Sealed bytes do not open'],
  attribute: [409, 'The attribute does not allow this'],
  authority: [409, 'The authorities do not release this'],
  block: [503, 'The block takes no more'],
  break_glass: [409, 'The emergency access does not allow this'],
  bytes: [400, 'Malformed bytes'],
  cbor: [400, 'Malformed dag-cbor'],
  checkpoint: [422, 'The checkpoint does not verify'],
  consent: [409, 'The consent does not allow this'],
  consensus: [503, 'The consortium cannot order entries now'],
  custody: [403, 'Signed by the wrong party'],
  dkg: [409, 'The key ceremony cannot go on'],
  entry: [400, 'Malformed entry'],
  evidence: [400, 'The evidence was refused'],
  export: [422, 'The ledger file cannot be read'],
  fhir: [400, 'Malformed FHIR input'],
  field: [409, 'The search field does not allow this'],
  frame: [413, 'Frame too large'],
  genesis: [422, 'The genesis document was refused'],
  hpke: [422, 'Sealed bytes do not open'],
  id: [400, 'Malformed identifier'],
  import: [400, 'The import was refused'],
  index: [409, 'The index does not allow this'],
  key: [409, 'The key does not allow this'],
  ledger: [409, 'The ledger does not allow this'],
  link: [503, 'Another member does not answer'],
  log: [400, 'The log cannot answer this'],
  member: [409, 'The members do not allow this'],
  node: [503, 'This node cannot serve this'],
  payload: [422, 'The payload does not open'],
  policy: [400, 'The policy was refused'],
  proposal: [409, 'The proposal does not allow this'],
  query: [400, 'The query was refused'],
  receipt: [422, 'The receipt does not verify'],
  record: [409, 'The record does not allow this'],
  reconfig: [409, 'The change of validators was refused'],
  registry: [409, 'The registry does not allow this'],
  search: [400, 'The query was refused'],
  share: [409, 'The share epoch does not allow this'],
  signature: [400, 'The signature was refused'],
  state: [400, 'The state cannot answer this'],
  snapshot: [503, 'No snapshot can be had now'],
  storage: [503, 'The store cannot serve this'],
  subject: [409, 'The subject does not allow this'],
  tx: [400, 'The transaction was refused'],
  witness: [409, "The witness's checkpoint was refused"],
};

/** Codes whose status or title differs from their family's. */
const CODES: Readonly<Record<string, readonly [status: number, title: string]>> = {
  'access.denied': [403, 'Access denied'],
  'auth.account_exists': [409, 'The account exists'],
  'auth.required': [401, 'Sign in first'],
  'auth.failed': [401, 'Wrong account or password'],
  'auth.expired': [401, 'The session has expired'],
  'authority.too_few': [503, 'Too few authorities answer now'],
  'request.invalid': [400, 'The request does not have the expected form'],
  'request.too_large': [413, 'The request is too large'],
  'request.media_type': [415, 'Unsupported media type'],
  'request.not_json': [400, 'The body is not JSON'],
  'request.rate': [429, 'Too many requests'],
  'route.unknown': [404, 'No such route'],
  'break_glass.unknown': [404, 'No such emergency access'],
  'checkpoint.stale': [503, 'The state of this gateway is too old'],
  'consent.unknown': [404, 'No such consent'],
  'entry.unknown': [404, 'No such entry'],
  'field.unknown': [404, 'No such search field'],
  'index.unknown': [404, 'No such index segment'],
  'key.unknown': [404, 'No such key'],
  'key.not_yours': [403, 'The key belongs to another subject'],
  'ledger.behind': [503, 'This node is behind'],
  'ledger.busy': [503, 'The ledger takes no more at once'],
  'ledger.closed': [503, 'This node is stopping'],
  'ledger.damaged': [503, "This node's store is damaged"],
  'ledger.diverged': [503, "This node's state differs from the consortium's"],
  'ledger.block_unknown': [404, 'No such block'],
  'log.damaged': [503, "This node's store is damaged"],
  'member.unknown': [404, 'No such member'],
  'payload.cut': [400, 'The payload broke off'],
  'payload.too_large': [413, 'The payload is too large'],
  'payload.too_many': [429, 'Too many payloads at once'],
  'proposal.unknown': [404, 'No such proposal'],
  'record.unknown': [404, 'No such record'],
  'record.erased': [410, 'The record was erased'],
  'record.too_large': [413, 'The record is too large for this'],
  'subject.unknown': [404, 'No such subject'],
  'subject.revoked': [403, 'The subject was revoked'],
  'right.missing': [403, 'The signer does not hold the right'],
  'right.custody': [409, 'The subject has keys of its own'],
  'search.budget': [429, 'The search budget is used up'],
  'search.incomplete': [503, 'The search cannot be answered now'],
  'search.keys_inconsistent': [502, 'An index answer does not verify'],
  'search.lag_exceeded': [503, 'The search cannot be answered now'],
  'search.list_malformed': [502, 'An index answer does not verify'],
  'search.manifest_hash': [502, 'An index answer does not verify'],
  'search.manifest_malformed': [502, 'An index answer does not verify'],
  'search.manifest_ranges': [502, 'An index answer does not verify'],
  'search.oprf_count': [502, 'An index answer does not verify'],
  'search.oprf_element': [502, 'An index answer does not verify'],
  'search.oprf_proof': [502, 'An index answer does not verify'],
  'search.policy': [403, 'The search was denied'],
  'search.segment_cell': [502, 'An index answer does not verify'],
  'search.segment_duplicate_tag': [502, 'An index answer does not verify'],
  'search.segment_length': [502, 'An index answer does not verify'],
  'search.segment_root': [502, 'An index answer does not verify'],
  'search.segment_unavailable': [503, 'The search cannot be answered now'],
  'search.counts_mixed': [403, 'The search was denied'],
  'search.counts_only': [403, 'The search was denied'],
  'search.direct_off': [403, 'The index is not read this way here'],
  'search.epoch_over': [503, 'The search epoch has ended'],
  'search.epoch_stale': [503, 'The search epoch has ended'],
  'search.opening_unknown': [404, 'Nothing opens this search here'],
  'search.opening_wrong': [400, 'The opening is not of this search'],
  'search.numbers_unproven': [502, 'Record numbers are not as the ledger has them'],
  'search.unverified': [502, 'An index answer does not verify'],
  'search.field_unproven': [502, 'A search field is not as the ledger has it'],
  'state.damaged': [503, "This node's store is damaged"],
  'storage.bad_cid': [400, 'Malformed content identifier'],
  'storage.bad_key': [400, 'Malformed store key'],
  'storage.bad_range': [416, 'The range lies outside the object'],
  'storage.bad_request': [400, 'The gateway request was refused'],
  'storage.block_too_large': [413, 'The block is too large'],
  'storage.full': [507, 'The disk of this node is full'],
  'storage.hash_mismatch': [422, 'The bytes do not match the hash they came under'],
  'storage.not_found': [404, 'Not stored here'],
  'storage.too_large': [413, 'The object is too large'],
  'witness.unknown': [403, 'No registered witness'],
  'tx.nonce_reused': [409, 'The nonce was used for another transaction'],
  'tx.duplicate': [409, 'The transaction was committed before'],
  'timeout.receipt': [504, 'Committed, but the receipt is not complete yet'],
  internal: [500, 'A fault of the server'],
};

/** Status and title of `code`, or undefined when the table does not know it. */
export function problemOf(code: string): readonly [status: number, title: string] | undefined {
  return CODES[code] ?? FAMILIES[code.split('.', 1)[0]];
}

/** All codes with an own row, and the families: what `docs/errors.md` lists. */
export const PROBLEM_TABLE = { codes: CODES, families: FAMILIES } as const;

function problem(code: string, detail: string, extensions: Record<string, unknown> = {}): Problem {
  const known = problemOf(code);
  const [status, title] = known ?? CODES.internal;
  const shown = known === undefined ? 'internal' : code;
  return {
    // Before the members of RFC 9457, so that no detail can stand in their place.
    ...(known === undefined ? {} : extensions),
    type: `urn:hippocrypt:problem:${shown}`,
    title,
    status,
    code: shown,
    detail:
      shown === 'internal' ? 'The server met a fault of its own; its log names the request id.' : detail,
  };
}

/** Codes of the token library; the verifier below it has a dozen more for bytes that are no token at all. */
const JWT_REFUSALS = /^F(?:S|AS)T_JWT_/;

interface Validation {
  readonly instancePath: string;
  readonly message?: string;
}

/** The problem that tells a caller about `error`. Unknown causes say nothing but `internal`. */
export function toProblem(error: unknown): Problem {
  if (error instanceof CodedError) return problem(error.code, error.message, error.details);
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = (error.validation as readonly Validation[]).slice(0, 20).map((issue) => ({
      path: issue.instancePath,
      message: issue.message ?? 'not of the expected form',
    }));
    const first = errors[0];
    return problem('request.invalid', `${error.validationContext ?? 'body'}${first.path}: ${first.message}`, {
      errors,
    });
  }
  const code = (error as { code?: unknown }).code;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem('request.too_large', 'The body is larger than this route accepts.');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem('request.media_type', 'Send application/json.');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return problem('request.not_json', 'The body could not be read as JSON.');
    case 'FST_JWT_NO_AUTHORIZATION_IN_HEADER':
      return problem('auth.required', 'Send the token of /v1/auth/login as "Authorization: Bearer".');
    case 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED':
      return problem('auth.expired', 'The token has expired: sign in again.');
    default: {
      if (typeof code === 'string' && JWT_REFUSALS.test(code))
        return problem('auth.required', 'The token was not issued by this gateway: sign in again.');
      const status = (error as { statusCode?: unknown }).statusCode;
      if (status === 429)
        return problem('request.rate', 'Slow down and try again after the time in Retry-After.');
      if (typeof status === 'number' && status >= 400 && status < 500) {
        return problem('request.invalid', 'The request does not have the expected form.');
      }
      return problem('internal', 'unknown');
    }
  }
}
