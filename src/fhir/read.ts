/**
 * FHIR R4 JSON in, resources out. A source is a Bundle (one document, or one a line) or resources one a line.
 * A resource's plaintext is the exact byte slice of its source: FHIR decimals carry their precision (1.0 is not
 * 1, http://hl7.org/fhir/R4/datatypes.html#decimal), so nothing here is ever stringified again.
 *
 * What cannot be read is yielded as a refusal, so that one bad line does not stop an import. It says nothing
 * about whether a resource is valid FHIR beyond having a type: sealing keeps what was given.
 */

import { fromUtf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { FhirErrorCode } from './errors.ts';
import { identifiersOf, type JsonObject } from './json.ts';
import { JsonScanner, type Span } from './json-scan.ts';
import { BUNDLE_ENTRIES_MAX, RESOURCE_BYTES_MAX, VALUE_BYTES_MAX } from './limits.ts';
import { sourceTexts } from './source.ts';

/** Where something stands in its source. Lines and columns count from 1, columns in bytes. */
export interface Position {
  readonly source: string;
  readonly line: number;
  readonly column: number;
  /** 1-based number of the Bundle entry, where there is one. */
  readonly entry?: number;
}

/** What one entry of a Bundle offers to the references of the others. */
export interface BundleTarget {
  readonly resourceType: string;
  readonly id?: string;
  /** 1-based number of the entry. */
  readonly entry: number;
  readonly json: JsonObject;
}

/** The Bundle that a resource came in; all resources of one Bundle share one object. */
export interface BundleContext {
  /** 1-based number of the Bundle in its source. */
  readonly number: number;
  readonly source: string;
  /** `transaction`, `collection`, ... as the Bundle says. */
  readonly type?: string;
  /** By `fullUrl`, `Type/id` and `Type?identifier=system|value`: what references inside the Bundle point at. */
  readonly targets: ReadonlyMap<string, BundleTarget>;
}

/** One resource with its exact bytes. */
export interface SourceResource {
  readonly resourceType: string;
  readonly id?: string;
  readonly fullUrl?: string;
  /** The UTF-8 slice of the source, in an array of its own. */
  readonly bytes: Uint8Array;
  readonly json: JsonObject;
  readonly bundle?: BundleContext;
  readonly position: Position;
}

/** Something in the source that is not a resource we can seal. The message never quotes the source. */
export interface Refusal {
  readonly refused: { readonly code: FhirErrorCode; readonly message: string; readonly position: Position };
}

export type SourceItem = SourceResource | Refusal;

/** Narrows an item of an import to a refusal. */
export function isRefusal(item: object): item is Refusal {
  return 'refused' in item;
}

const RESOURCE_TYPE_FORM = /^[A-Z][A-Za-z]{1,63}$/;
/** FHIR `id` (http://hl7.org/fhir/R4/datatypes.html#id). */
const ID_FORM = /^[A-Za-z0-9.-]{1,64}$/;

/**
 * The resources of one source, in order. `name` appears in positions only.
 * Bad texts and entries are yielded as refusals; throws only when the stream itself fails (`fhir.gzip`, I/O).
 */
export async function* readResources(
  source: AsyncIterable<Uint8Array>,
  options: { readonly name: string; readonly valueBytesMax?: number },
): AsyncGenerator<SourceItem> {
  const bytesMax = options.valueBytesMax ?? VALUE_BYTES_MAX;
  let bundles = 0;
  for await (const text of sourceTexts(source, bytesMax)) {
    const at: Position = { source: options.name, line: text.line, column: 1 };
    if (text.bytes === undefined) {
      yield refusal('fhir.too_large', `expected a JSON text of at most ${bytesMax} bytes`, at);
      continue;
    }
    const items = readText(text.bytes, at, bundles + 1);
    if (items.isBundle) bundles++;
    yield* items.items;
  }
}

/** The resources of one JSON text that is already in memory: the body of a request, say. */
export function readDocument(bytes: Uint8Array, name: string): SourceItem[] {
  const at: Position = { source: name, line: 1, column: 1 };
  if (bytes.length > VALUE_BYTES_MAX) {
    return [refusal('fhir.too_large', `expected a JSON text of at most ${VALUE_BYTES_MAX} bytes`, at)];
  }
  return [...readText(bytes, at, 1).items];
}

interface EntrySpans {
  readonly span: Span;
  readonly fullUrl?: string;
  readonly resource?: Span;
}

interface TextSpans {
  readonly whole: Span;
  readonly resourceType?: string;
  readonly type?: string;
  readonly entries?: readonly EntrySpans[];
}

function readText(
  bytes: Uint8Array,
  at: Position,
  number: number,
): { readonly isBundle: boolean; readonly items: Iterable<SourceItem> } {
  let spans: TextSpans;
  try {
    spans = scanText(bytes);
  } catch (error) {
    return { isBundle: false, items: [refusalOf(error, bytes, at)] };
  }
  if (spans.resourceType !== 'Bundle') {
    const where = locator(bytes, at)(spans.whole.start);
    return { isBundle: false, items: [cutResource(bytes, spans.whole, where)] };
  }
  return { isBundle: true, items: bundleItems(bytes, spans, at, number) };
}

function scanText(bytes: Uint8Array): TextSpans {
  const scanner = new JsonScanner(bytes);
  const start = scanner.position();
  if (!scanner.atObject()) {
    scanner.value();
    scanner.finish();
    throw new CodedError('fhir.shape', 'expected a JSON object: a Bundle or a resource', {
      details: { offset: start },
    });
  }
  const found: { resourceType?: string; type?: string; entries?: EntrySpans[] } = {};
  scanner.members((name) => {
    if (name === 'resourceType' && scanner.atString()) found.resourceType = scanner.string();
    else if (name === 'type' && scanner.atString()) found.type = scanner.string();
    else if (name === 'entry' && scanner.atArray()) found.entries = scanEntries(scanner);
    else scanner.value();
  });
  const end = scanner.offset;
  scanner.finish();
  return { ...found, whole: { start, end } };
}

function scanEntries(scanner: JsonScanner): EntrySpans[] {
  const entries: EntrySpans[] = [];
  scanner.elements(() => {
    const start = scanner.position();
    if (entries.length >= BUNDLE_ENTRIES_MAX) {
      throw new CodedError('fhir.too_many_entries', `expected at most ${BUNDLE_ENTRIES_MAX} entries`, {
        details: { offset: start },
      });
    }
    if (!scanner.atObject()) {
      entries.push({ span: scanner.value() });
      return;
    }
    const found: { fullUrl?: string; resource?: Span } = {};
    scanner.members((name) => {
      if (name === 'fullUrl' && scanner.atString()) found.fullUrl = scanner.string();
      else if (name === 'resource') found.resource = scanner.value();
      else scanner.value();
    });
    entries.push({ ...found, span: { start, end: scanner.offset } });
  });
  return entries;
}

function bundleItems(bytes: Uint8Array, spans: TextSpans, at: Position, number: number): SourceItem[] {
  const locate = locator(bytes, at);
  const targets = new Map<string, BundleTarget>();
  const context: BundleContext = {
    number,
    source: at.source,
    targets,
    ...(spans.type !== undefined && { type: spans.type }),
  };
  return (spans.entries ?? []).map((entry, i) => {
    const where = { ...locate((entry.resource ?? entry.span).start), entry: i + 1 };
    if (entry.resource === undefined) {
      return refusal('fhir.no_resource', 'expected the Bundle entry to carry a resource', where);
    }
    const item = cutResource(bytes, entry.resource, where);
    if (isRefusal(item)) return item;
    if (item.resourceType === 'Bundle') {
      return refusal(
        'fhir.shape',
        'expected a resource, not a Bundle within a Bundle; import it by itself',
        where,
      );
    }
    const { resourceType, id, json } = item;
    const target: BundleTarget = { resourceType, entry: i + 1, json, ...(id !== undefined && { id }) };
    // The first entry keeps a name: a later one must not take over what others refer to.
    for (const name of namesOf(item, entry.fullUrl)) {
      if (!targets.has(name)) targets.set(name, target);
    }
    return { ...item, ...(entry.fullUrl !== undefined && { fullUrl: entry.fullUrl }), bundle: context };
  });
}

/** The forms in which another entry may refer to this resource. */
function namesOf({ resourceType, id, json }: SourceResource, fullUrl: string | undefined): string[] {
  return [
    ...(fullUrl === undefined ? [] : [fullUrl]),
    ...(id === undefined ? [] : [`${resourceType}/${id}`]),
    ...identifiersOf(json).map((identifier) => `${resourceType}?identifier=${identifier}`),
  ];
}

function cutResource(bytes: Uint8Array, span: Span, position: Position): SourceItem {
  if (span.end - span.start > RESOURCE_BYTES_MAX) {
    return refusal('fhir.too_large', `expected a resource of at most ${RESOURCE_BYTES_MAX} bytes`, position);
  }
  // Not `slice`: of a Node Buffer that would be a view, and keep the whole Bundle alive.
  const slice = new Uint8Array(bytes.subarray(span.start, span.end));
  const json = parseObject(slice);
  if (json === undefined) return refusal('fhir.shape', 'expected the resource to be a JSON object', position);
  const { resourceType, id } = json;
  if (typeof resourceType !== 'string' || !RESOURCE_TYPE_FORM.test(resourceType)) {
    return refusal('fhir.no_type', 'expected a resource with a resourceType', position);
  }
  if (id === undefined) return { resourceType, bytes: slice, json, position };
  if (typeof id !== 'string' || !ID_FORM.test(id)) {
    return refusal('fhir.id', 'expected an id of 1 to 64 letters, digits, "-" and "."', position);
  }
  return { resourceType, id, bytes: slice, json, position };
}

/** The scanner has been over these bytes, so they parse and hold no duplicate name. */
function parseObject(bytes: Uint8Array): JsonObject | undefined {
  const value: unknown = JSON.parse(fromUtf8(bytes));
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

function refusal(code: FhirErrorCode, message: string, position: Position): Refusal {
  return { refused: { code, message, position } };
}

function refusalOf(error: unknown, bytes: Uint8Array, at: Position): Refusal {
  if (!(error instanceof CodedError)) throw error;
  const offset = error.details.offset;
  const position = typeof offset === 'number' ? locator(bytes, at)(offset) : at;
  return refusal(error.code as FhirErrorCode, error.message, position);
}

/** Turns rising offsets into lines and columns in one pass over the bytes. */
function locator(bytes: Uint8Array, at: Position): (offset: number) => Position {
  let { line } = at;
  let lineStart = 0;
  let seen = 0;
  return (offset) => {
    // Only the bytes since the last call are searched: a Bundle on one line has no line feed to find.
    for (;;) {
      const feed = bytes.subarray(seen, offset).indexOf(0x0a);
      if (feed < 0) break;
      line++;
      seen += feed + 1;
      lineStart = seen;
    }
    seen = Math.max(seen, offset);
    return { source: at.source, line, column: offset - lineStart + 1 };
  };
}
