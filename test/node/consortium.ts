/**
 * A consortium for tests: four members in one process in a temporary directory, the administrators' accounts, and
 * the people that most tests need. Everything is reached through public doors: the gateways' apps (`inject`), their
 * URLs, and the SDK. One start a test file; `close` ends it and removes the directory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { DEMO_PASSWORD, People, type Person } from '../../src/cli/tour/people.ts';
import type { Hippocrypt } from '../../src/client/index.ts';
import { memberId } from '../../src/codec/ids.ts';
import { type Consortium, type ConsortiumOptions, startConsortium } from '../../src/node/consortium.ts';
import type { MemberNode } from '../../src/node/member.ts';

export const PASSWORD = DEMO_PASSWORD;

/** Staff of mercy, one doctor of st-luke, and a patient. `import` signs for records and enrolment in gateway custody. */
export const CAST = {
  doctor: person('doctor', 'mercy', ['mercy/role:doctor', 'mercy/dept:cardiology', 'mercy/right:author']),
  clerk: person('clerk', 'mercy', ['mercy/role:billing']),
  nurse: { ...person('nurse', 'mercy', ['mercy/role:nurse', 'mercy/dept:cardiology']), custody: 'gateway' },
  import: {
    ...person('import', 'mercy', ['mercy/right:author', 'mercy/right:registrar']),
    kind: 'system',
    custody: 'gateway',
  },
  visitor: person('visitor', 'st-luke', ['st-luke/role:doctor', 'st-luke/dept:general']),
  patient: { ...person('patient', 'mercy', []), kind: 'patient', identifiers: ['urn:test|patient-1'] },
} as const satisfies Record<string, Person>;

export type CastName = keyof typeof CAST;

function person(name: string, member: string, attributes: readonly string[]): Person {
  return { name, member, kind: 'person', attributes, custody: 'client' };
}

/** An event of a node's log. */
export interface LogEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Town {
  readonly dir: string;
  readonly consortium: Consortium;
  readonly people: People;
  /** What the nodes logged, in order. */
  readonly events: readonly LogEvent[];
  node(member: string): MemberNode;
  app(member: string): FastifyInstance;
  url(member: string): string;
  /** A person of `CAST`, enrolled at its first use. */
  client(name: CastName): Promise<Hippocrypt>;
  /** A token of an account at a member's gateway. */
  token(member: string, account: string): Promise<string>;
  /** Resolves when every index covers its records and every member holds the copies. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the town; `options` are the consortium's beside its place. */
export async function startTown(options: Partial<ConsortiumOptions> = {}): Promise<Town> {
  const dir = await mkdtemp(join(tmpdir(), 'hippocrypt-town-'));
  const events: LogEvent[] = [];
  const consortium = await startConsortium({
    ...options,
    dir: join(dir, 'data'),
    port: 0,
    ratePerMinute: 0,
    log: { event: (name, fields) => events.push({ name, fields }) },
  });
  for (const node of consortium.nodes.values()) {
    await node.accounts.add('admin', PASSWORD, node.operator, 'gateway');
  }
  const people = await People.open(join(dir, 'people'), consortium.urls);
  const clients = new Map<CastName, Promise<Hippocrypt>>();
  const node = (member: string): MemberNode => {
    const found = consortium.nodes.get(memberId(member));
    if (found === undefined) throw new Error(`no member ${member} runs here`);
    return found;
  };
  const app = (member: string): FastifyInstance => {
    const found = node(member).app;
    if (found === undefined) throw new Error(`the gateway of ${member} does not listen`);
    return found;
  };
  return {
    dir,
    consortium,
    people,
    events,
    node,
    app,
    url: (member) => consortium.urls.get(memberId(member)) ?? '',
    client: (name) => {
      const known = clients.get(name) ?? people.enrol(CAST[name]);
      clients.set(name, known);
      return known;
    },
    token: async (member, account) => {
      const answer = await app(member).inject({
        method: 'POST',
        url: '/v1/auth/login',
        payload: { account, password: PASSWORD },
      });
      return (answer.json() as { token: string }).token;
    },
    settled: async () => {
      const nodes = [...consortium.nodes.values()];
      await Promise.all(nodes.map((one) => one.indexService().flush()));
      await Promise.all(nodes.map((one) => one.replicas.idle()));
    },
    close: async () => {
      await consortium.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
