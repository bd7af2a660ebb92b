/**
 * The page of bench/search-browser.ts: runs in Chromium with the product's own modules, asks each query over the index
 * that its server holds, and reports what it found and what memory that took.
 */
import { fromBase64url, fromHex, toHex } from '../src/codec/bytes.ts';
import {
  type ByteRange,
  decodeFieldSpec,
  decodeManifest,
  type FetchPolicy,
  fieldRegistry,
  PatientNumbers,
  parseQuery,
  planQuery,
  runQuery,
  SegmentReader,
  secretFromT,
} from '../src/search/index.ts';

/** What the page is told; bytes in base64url. */
export interface PageSetup {
  readonly policy: FetchPolicy;
  readonly manifest: string;
  readonly spec: string;
  readonly documents: number;
  readonly patients: number;
  readonly queries: readonly string[];
  /** Encoded keyword, hexadecimal, with its T_w. */
  readonly secrets: readonly (readonly [keyword: string, t: string])[];
}

/** What one page saw. Memory in bytes; null where the browser does not tell. */
export interface PageReport {
  readonly answers: readonly {
    readonly hits: number;
    readonly sum: number;
    readonly patients: number;
    readonly first_ms: number;
    readonly again_ms: number;
  }[];
  readonly requests: number;
  readonly bytes: number;
  readonly heapBefore: number | null;
  readonly heapAfter: number | null;
  readonly allAfter: number | null;
}

interface BrowserMemory {
  readonly memory?: { readonly usedJSHeapSize: number };
  measureUserAgentSpecificMemory?(): Promise<{ readonly bytes: number }>;
}

const browser = performance as unknown as BrowserMemory;
const heap = (): number | null => {
  (globalThis as { gc?: () => void }).gc?.();
  return browser.memory?.usedJSHeapSize ?? null;
};
const bytesAt = async (path: string, init?: RequestInit): Promise<Uint8Array> =>
  new Uint8Array(await (await fetch(path, init)).arrayBuffer());

async function run(): Promise<PageReport> {
  const setup = (await (await fetch('/setup')).json()) as PageSetup;
  const heapBefore = heap();
  const secrets = new Map(setup.secrets.map(([keyword, t]) => [keyword, secretFromT(fromHex(t))]));
  const manifest = decodeManifest(fromBase64url(setup.manifest));
  const registry = fieldRegistry([decodeFieldSpec(fromBase64url(setup.spec))]);
  // Pseudonyms have 32 characters; every record has a patient, as in a client that asks by patients.
  const numbers = new PatientNumbers();
  for (let i = 0; i < setup.patients; i++) numbers.numberOf(String(i).padStart(32, '0'));
  const of = Uint32Array.from({ length: setup.documents }, (_, number) => 1 + (number % setup.patients));
  const source = {
    fetchWhole: (name: string) => bytesAt(`/segments/${name}`),
    fetchRanges: async (name: string, ranges: readonly ByteRange[]) => {
      const all = await bytesAt(`/segments/${name}`, { method: 'POST', body: JSON.stringify(ranges) });
      let offset = 0;
      return ranges.map(({ length }) => {
        offset += length;
        return all.subarray(offset - length, offset);
      });
    },
  };
  const readers = new Map(
    manifest.segments.map((meta) => [meta, new SegmentReader(meta, [source], setup.policy)]),
  );
  const cost = { requests: 0, bytes: 0 };
  const ask = async (text: string, unit: 'record' | 'patient') => {
    const found = await runQuery({
      plan: planQuery(parseQuery(text), registry),
      unit,
      clientKey: new Uint8Array(32),
      custodians: [
        {
          manifest,
          records: setup.documents,
          dead: new Uint32Array(0),
          secretOf: (keyword) => secrets.get(toHex(keyword)),
          readerOf: (meta) => {
            const reader = readers.get(meta);
            if (reader === undefined) throw new RangeError('a segment of another manifest');
            return reader;
          },
          patients: { numbers, of },
        },
      ],
    });
    cost.requests += found.cost.requests;
    cost.bytes += found.cost.bytes;
    return found;
  };
  const answers: PageReport['answers'][number][] = [];
  for (const text of setup.queries) {
    const begin = performance.now();
    const found = await ask(text, 'record');
    const first = performance.now();
    await ask(text, 'record');
    const again = performance.now();
    const { patients } = await ask(text, 'patient');
    const { numbers: hits } = found.records[0];
    answers.push({
      hits: hits.length,
      sum: hits.reduce((sum, number) => sum + number, 0),
      patients: patients.length,
      first_ms: first - begin,
      again_ms: again - first,
    });
  }
  const heapAfter = heap();
  const all = await browser.measureUserAgentSpecificMemory?.();
  return { answers, ...cost, heapBefore, heapAfter, allAfter: all?.bytes ?? null };
}

const report = await run().catch((error: unknown) => ({ failed: String(error) }));
await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
