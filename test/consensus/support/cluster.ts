/** n members in one process over the real codec, with real signatures; seeded keys and nonces. */
import { createHash } from 'node:crypto';
import {
  type BatchLimits,
  DEFAULT_TIMING,
  type Genesis,
  InProcessNetwork,
  MemoryWal,
  type NodeEvent,
  PbftNode,
  type PeerId,
  type Submitted,
  type Timing,
  type Transport,
  type ValidatorKey,
  validatorKey,
  type Wal,
} from '../../../src/consensus/index.ts';
import { encodeSimRequest, SimApplication } from '../../../src/consensus/sim/application.ts';

export const seeded = (text: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(text).digest());

export interface Member {
  readonly key: ValidatorKey;
  readonly id: PeerId;
  readonly application: SimApplication;
  readonly events: NodeEvent[];
  node: PbftNode;
  wal: Wal;
}

const FAST: Timing = { ...DEFAULT_TIMING, viewTimeoutMs: 200, resendMs: 100, statusMs: 200, helloMs: 30 };

export class Cluster {
  readonly network = new InProcessNetwork();
  readonly members: Member[];
  readonly genesis: Genesis;
  readonly #timing: Timing;
  readonly #batch: BatchLimits | undefined;
  #nonce = 0;

  constructor(
    n: number,
    options: {
      timing?: Partial<Timing>;
      wal?: (i: number) => Wal;
      batch?: BatchLimits;
      transport?: (i: number) => Transport;
    } = {},
  ) {
    const keys = Array.from({ length: n }, (_, i) => validatorKey(seeded(`validator ${i}`)));
    this.#timing = { ...FAST, ...options.timing };
    this.#batch = options.batch;
    this.genesis = {
      chainId: seeded('chain'),
      time: Date.now() - 1000,
      validators: keys.map((key) => key.publicKey),
    };
    this.members = keys.map((key, i) =>
      this.#member(
        key,
        new SimApplication(),
        options.wal?.(i) ?? new MemoryWal(),
        [],
        options.transport?.(i),
      ),
    );
  }

  #member(
    key: ValidatorKey,
    application: SimApplication,
    wal: Wal,
    events: NodeEvent[],
    transport?: Transport,
  ): Member {
    const id = Buffer.from(key.publicKey).toString('hex');
    let draws = 0;
    const node = new PbftNode({
      key,
      genesis: this.genesis,
      application,
      blocks: application,
      wal,
      transport: transport ?? this.network.endpoint(id),
      random: (count) => seeded(`${id} ${draws++} ${events.length}`).subarray(0, count),
      now: () => performance.now(),
      clock: () => Date.now(),
      timing: this.#timing,
      ...(this.#batch && { batch: this.#batch }),
      onEvent: (event) => events.push(event),
    });
    return { key, id, application, events, node, wal };
  }

  async start(indexes: readonly number[] = [...this.members.keys()]): Promise<void> {
    for (const i of indexes) await this.members[i].node.start();
  }

  /** Starts member i again over what its disk holds; `wal` is the log as the restart finds it. */
  async restart(i: number, wal: Wal): Promise<void> {
    const { key, application, events } = this.members[i];
    this.members[i] = this.#member(key, application, wal, events);
    await this.members[i].node.start();
  }

  request(client = 1, payload = 'payload', lifeMs = 600_000): Uint8Array {
    this.#nonce += 1;
    return encodeSimRequest({
      client,
      nonce: this.#nonce,
      expiresAt: Date.now() + lifeMs,
      payload: new TextEncoder().encode(payload),
    });
  }

  submit(i: number, request = this.request()): Promise<Submitted> {
    return this.members[i].node.submit(request);
  }

  /** Waits until `condition` holds; the test's own time-out ends a wait that never does. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  heights(indexes: readonly number[] = [...this.members.keys()]): number[] {
    return indexes.map((i) => this.members[i].node.status().height);
  }

  async stop(): Promise<void> {
    for (const member of this.members) await member.node.stop();
  }
}
