/** What stays open: the live stream of entries, and how a gateway ends with listeners on it. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTown, type Town } from '../node/consortium.ts';

let town: Town;
let token: string;
let isClosed = false;

beforeAll(async () => {
  town = await startTown();
  token = await town.token('mercy', 'admin');
});
afterAll(async () => {
  if (!isClosed) await town?.close();
});

/** Chunks of the stream as text, until `seen` accepts what came so far. */
async function readUntil(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  seen: (text: string) => boolean,
): Promise<string> {
  let text = '';
  while (!seen(text)) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += new TextDecoder().decode(value);
  }
  return text;
}

async function listen(signal?: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const answer = await fetch(`${town.url('mercy')}/v1/ledger/stream`, {
    headers: { authorization: `Bearer ${token}` },
    ...(signal === undefined ? {} : { signal }),
  });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  const reader = answer.body?.getReader();
  if (reader === undefined) throw new Error('expected a body');
  return reader;
}

const enrol = async (): Promise<{ entryId: string; index: number }> => {
  const answer = await town.people
    .admin('mercy')
    .json<{ committed: { entryId: string; index: number } }>('POST', '/v1/subjects', {
      body: { kind: 'system' },
    });
  return answer.committed;
};

describe('the live stream of entries', () => {
  it('needs a session, and tells each entry as it is applied', async () => {
    const refused = await fetch(`${town.url('mercy')}/v1/ledger/stream`);
    expect(refused.status).toBe(401);
    await refused.arrayBuffer();

    const stop = new AbortController();
    const reader = await listen(stop.signal);
    await readUntil(reader, (text) => text.includes(': open'));
    const { entryId, index } = await enrol();
    const text = await readUntil(reader, (seen) => seen.includes(entryId));
    expect(text).toContain(`id: ${index}\nevent: SubjectPut\n`);
    stop.abort();
  });

  it('goes on serving others after a listener went away', async () => {
    const stop = new AbortController();
    await listen(stop.signal);
    stop.abort();
    const reader = await listen();
    const { entryId } = await enrol();
    expect(await readUntil(reader, (seen) => seen.includes(entryId))).toContain(entryId);
    await reader.cancel();
  });

  it('ends with the gateway: closing waits neither for who listens nor for who says nothing', async () => {
    const { port } = new URL(town.url('mercy'));
    const silent = connect(Number(port), '127.0.0.1');
    silent.on('error', () => undefined);
    await once(silent, 'connect');
    const reader = await listen();
    await readUntil(reader, (text) => text.includes(': open'));
    isClosed = true;
    await town.close();
    // Whatever was still on its way comes first; then the stream ends, in peace or with the connection.
    const ended = readUntil(reader, () => false).then(
      () => true,
      () => true,
    );
    expect(await ended).toBe(true);
  });
});
