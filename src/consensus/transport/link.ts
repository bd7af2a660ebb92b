/**
 * The member link: one mutually authenticated TLS 1.3 connection per pair of members, pinned by public key, carrying
 * length-prefixed frames of several channels. The peer with the smaller id dials and reconnects with back-off; the
 * other accepts. Messages are lost when there is no connection or its buffer is full; requests then fail.
 *
 * Protects against anyone without a pinned key. A pinned peer is authentic, not honest: sizes, rates and outstanding
 * requests are bounded for each.
 */
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { ConsensusError } from '../errors.ts';
import type { PeerId } from '../validators.ts';
import type { LinkIdentity } from './certificate.ts';
import { type Frame, FrameReader, FrameWriter } from './frames.ts';

/** Bytes that may wait for a slow peer before messages to it are dropped. */
export const SEND_BUFFER_MAX = 32 * 1024 * 1024;
/** Bytes taken from one peer in a second; above it the connection is read more slowly. */
export const RECEIVE_PER_SECOND_MAX = 128 * 1024 * 1024;
/** Requests of one peer that may be under way here. */
export const REQUESTS_IN_MAX = 256;
/** Connections that have not yet shown a pinned key. */
export const UNKNOWN_CONNECTIONS_MAX = 64;
const HANDSHAKE_MS = 5_000;
const PING_MS = 2_000;
const SILENCE_MS = 10_000;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 5_000;

/** Where a peer listens and which key it shows. */
export interface LinkPeer {
  readonly id: PeerId;
  /** `LinkIdentity.pin` of the peer. */
  readonly pin: string;
  readonly host: string;
  readonly port: number;
}

export interface LinkOptions {
  readonly self: PeerId;
  readonly identity: LinkIdentity;
  readonly peers: readonly LinkPeer[];
  readonly listen: { readonly host: string; readonly port: number };
  /** Names of the channels; position is the number on the wire, so all members list them alike. */
  readonly channels: readonly string[];
  /** A number in [0, 1) for the jitter of back-off. */
  readonly jitter: () => number;
}

/** What one channel does with what arrives. */
export interface ChannelHandlers {
  onMessage?(from: PeerId, body: Uint8Array): void;
  /** The answer to a request; what it throws reaches the asker as a failure with the error's `code` only. */
  onRequest?(from: PeerId, body: Uint8Array): Promise<Uint8Array>;
  onConnected?(peer: PeerId): void;
}

/** One channel of the link. */
export interface LinkChannel {
  /** Drops the message when there is no connection. */
  send(to: PeerId, body: Uint8Array): void;
  broadcast(body: Uint8Array): void;
  /** One answer, or `consensus.link_closed` when none comes within `timeoutMs`. */
  request(to: PeerId, body: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  connected(): PeerId[];
}

interface Asked {
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

interface Connection {
  readonly peer: PeerId;
  readonly socket: TLSSocket;
  readonly asked: Map<number, Asked>;
  answering: number;
  /** Frames of this turn of the event loop: they leave together, so in as few TLS records and system calls as can be. */
  readonly waiting: FrameWriter;
}

export class MemberLink {
  readonly #options: LinkOptions;
  readonly #peers = new Map<PeerId, LinkPeer>();
  readonly #connections = new Map<PeerId, Connection>();
  readonly #handlers: ChannelHandlers[];
  readonly #retry = new Map<PeerId, NodeJS.Timeout>();
  readonly #dialing = new Set<PeerId>();
  readonly #unknown = new Set<Socket>();
  #server: Server | undefined;
  #pinger: NodeJS.Timeout | undefined;
  #stopped = false;
  #nextId = 1;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#handlers = options.channels.map(() => ({}));
    for (const peer of options.peers) if (peer.id !== options.self) this.#peers.set(peer.id, peer);
  }

