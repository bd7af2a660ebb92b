/**
 * The network between members' processes: a loopback proxy for each ordered pair, so that a link can be cut and healed while
 * both ends run. What a cut holds back is delivered when it heals, as TCP would after a lost cable; with `reset` the connections
 * break, as after a firewall's change.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export type CutKind = 'silent' | 'reset';

interface Pipe {
  readonly dialer: Socket;
  readonly listener: Socket;
}

/** Everything that `from` dials `to` through. Bytes from the dialer are `out`, the answers `back`. */
class Wire {
  readonly #target: number;
  readonly #pipes = new Set<Pipe>();
  readonly #server: Server;
  #out = true;
  #back = true;
  #refusing = false;

  constructor(target: number) {
    this.#target = target;
    this.#server = createServer((socket) => this.#adopt(socket));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return address.port;
  }

  set(way: 'out' | 'back', open: boolean, kind: CutKind): void {
    if (way === 'out') this.#out = open;
    else this.#back = open;
    this.#refusing = kind === 'reset' && !(this.#out && this.#back);
    for (const pipe of this.#pipes) {
      if (this.#refusing) pipe.dialer.resetAndDestroy();
      else this.#steer(pipe);
    }
  }

  async close(): Promise<void> {
    for (const { dialer, listener } of this.#pipes) {
      dialer.destroy();
      listener.destroy();
    }
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #adopt(dialer: Socket): void {
    if (this.#refusing) {
      dialer.resetAndDestroy();
      return;
    }
    const listener = connect(this.#target, '127.0.0.1');
    const pipe: Pipe = { dialer, listener };
    this.#pipes.add(pipe);
    for (const [from, to] of [
      [dialer, listener],
      [listener, dialer],
    ]) {
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => this.#steer(pipe));
      from.once('close', () => {
        this.#pipes.delete(pipe);
        to.destroy();
      });
    }
    this.#steer(pipe);
  }

  #steer({ dialer, listener }: Pipe): void {
    if (this.#out) dialer.resume();
    else dialer.pause();
    if (this.#back) listener.resume();
    else listener.pause();
  }
}

export class Network {
  readonly #wires = new Map<string, Wire>();

  /** Proxies between members that will listen on `ports`. */
  constructor(ports: ReadonlyMap<string, number>) {
    for (const from of ports.keys())
      for (const [to, port] of ports) if (from !== to) this.#wires.set(`${from}>${to}`, new Wire(port));
  }

  /** Listens; answers the port at which `from` finds `to`. */
  async start(): Promise<(from: string, to: string) => number> {
    const ports = new Map<string, number>();
    for (const [name, wire] of this.#wires) ports.set(name, await wire.listen());
    return (from, to) => ports.get(`${from}>${to}`) ?? 0;
  }

  /** Nothing that `from` says reaches `to` any more; what `to` says goes on unless it is cut too. */
  cut(from: string, to: string, kind: CutKind): void {
    this.#set(from, to, false, kind);
  }

  heal(): void {
    for (const wire of this.#wires.values()) {
      wire.set('out', true, 'silent');
      wire.set('back', true, 'silent');
    }
  }

  async close(): Promise<void> {
    for (const wire of this.#wires.values()) await wire.close();
  }

  #set(from: string, to: string, open: boolean, kind: CutKind): void {
    this.#wires.get(`${from}>${to}`)?.set('out', open, kind);
    this.#wires.get(`${to}>${from}`)?.set('back', open, kind);
  }
}
