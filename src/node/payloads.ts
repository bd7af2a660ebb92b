/**
 * Which store keeps a node's payloads: the embedded one on its own disk, or a Kubo daemon of the member's own. Both give
 * equal CIDs, so members may differ in their choice and may change it. A daemon belongs to one member: a collection
 * unpins what this member's ledger does not name.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../codec/errors.ts';
import { type KuboCredentials, kuboStore, openEmbeddedStore, type PayloadStore } from '../storage/index.ts';

/** `payloads` of the configuration. `authFile` holds one line as Kubo writes it: `bearer:TOKEN` or `basic:USER:PASSWORD`. */
export const PayloadsSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('embedded') }),
  z.strictObject({ kind: z.literal('kubo'), url: z.url(), authFile: z.string().optional() }),
]);
export type PayloadsChoice = z.infer<typeof PayloadsSchema>;

/** Opens the store; `dir` is the node's data directory. Throws `config.invalid` for a credentials file of another form. */
export async function openPayloads(choice: PayloadsChoice, dir: string): Promise<PayloadStore> {
  if (choice.kind === 'embedded') return openEmbeddedStore(join(dir, 'blocks'));
  const { url, authFile } = choice;
  return kuboStore({
    url,
    ...(authFile === undefined ? {} : { credentials: credentialsOf(await readFile(authFile, 'utf8')) }),
  });
}

function credentialsOf(text: string): KuboCredentials {
  const [kind, first, ...rest] = text.trim().split(':');
  if (kind === 'bearer' && first && rest.length === 0) return { bearer: first };
  if (kind === 'basic' && first && rest.length > 0) return { username: first, password: rest.join(':') };
  throw new CodedError(
    'config.invalid',
    'the file for Kubo: expected one line "bearer:TOKEN" or "basic:USER:PASSWORD"',
  );
}
