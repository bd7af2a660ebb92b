/**
 * Governance: operators propose, and approve what others have proposed; when enough members have, the proposal takes
 * effect in that block. Which change needs a majority and which a quorum is the ledger's rule.
 */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fromHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { memberId } from '../../codec/ids.ts';
import { approvalsNeeded, bounds, faultBound, type ProposalState, quorumOf } from '../../ledger/index.ts';
import { toJson, toTime } from '../json.ts';
import type { Services } from '../ports.ts';
import {
  AttributeText,
  Committed,
  EntryIdText,
  MemberIdText,
  PageQuery,
  problems,
  SignedFields,
  SubjectIdText,
  Time,
} from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { commit } from '../writes.ts';

const bearer = [{ bearer: [] }];
/** How long a proposal stays open unless it says otherwise. */
const OPEN_MS = 7 * 24 * 60 * 60 * 1000;
/** How long each phase of a key ceremony waits for the silent, unless the proposal says otherwise. */
const WINDOW_SECONDS = 60;

const Label = z.object({
  label: z.string().max(128),
  type: z.enum(['text', 'int', 'date', 'level']),
  width: z
    .union([z.literal(16), z.literal(32), z.literal(64)])
    .nullable()
    .default(null),
  values: z.array(z.string().max(256)).max(1024).nullable().default(null),
  shared: z.boolean().default(false),
});

const Change = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('ShareRenew'),
    members: z
      .array(MemberIdText)
      .max(bounds.MEMBERS_MAX)
      .optional()
      .describe('all members; checked if given'),
    windowSeconds: z.number().int().min(1).max(86_400).default(WINDOW_SECONDS),
  }),
  z.object({
    kind: z.literal('ShareAbort'),
    ceremony: EntryIdText.describe('id of the ceremony, see /v1/authorities'),
  }),
  z.object({ kind: z.literal('Reconfig'), remove: MemberIdText }),
  z.object({
    kind: z.literal('Admission'),
    member: MemberIdText.describe('a hospital whose node follows the chain as an observer'),
  }),
  z.object({ kind: z.literal('RegistryPut'), labels: z.array(Label).min(1).max(bounds.LABELS_MAX) }),
  z.object({
    kind: z.literal('AttributeSet'),
    subject: SubjectIdText,
    attribute: AttributeText,
    end: Time.nullable().default(null),
  }),
  z.object({ kind: z.literal('EligibilityClear'), member: MemberIdText }),
]);
type Change = z.infer<typeof Change>;

const Proposal = z
  .object({
    proposal: EntryIdText,
    kind: z.string(),
    body: z.record(z.string(), z.unknown()),
    until: Time,
    approvals: z.array(z.string()),
    needed: z.number().int(),
    executed: z.boolean(),
    open: z.boolean(),
    effect: z
      .object({ members: z.number(), faults: z.number(), quorum: z.number() })
      .array()
      .length(2)
      .nullable()
      .describe('of a change of members: how many, how many may fail, and the quorum, before and after'),
  })
  .meta({ id: 'Proposal' });

/** Kind and body of the entry for a change as JSON has it. */
async function entryOf(
  services: Services,
  change: Change,
  members: readonly string[],
): Promise<{ kind: string; body: Record<string, unknown> }> {
  switch (change.kind) {
    case 'ShareRenew': {
      const windowMs = change.windowSeconds * 1000;
      return { kind: change.kind, body: { members: change.members ?? members, windowMs } };
    }
    case 'ShareAbort':
      return { kind: change.kind, body: { ceremony: fromHex(change.ceremony) } };
    case 'Reconfig':
      return { kind: change.kind, body: { add: null, remove: change.remove } };
    case 'Admission':
      // What the newcomer's node shows of itself; the entry's strict decoder says what is wrong with it.
      return {
        kind: 'Reconfig',
        body: { add: await services.admission(memberId(change.member)), remove: null },
      };
    case 'RegistryPut':
      return { kind: change.kind, body: { labels: change.labels } };
    case 'AttributeSet': {
      const { kind, subject, attribute, end } = change;
      return {
        kind,
        body: { subject: fromHex(subject), attribute, until: end === null ? null : Date.parse(end) },
      };
    }
    case 'EligibilityClear':
      return { kind: change.kind, body: { member: change.member } };
  }
}

