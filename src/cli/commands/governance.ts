/** What members decide together: proposals, renewing the authorities' shares, who belongs to the consortium. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Committed, Hippocrypt } from '../../client/index.ts';
import { CodedError } from '../../codec/errors.ts';
import { wholeNumber } from '../arguments.ts';
import { type Output, table } from '../output.ts';
import { connectProfile } from '../profile.ts';
import { type CommonOptions, runs } from '../run.ts';

/** How often a command that waits looks again. */
const POLL_MS = 500;

interface ProposalJson {
  readonly proposal: string;
  readonly kind: string;
  readonly until: string;
  readonly approvals: readonly string[];
  readonly needed: number;
  readonly executed: boolean;
  readonly open: boolean;
  readonly effect: readonly { members: number; faults: number; quorum: number }[] | null;
}

interface CeremonyJson {
  readonly id: string;
  readonly shareEpoch: number;
  readonly phase: string;
  readonly waitsFor: readonly string[];
  readonly waitsUntil: string;
  readonly blamed: readonly { readonly dealer: string; readonly reason: string }[];
}

interface AuthoritiesJson {
  readonly shareEpoch: number | null;
  readonly threshold: number | null;
  readonly members: readonly string[];
  readonly ceremony: CeremonyJson | null;
}

interface RenewOptions extends CommonOptions {
  readonly window: number;
}

interface WaitOptions extends CommonOptions {
  readonly timeout: number;
}

export function governanceCommands(program: Command): void {
  proposalCommands(program);
  shareCommands(program);
  memberCommands(program);
}

function proposalCommands(program: Command): void {
  const proposal = program.command('proposal').description('changes that no member decides alone');
  runs(proposal.command('list').description('open proposals, and past ones'), async (output) => {
    const { gateway } = await connectProfile();
    const page = await gateway.json<{ proposals: ProposalJson[] }>('GET', '/v1/proposals');
    output.result(page.proposals, () =>
      table(
        ['proposal', 'kind', 'approvals', 'state'],
        page.proposals.map((one) => [one.proposal, one.kind, counted(one), stateOf(one)]),
      ),
    );
  });
  runs(
    proposal.command('show').description('one proposal in full').argument('<proposal>'),
    async (output, _options, [id]) => {
      const { gateway } = await connectProfile();
      const seen = await gateway.json<ProposalJson>('GET', `/v1/proposals/${id}`);
      output.result(seen, () => JSON.stringify(seen, null, 2));
    },
  );
  runs(
    proposal.command('approve').description('approve it for your member').argument('<proposal>'),
    async (output, _options, [id]) => {
      const { gateway } = await connectProfile();
      const done = await gateway.json<Committed>('POST', `/v1/proposals/${id}/approve`, { body: {} });
      const seen = await gateway.json<ProposalJson>('GET', `/v1/proposals/${id}`);
      output.result({ ...done, proposal: seen }, () => `approved: ${counted(seen)}, ${stateOf(seen)}`);
    },
  );
}

function shareCommands(program: Command): void {
  const shares = program.command('shares').description("the authorities' key shares");
  runs(
    shares.command('status').description('share epoch, holders, and the ceremony under way'),
    async (output) => {
      const seen = await authoritiesOf(await connectProfile());
      output.result(seen, () => described(seen));
    },
  );
  const window = ['--window <seconds>', 'how long each phase waits for silent members'] as const;
  runs<RenewOptions>(
    shares
      .command('refresh')
      .description('propose new shares of the same key for the same members')
      .option(...window, wholeNumber(1, 86_400), 60),
    (output, options) => renew(output, options, 'refresh'),
  );
  runs<RenewOptions>(
    shares
      .command('reshare')
      .description('propose to move the shares to the members of now, after one joined or left')
      .option(...window, wholeNumber(1, 86_400), 60),
    (output, options) => renew(output, options, 'reshare'),
  );
  runs(shares.command('abort').description('propose to give up the ceremony under way'), async (output) => {
    const client = await connectProfile();
    const { ceremony } = await authoritiesOf(client);
    if (ceremony === null || isOver(ceremony))
      throw new CodedError('share.ceremony', 'no ceremony is under way');
    await propose(client, output, { kind: 'ShareAbort', ceremony: ceremony.id });
  });
  runs<WaitOptions>(
    shares
      .command('wait')
      .description('wait for the end of the ceremony under way; says for whom it waits')
      .option('--timeout <seconds>', 'give up after so long', wholeNumber(1, 86_400), 600),
    async (output, { timeout }) => waitForEnd(await connectProfile(), output, timeout),
  );
}

