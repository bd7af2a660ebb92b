/** Members of the consortium, the attribute registry and the default policies: what a client must know to begin. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { toBase64url } from '../../codec/bytes.ts';
import { toJson } from '../json.ts';
import type { Services } from '../ports.ts';
import { MemberIdText, problems } from '../schemas.ts';

export function memberRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();
  const values = async (prefix: string): Promise<Record<string, unknown>[]> => {
    const rows = await services.ledger.list(prefix, { limit: 1000 });
    return rows.map(([, value]) => toJson(value) as Record<string, unknown>);
  };

  app.get(
    '/members',
    {
      config: { public: true },
      schema: {
        summary: 'Members of the consortium',
        description: 'Chain, validators and public keys, as on the ledger. A new client pins the chain id.',
        tags: ['members'],
        response: {
          200: z
            .object({
              chainId: z.string(),
              member: MemberIdText,
              genesis: z.string().describe('the genesis leaf; its hash names the chain for ever'),
              members: z.array(z.record(z.string(), z.unknown())),
              epochs: z
                .array(z.unknown())
                .describe(
                  'changes of validators since genesis: { header, qc, next }, each vouched for by the set before',
                ),
            })
            .meta({ id: 'Members' }),
          ...problems,
        },
      },
    },
    async () => ({
      chainId: services.chainId,
      member: services.member,
      genesis: toBase64url(services.ledger.genesisLeaf()),
      members: await values('member/'),
      epochs: services.ledger.epochLinks(),
    }),
  );

  app.get(
    '/attributes',
    {
      schema: {
        summary: 'The attribute registry',
        tags: ['members'],
        security: [{ bearer: [] }],
        response: { 200: z.object({ labels: z.array(z.record(z.string(), z.unknown())) }), ...problems },
      },
    },
    async () => ({ labels: await values('label/') }),
  );

  app.get(
    '/policies/defaults',
    {
      schema: {
        summary: 'Default policies by resource type',
        description:
          'What a record is sealed under when nobody names a policy. `{member}`, `{dept}` and `{patient}` are filled in.',
        tags: ['members'],
        security: [{ bearer: [] }],
        response: { 200: z.record(z.string(), z.unknown()), ...problems },
      },
    },
    () => services.defaultPolicies(),
  );
}
