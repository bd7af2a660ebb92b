/** `abe inspect`: what the toolkit's files say about themselves, and in words why a key opens one or does not. */
import { decodeAuthorityKeys, decodePolicy, type Group, inspectHeader, printPolicy } from '../abe/index.ts';
import { concat, equalBytes, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { attributesOf, decoded, explain, MAGIC, readHead, rejoin } from './toolkit.ts';

/** Largest key, public key or master file that is read. */
const KEY_FILE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * What any toolkit file says about itself: of a sealed file what can be read without a key, and of the others whose
 * they are and what they hold, never the secret. With `keyFile`, why that key opens a sealed file or does not.
 */
export async function inspect(
  group: Group,
  source: AsyncIterable<Uint8Array>,
  keyFile?: Uint8Array,
): Promise<Record<string, unknown>> {
  const stream = source[Symbol.asyncIterator]();
  const first = await stream.next();
  const start: Uint8Array = first.done === true ? new Uint8Array() : first.value;
  const whole = rejoin(start, stream);
  if (!equalBytes(start.subarray(0, MAGIC.length), MAGIC)) return inspectKeyFile(group, await collect(whole));
  const { header, size } = await readHead(whole);
  const seen = inspectHeader(header);
  const policy = decodePolicy(seen.policyBytes);
  const verdict = keyFile === undefined ? undefined : explain(policy, attributesOf(keyFile));
  return {
    format: 'HIPPABE1',
    suite: seen.suite,
    policy: printPolicy(policy),
    gate: seen.gate,
    epoch: seen.epoch ?? null,
    rows: seen.rows,
    repeats: seen.tau,
    headerBytes: size,
    recordId: toHex(seen.recordId),
    headerHash: toHex(seen.hash),
    ...(verdict && { opens: verdict.holds, because: verdict.text }),
  };
}

function inspectKeyFile(group: Group, bytes: Uint8Array): Record<string, unknown> {
  const fingerprint = (encoded: Uint8Array): string => toHex(decodeAuthorityKeys(group, encoded).mpk.hash);
  const value = decoded(bytes);
  if (Array.isArray(value)) return { kind: 'public key', fingerprint: fingerprint(bytes) };
  const { kind, keys } = (value ?? {}) as Record<string, unknown>;
  if (!(keys instanceof Uint8Array) || (kind !== 'key' && kind !== 'master')) {
    throw new CodedError('cli.toolkit_file', 'expected a file made by "hippocrypt abe"');
  }
  if (kind === 'master') return { kind: 'master secret: opens everything', fingerprint: fingerprint(keys) };
  return { kind: 'key', fingerprint: fingerprint(keys), attributes: attributesOf(bytes) };
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > KEY_FILE_BYTES_MAX)
      throw new CodedError('cli.toolkit_file', 'expected a file made by "hippocrypt abe"');
    chunks.push(chunk);
  }
  return concat(...chunks);
}
