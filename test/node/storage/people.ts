/** What these tests share: records put by the import service of mercy, and one GET with a session. */
import type { Town } from '../consortium.ts';

export interface PutRecord {
  readonly record: string;
  readonly cid: string;
}

/** Puts texts as records of mercy in gateway custody and answers with their CIDs. */
export async function putTexts(town: Town, texts: readonly string[]): Promise<PutRecord[]> {
  await town.client('import');
  const token = await town.token('mercy', 'import');
  const answer = await town.app('mercy').inject({
    method: 'POST',
    url: '/v1/records',
    headers: { authorization: `Bearer ${token}` },
    payload: {
      records: texts.map((content) => ({ content, patient: null, policy: 'mercy/role:nurse' })),
    },
  });
  if (answer.statusCode >= 300) throw new Error(`put: ${answer.body}`);
  const { records } = answer.json() as { records: readonly string[] };
  const put: PutRecord[] = [];
  for (const record of records) {
    const view = await town.app('mercy').inject({
      url: `/v1/records/${record}`,
      headers: { authorization: `Bearer ${token}` },
    });
    put.push({ record, cid: (view.json() as { cid: string }).cid });
  }
  return put;
}

/** Opens a record as mercy's nurse, whose keys its gateway holds. */
export async function openText(town: Town, record: string): Promise<string> {
  await town.client('nurse');
  const token = await town.token('mercy', 'nurse');
  const headers = { authorization: `Bearer ${token}` };
  const answer = await town.app('mercy').inject({
    method: 'POST',
    url: `/v1/records/${record}/open`,
    headers,
    payload: { purpose: 'treatment' },
  });
  if (answer.statusCode !== 200) throw new Error(`open: ${answer.body}`);
  const { content, encoding } = answer.json() as { content: string; encoding: string };
  return encoding === 'utf-8' ? content : Buffer.from(content, 'base64url').toString();
}

/** Erases a record of mercy and answers with the height of the entry. */
export async function eraseRecord(town: Town, record: string): Promise<number> {
  const token = await town.token('mercy', 'import');
  const answer = await town.app('mercy').inject({
    method: 'DELETE',
    url: `/v1/records/${record}`,
    headers: { authorization: `Bearer ${token}` },
    payload: { reason: 'patient-request' },
  });
  if (answer.statusCode !== 200) throw new Error(`erase: ${answer.body}`);
  return town.node('mercy').ledger.tip().height;
}
