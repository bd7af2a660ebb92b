/** Shapes that several routes share. JSON: ids in lower-case hexadecimal, other bytes in base64url, times RFC 3339 UTC. */
import { z } from 'zod';

const hex = (bytes: number, what: string) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), `expected ${2 * bytes} lower-case hexadecimal digits`)
    .describe(what);

export const SubjectIdText = hex(16, 'subject id');
export const RecordIdText = hex(32, 'record id');
export const EntryIdText = hex(32, 'entry id: the leaf hash');
export const KeyIdText = hex(32, 'key id: the entry id of its KeyIssue');
export const MemberIdText = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'expected a member id');

/** base64url without padding, at most `bytesMax` bytes. */
export const base64url = (bytesMax: number, what: string) =>
  z
    .string()
    .max(Math.ceil((bytesMax * 4) / 3))
    .regex(/^[A-Za-z0-9_-]*$/, 'expected base64url without padding')
    .describe(what);

export const AttributeText = z.string().min(3).max(512).describe('attribute such as mercy/role:doctor');
export const PolicyText = z.string().min(1).max(65_536).describe('policy text, see docs/policies.md');
export const Purpose = z.enum(['treatment', 'payment', 'operations', 'research', 'patient', 'audit']);
export const Time = z.iso.datetime().describe('RFC 3339 UTC');

/** A transaction signed by the client: present for subjects that keep their own keys. */
export const SignedFields = {
  tx: base64url(1024 * 1024, 'signed transaction bytes').optional(),
  sig: base64url(64, 'signature over the transaction').optional(),
};

/** What a committed write answers with. */
export const Committed = z
  .object({
    entryId: EntryIdText,
    index: z.number().int(),
    height: z.number().int(),
    time: Time,
    type: z.string(),
    result: z.record(z.string(), z.unknown()),
    receipt: z
      .string()
      .nullable()
      .describe('base64url receipt; verify it offline with `hippocrypt ledger verify`'),
  })
  .meta({ id: 'Committed' });
export type CommittedJson = z.infer<typeof Committed>;

export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string().describe('stable code, see docs/errors.md'),
    detail: z.string(),
    requestId: z.string(),
  })
  .loose()
  .meta({ id: 'Problem' });

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ProblemSchema } },
});

/** Error answers of every route (RFC 9457). */
export const problems = {
  '4xx': problem('The request was refused; `code` says why'),
  '5xx': problem('The gateway, its store or its peers cannot answer now; `code` says what'),
} as const;

/** Query of a list that pages by cursor. */
export const PageQuery = {
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(200).optional().describe('the `next` of the page before'),
};