function memberCommands(program: Command): void {
  const member = program.command('member').description('who belongs to the consortium');
  runs(member.command('list').description('members, as on the ledger'), async (output) => {
    const { members } = await (await connectProfile()).context.members();
    output.result(members, () =>
      table(
        ['member', 'name', 'url'],
        members.map((one) => [one.id, one.name, one.url]),
      ),
    );
  });
  runs(
    member
      .command('add')
      .description('propose to admit a hospital whose node follows the chain as an observer')
      .argument('<member>'),
    async (output, _options, [id]) => {
      await propose(await connectProfile(), output, { kind: 'Admission', member: id });
    },
  );
  runs(
    member.command('remove').description('propose to remove a member').argument('<member>'),
    async (output, _options, [id]) => {
      await propose(await connectProfile(), output, { kind: 'Reconfig', remove: id });
    },
  );
}

const counted = ({ approvals, needed }: ProposalJson): string => `${approvals.length} of ${needed}`;
const stateOf = ({ executed, open }: ProposalJson): string =>
  executed ? 'in effect' : open ? 'open' : 'closed';
const isOver = ({ phase }: CeremonyJson): boolean => phase === 'done' || phase === 'failed';

function authoritiesOf({ gateway }: Hippocrypt): Promise<AuthoritiesJson> {
  return gateway.json<AuthoritiesJson>('GET', '/v1/authorities');
}

function described({ shareEpoch, threshold, members, ceremony }: AuthoritiesJson): string {
  const lines = [
    shareEpoch === null
      ? 'no share epoch is in force'
      : `share epoch ${shareEpoch}: any ${threshold} of ${members.join(', ')}`,
  ];
  if (ceremony !== null) lines.push(...ceremonyLines(ceremony));
  return lines.join('\n');
}

function ceremonyLines({ shareEpoch, phase, waitsFor, waitsUntil, blamed }: CeremonyJson): string[] {
  const waits = waitsFor.length === 0 ? '' : `, waits for ${waitsFor.join(', ')} until ${waitsUntil}`;
  return [
    `ceremony for share epoch ${shareEpoch}: ${phase}${waits}`,
    ...blamed.map(({ dealer, reason }) => `  out: ${dealer} (${reason})`),
  ];
}

async function propose(client: Hippocrypt, output: Output, change: object): Promise<void> {
  const done = await client.gateway.json<Committed>('POST', '/v1/proposals', { body: { change } });
  const seen = await client.gateway.json<ProposalJson>('GET', `/v1/proposals/${done.entryId}`);
  output.result({ ...done, proposal: seen }, () =>
    [
      `proposal ${seen.proposal}: ${counted(seen)} approvals, ${stateOf(seen)}`,
      ...(seen.effect ?? []).map(
        ({ members, faults, quorum }, i) =>
          `  ${i === 0 ? 'before' : 'after '}: ${members} members, ${faults} may fail, quorum ${quorum}`,
      ),
      ...(seen.executed ? [] : [`others approve it with "hippocrypt proposal approve ${seen.proposal}"`]),
    ].join('\n'),
  );
}

async function renew(
  output: Output,
  { window }: RenewOptions,
  verb: 'refresh' | 'reshare',
): Promise<undefined> {
  const client = await connectProfile();
  const [{ members: holders }, { members }] = await Promise.all([
    authoritiesOf(client),
    client.context.freshMembers(),
  ]);
  const isSame = members.length === holders.length && members.every(({ id }) => holders.includes(id));
  if (isSame !== (verb === 'refresh')) {
    throw new CodedError(
      'cli.usage',
      isSame
        ? 'the holders are the members already: renew their shares with "shares refresh"'
        : 'the members have changed since the shares were dealt: move them with "shares reshare"',
    );
  }
  const change = { kind: 'ShareRenew', members: members.map(({ id }) => id), windowSeconds: window };
  await propose(client, output, change);
  return undefined;
}

async function waitForEnd(
  client: Hippocrypt,
  output: Output,
  timeoutSeconds: number,
): Promise<number | undefined> {
  const giveUp = performance.now() + 1000 * timeoutSeconds;
  let told = '';
  for (;;) {
    const seen = await authoritiesOf(client);
    const { ceremony } = seen;
    const lines = ceremony === null ? [] : ceremonyLines(ceremony);
    if (lines.join() !== told) for (const line of lines) output.note(line);
    told = lines.join();
    if (ceremony === null || isOver(ceremony)) {
      output.result(seen, () => described(seen));
      if (ceremony?.phase !== 'failed') return undefined;
      throw new CodedError('dkg.failed', 'the ceremony has failed: the shares in force stay');
    }
    if (performance.now() > giveUp)
      throw new CodedError('dkg.timeout', `the ceremony still waits for ${ceremony.waitsFor.join(', ')}`);
    await delay(POLL_MS);
  }
}