  /** The channel of `name`; `handlers` take the place of earlier ones. */
  channel(name: string, handlers: ChannelHandlers): LinkChannel {
    const channel = this.#options.channels.indexOf(name);
    if (channel < 0)
      throw new ConsensusError('consensus.bad_config', `expected a channel of the link, got ${name}`);
    this.#handlers[channel] = handlers;
    for (const peer of this.#connections.keys()) handlers.onConnected?.(peer);
    return {
      send: (to, body) => this.#write(to, { channel, kind: 'message', id: 0, body }),
      broadcast: (body) => {
        const frame: Frame = { channel, kind: 'message', id: 0, body };
        for (const connection of this.#connections.values()) this.#writeTo(connection, frame);
      },
      request: (to, body, timeoutMs) => this.#request(to, channel, body, timeoutMs),
      connected: () => [...this.#connections.keys()],
    };
  }

  /** Listens and begins to dial. Resolves with the port listened on. */
  async start(): Promise<number> {
    const { identity, listen } = this.#options;
    const server = createServer({ ...tlsOptions(identity), requestCert: true }, (socket) =>
      this.#adopt(socket),
    );
    server.on('connection', (socket: Socket) => this.#limitUnknown(socket));
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(listen.port, listen.host, resolve);
    });
    this.#pinger = setInterval(() => this.#ping(), PING_MS);
    this.#pinger.unref();
    for (const peer of this.#peers.values()) this.#dial(peer, BACKOFF_FIRST_MS);
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : listen.port;
  }

  /** Replaces the list of peers; connections to peers that left are closed. */
  setPeers(peers: readonly LinkPeer[]): void {
    this.#peers.clear();
    for (const peer of peers) if (peer.id !== this.#options.self) this.#peers.set(peer.id, peer);
    for (const [id, connection] of this.#connections) if (!this.#peers.has(id)) connection.socket.destroy();
    for (const peer of this.#peers.values()) {
      if (!this.#connections.has(peer.id) && !this.#retry.has(peer.id)) this.#dial(peer, BACKOFF_FIRST_MS);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#pinger);
    for (const timer of this.#retry.values()) clearTimeout(timer);
    for (const { socket } of this.#connections.values()) socket.destroy();
    for (const socket of this.#unknown) socket.destroy();
    const server = this.#server;
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  // ---- connections -------------------------------------------------------------------------------------------

  #dial(peer: LinkPeer, wait: number): void {
    if (this.#stopped || this.#options.self > peer.id || this.#dialing.has(peer.id)) return;
    this.#dialing.add(peer.id);
    const socket = connect({
      ...tlsOptions(this.#options.identity),
      host: peer.host,
      port: peer.port,
      // Pinned by key, not by name.
      checkServerIdentity: () => undefined,
    });
    let lastWait = wait;
    socket.once('secureConnect', () => {
      if (pinOf(socket) !== peer.pin) {
        socket.destroy();
        return;
      }
      lastWait = BACKOFF_FIRST_MS;
      this.#open(peer.id, socket);
    });
    socket.setTimeout(HANDSHAKE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#dialing.delete(peer.id);
      if (this.#stopped) return;
      const next = Math.min(2 * lastWait, BACKOFF_MAX_MS);
      const timer = setTimeout(
        () => {
          this.#retry.delete(peer.id);
          const current = this.#peers.get(peer.id);
          if (current !== undefined) this.#dial(current, next);
        },
        lastWait * (0.5 + this.#options.jitter()),
      );
      this.#retry.set(peer.id, timer);
    });
  }

  /** Bounds connections that have not shown a pinned key, in number and time. */
  #limitUnknown(socket: Socket): void {
    if (this.#unknown.size >= UNKNOWN_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.#unknown.add(socket);
    const timer = setTimeout(() => {
      if (this.#unknown.has(socket)) socket.destroy();
    }, HANDSHAKE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#unknown.delete(socket);
    });
  }

  /** An accepted connection: kept only if it shows a pinned key. */
  #adopt(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const pin = pinOf(socket);
    const peer = [...this.#peers.values()].find((candidate) => candidate.pin === pin);
    if (peer === undefined || this.#stopped) {
      socket.destroy();
      return;
    }
    for (const raw of this.#unknown) {
      if (raw.remotePort === socket.remotePort && raw.remoteAddress === socket.remoteAddress)
        this.#unknown.delete(raw);
    }
    this.#open(peer.id, socket);
  }

  /** A new connection of a peer takes the place of its old one. */
  #open(peer: PeerId, socket: TLSSocket): void {
    const connection: Connection = {
      peer,
      socket,
      asked: new Map(),
      answering: 0,
      waiting: new FrameWriter(),
    };
    const before = this.#connections.get(peer);
    this.#connections.set(peer, connection);
    before?.socket.destroy();
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.once('close', () => {
      if (this.#connections.get(peer) === connection) this.#connections.delete(peer);
      for (const asked of connection.asked.values()) {
        clearTimeout(asked.timer);
        asked.reject(new ConsensusError('consensus.link_closed', 'the connection closed before the answer'));
      }
    });
    this.#read(connection);
    for (const handlers of this.#handlers) handlers.onConnected?.(peer);
  }

  #read(connection: Connection): void {
    const { socket } = connection;
    const reader = new FrameReader();
    let windowEnds = 0;
    let taken = 0;
    socket.on('data', (chunk: Buffer) => {
      const now = performance.now();
      if (now >= windowEnds) {
        windowEnds = now + 1000;
        taken = 0;
      }
      taken += chunk.length;
      if (taken > RECEIVE_PER_SECOND_MAX) {
        socket.pause();
        setTimeout(() => socket.resume(), windowEnds - now);
      }
      let frames: Frame[];
      try {
        frames = reader.push(chunk);
      } catch {
        socket.destroy();
        return;
      }
      for (const frame of frames) this.#onFrame(connection, frame);
    });
  }

  #onFrame(connection: Connection, frame: Frame): void {
    if (frame.kind === 'ping') return;
    const handlers = this.#handlers[frame.channel];
    if (handlers === undefined) {
      connection.socket.destroy();
    } else if (frame.kind === 'message') {
      handlers.onMessage?.(connection.peer, frame.body);
    } else if (frame.kind === 'request') {
      this.#answer(connection, frame, handlers);
    } else {
      const asked = connection.asked.get(frame.id);
      if (asked === undefined) return;
      connection.asked.delete(frame.id);
      clearTimeout(asked.timer);
      if (frame.kind === 'response') asked.resolve(frame.body);
      else asked.reject(new RemoteError(Buffer.from(frame.body).toString('utf8')));
    }
  }

  #answer(connection: Connection, frame: Frame, handlers: ChannelHandlers): void {
    const { channel, id } = frame;
    const fail = (code: string): void => {
      this.#writeTo(connection, { channel, kind: 'failure', id, body: Buffer.from(code, 'utf8') });
    };
    if (handlers.onRequest === undefined || connection.answering >= REQUESTS_IN_MAX) {
      fail('link.busy');
      return;
    }
    connection.answering += 1;
    handlers
      .onRequest(connection.peer, frame.body)
      .then(
        (body) => this.#writeTo(connection, { channel, kind: 'response', id, body }),
        (error: unknown) => fail(codeOf(error)),
      )
      .finally(() => {
        connection.answering -= 1;
      });
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  #write(to: PeerId, frame: Frame): boolean {
    const connection = this.#connections.get(to);
    return connection !== undefined && this.#writeTo(connection, frame);
  }

  #writeTo(connection: Connection, frame: Frame): boolean {
    const { socket, waiting } = connection;
    if (socket.destroyed || socket.writableLength + waiting.length + frame.body.length > SEND_BUFFER_MAX)
      return false;
    if (waiting.length === 0) process.nextTick(() => this.#flush(connection));
    waiting.push(frame);
    return true;
  }

  #flush(connection: Connection): void {
    const { socket, waiting } = connection;
    const parts = waiting.take();
    if (socket.destroyed) return;
    socket.cork();
    for (const part of parts) socket.write(part);
    socket.uncork();
  }

  #request(to: PeerId, channel: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const connection = this.#connections.get(to);
      const id = this.#nextId;
      this.#nextId = (this.#nextId % 0xffffffff) + 1;
      if (connection === undefined || !this.#writeTo(connection, { channel, kind: 'request', id, body })) {
        reject(
          new ConsensusError('consensus.link_closed', 'there is no connection to this member; try again'),
        );
        return;
      }
      const timer = setTimeout(() => {
        connection.asked.delete(id);
        reject(
          new ConsensusError('consensus.link_closed', `the member did not answer within ${timeoutMs} ms`),
        );
      }, timeoutMs);
      connection.asked.set(id, { resolve, reject, timer });
    });
  }

  #ping(): void {
    const body = new Uint8Array(0);
    for (const connection of this.#connections.values()) {
      this.#writeTo(connection, { channel: 0, kind: 'ping', id: 0, body });
    }
  }
}

/** The other member refused a request; `code` is its error code. */
export class RemoteError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`the member refused the request: ${code}`);
    this.name = 'RemoteError';
    this.code = code;
  }
}

/** Most characters of an error code that goes to a peer. */
const CODE_MAX = 64;

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code.slice(0, CODE_MAX) : 'link.failed';
}

function tlsOptions(identity: LinkIdentity): {
  key: string;
  cert: string;
  minVersion: 'TLSv1.3';
  rejectUnauthorized: false;
} {
  // No chain to check: who the peer is follows from its key, compared with the pin after the handshake has
  // proved possession.
  return {
    key: identity.privateKey,
    cert: identity.certificate,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  };
}

function pinOf(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return new X509Certificate(certificate.raw).publicKey
    .export({ format: 'der', type: 'spki' })
    .toString('hex');
}
