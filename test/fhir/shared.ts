/** Where the tests get FHIR data from: strings, files, and real data made by others where it is at hand. */
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { memberId } from '../../src/codec/ids.ts';
import {
  isRefusal,
  type Refusal,
  readResources,
  type SourceItem,
  type SourceResource,
} from '../../src/fhir/index.ts';

export const MEMBERS = ['mercy', 'st-luke', 'county-general', 'university'].map(memberId);
export const PATIENT = '00112233445566778899aabbccddeeff';

const SHARED = process.env.HIPPOCRYPT_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const FHIR = `${SHARED}/fhir`;

/** Whether the public FHIR data is here; its absence is said once. */
export const hasShared = existsSync(`${FHIR}/README.md`);
if (!hasShared)
  console.warn(`no FHIR data under ${FHIR}: set HIPPOCRYPT_SHARED to run the tests on real data`);
export const unlessShared = hasShared ? '' : ' (skipped: no shared FHIR data)';

export const sharedReadme = (): string => readFileSync(`${FHIR}/README.md`, 'utf8');

export function sharedFiles(folder: string): string[] {
  return readdirSync(`${FHIR}/${folder}`)
    .filter((name) => name.endsWith('.ndjson.gz'))
    .sort()
    .map((name) => `${FHIR}/${folder}/${name}`);
}

/** All resources of several files, one after the other. */
export async function* readFiles(paths: readonly string[]): AsyncGenerator<SourceItem> {
  for (const path of paths)
    yield* readResources(createReadStream(path), { name: path.split('/').at(-1) ?? '' });
}

const SAMPLE = fileURLToPath(new URL('../../sample', import.meta.url));
export const sampleFiles = (): string[] =>
  readdirSync(SAMPLE)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => `${SAMPLE}/${name}`);

/** `bytes` as a stream cut into chunks of `size`. */
export async function* chunked(bytes: Uint8Array, size = bytes.length || 1): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Reads text or bytes as one source and separates resources from refusals. */
export async function read(
  source: string | Uint8Array,
  options: { readonly chunk?: number; readonly valueBytesMax?: number } = {},
): Promise<{ resources: SourceResource[]; refused: Refusal['refused'][] }> {
  const bytes = typeof source === 'string' ? new TextEncoder().encode(source) : source;
  const { chunk, valueBytesMax } = options;
  const items = await collect(
    readResources(chunked(bytes, chunk), {
      name: 'test',
      ...(valueBytesMax !== undefined && { valueBytesMax }),
    }),
  );
  return {
    resources: items.filter((item): item is SourceResource => !isRefusal(item)),
    refused: items.filter(isRefusal).map(({ refused }) => refused),
  };
}

export const text = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);
