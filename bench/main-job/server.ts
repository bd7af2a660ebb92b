/**
 * The process of the consortium under measurement: four members with their gateways, as `hippocrypt up` runs them, on
 * free ports and without the limit on requests a minute. Clients are another process: in a hospital they are other
 * machines, and their arithmetic must not stand in the event loop that is measured. Messages are in consortium.ts.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { startConsortium } from '../../src/node/consortium.ts';
import { letHeapGrow } from '../../src/node/heap.ts';
import type { ServerAnswer, ServerQuestion } from './consortium.ts';

/** Finer than what is looked for, so that the timer's own period (subtracted below) hides little. */
const RESOLUTION_MS = 1;

function send(message: ServerAnswer): void {
  process.send?.(message);
}

/** Delay beyond the sampling period, in milliseconds, since the last call. */
function takeDelay(histogram: IntervalHistogram): { p50: number; p99: number; max: number } {
  const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const taken = {
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    max: ms(histogram.max),
  };
  histogram.reset();
  return taken;
}

async function main(dir: string, password: string): Promise<void> {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  letHeapGrow();
  const consortium = await startConsortium({
    dir,
    port: 0,
    ratePerMinute: 0,
    log: { event: (name, fields) => send({ type: 'log', line: `${name} ${JSON.stringify(fields)}` }) },
  });
  // The one step that no API offers: the first account of a member is made on its machine.
  for (const node of consortium.nodes.values()) {
    await node.accounts.add('admin', password, node.operator, 'gateway');
  }
  process.on('message', (message: ServerQuestion) => {
    if (message.type === 'delay') send({ type: 'delay', ...takeDelay(histogram) });
    else if (message.type === 'cpu') send({ type: 'cpu', ...process.cpuUsage() });
    else {
      consortium.close().then(
        () => process.disconnect?.(),
        (error: unknown) => {
          send({ type: 'log', line: `closing failed: ${String(error)}` });
          process.exit(1);
        },
      );
    }
  });
  send({ type: 'ready', urls: [...consortium.urls] });
}

const [, , dir, password] = process.argv;
await main(dir, password);
