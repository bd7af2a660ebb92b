/** Prometheus metrics of one gateway: request times by route, event-loop delay, ledger height, entries by kind. */
import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Services } from './ports.ts';

/** Registers `/metrics` and the hooks that feed it. One registry for each app: members may share a process. */
export function registerMetrics(app: FastifyInstance, services: Services): void {
  const registry = new Registry();
  registry.setDefaultLabels({ member: services.member });
  collectDefaultMetrics({ register: registry });
  const seconds = new Histogram({
    name: 'hippocrypt_http_request_seconds',
    help: 'Time to answer, by method, route and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers: [registry],
  });
  const entries = new Counter({
    name: 'hippocrypt_ledger_entries_total',
    help: 'Entries applied by this node since it started, by kind.',
    labelNames: ['kind'],
    registers: [registry],
  });
  new Gauge({
    name: 'hippocrypt_ledger_height',
    help: 'Height of the last block that this node applied.',
    registers: [registry],
    collect() {
      this.set(services.ledger.tip().height);
    },
  });
  new Gauge({
    name: 'hippocrypt_storage_records',
    help: 'Records of which this member should hold a copy and lacks it (waiting), of them those that nobody gave (failing), copies without receipt, and erasures under way.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { waiting, failing, unreceipted, erasing } = services.storage();
      for (const [state, count] of Object.entries({ waiting, failing, unreceipted, erasing }))
        this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'hippocrypt_scrub_things',
    help: 'Headers, payloads, index segments and companions that were read back since the start (checked), mended from other members, and damaged at the last look without anybody to mend them.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { checked, mended, damaged } = services.storage().scrub;
      for (const [state, count] of Object.entries({ checked, mended, damaged })) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'hippocrypt_scrub_bytes',
    help: 'Bytes that were read back and checked since the start.',
    registers: [registry],
    collect() {
      this.set(services.storage().scrub.bytes);
    },
  });
  new Gauge({
    name: 'hippocrypt_disk_bytes',
    help: 'Room on the disk of the data directory (free), and below which no records are taken (reserve).',
    labelNames: ['what'],
    registers: [registry],
    collect() {
      const { freeBytes, reserveBytes } = services.disk();
      this.set({ what: 'free' }, freeBytes);
      this.set({ what: 'reserve' }, reserveBytes);
    },
  });
  new Gauge({
    name: 'hippocrypt_disk_waiting',
    help: '1 while blocks of the ledger wait for room on the disk.',
    registers: [registry],
    collect() {
      this.set(services.disk().waiting ? 1 : 0);
    },
  });
  const stop = services.ledger.subscribe((entry) => entries.inc({ kind: entry.type }));
  app.addHook('onClose', async () => {
    stop();
    registry.clear();
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });
  app.get('/metrics', { config: { public: true }, schema: { hide: true } }, async (_request, reply) => {
    reply.header('content-type', registry.contentType);
    return registry.metrics();
  });
}