export function proposalRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  const members = (): readonly string[] =>
    (services.ledger.get('members') as readonly string[] | undefined) ?? [];

  const view = (id: string, state: ProposalState): z.infer<typeof Proposal> => {
    const n = members().length;
    const sizes = (count: number) => ({ members: count, faults: faultBound(count), quorum: quorumOf(count) });
    const isOpen = !state.executed && services.ledger.tip().timeMs < state.until;
    return {
      proposal: id,
      kind: state.kind,
      body: toJson(state.body) as Record<string, unknown>,
      until: toTime(state.until),
      approvals: [...state.approvals],
      needed: approvalsNeeded(state.kind, n),
      executed: state.executed,
      open: isOpen,
      effect:
        state.kind === 'Reconfig' && isOpen
          ? [sizes(n), sizes(state.body.add === null ? n - 1 : n + 1)]
          : null,
    };
  };

  app.post(
    '/proposals',
    {
      schema: {
        summary: 'Propose a change that no member decides alone',
        description:
          "By an operator; counts as its member's approval. It takes effect when enough members approve.",
        tags: ['governance'],
        security: bearer,
        body: z.object({ ...SignedFields, change: Change.optional(), until: Time.optional() }),
        response: { 201: Committed, ...problems },
      },
    },
    async (request, reply) => {
      const { body } = request;
      reply.code(201);
      if (body.tx === undefined && body.change === undefined)
        throw new CodedError('request.invalid', 'expected a "change"');
      const until = body.until === undefined ? services.nowMs() + OPEN_MS : Date.parse(body.until);
      const plain =
        body.change === undefined ? {} : { ...(await entryOf(services, body.change, members())), until };
      return commit(services, { session: sessionOf(request), type: 'Proposal', body: plain, signed: body });
    },
  );

  app.get(
    '/proposals',
    {
      schema: {
        summary: 'Proposals, open ones and past ones',
        tags: ['governance'],
        security: bearer,
        querystring: z.object(PageQuery),
        response: {
          200: z.object({ proposals: z.array(Proposal), next: z.string().nullable() }),
          ...problems,
        },
      },
    },
    (request) => {
      const { limit, cursor } = request.query;
      const page = services.ledger.entries({
        kind: 'Proposal',
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      const proposals = page.entries.flatMap(({ entryId }) => {
        const state = services.ledger.get(`proposal/${entryId}`) as ProposalState | undefined;
        return state === undefined ? [] : [view(entryId, state)];
      });
      return { proposals, next: page.next };
    },
  );

  app.get(
    '/proposals/:id',
    {
      schema: {
        summary: 'One proposal',
        tags: ['governance'],
        security: bearer,
        params: z.object({ id: EntryIdText }),
        response: { 200: Proposal, ...problems },
      },
    },
    (request) => {
      const state = services.ledger.get(`proposal/${request.params.id}`) as ProposalState | undefined;
      if (state === undefined) throw new CodedError('proposal.unknown', 'no proposal has this id');
      return view(request.params.id, state);
    },
  );

  app.post(
    '/proposals/:id/approve',
    {
      schema: {
        summary: 'Approve a proposal for your member',
        tags: ['governance'],
        security: bearer,
        params: z.object({ id: EntryIdText }),
        body: z.object(SignedFields),
        response: { 201: Committed, ...problems },
      },
    },
    async (request, reply) => {
      reply.code(201);
      return commit(services, {
        session: sessionOf(request),
        type: 'Approval',
        body: { proposal: fromHex(request.params.id) },
        signed: request.body,
      });
    },
  );
}
