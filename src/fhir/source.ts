/**
 * From a byte stream to JSON texts: gzip by its magic bytes, then either one text a line (ndjson) or one text
 * in all (a pretty-printed document). Which of the two is decided from the first two lines that are not blank,
 * never from the name. Memory is bounded by the longest text allowed, whatever the stream inflates to.
 */
import { concat } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';

/** One JSON text with the place where it begins; `bytes` is undefined when it was longer than allowed. */
export interface SourceText {
  readonly bytes: Uint8Array | undefined;
  /** 1-based line of the first byte. */
  readonly line: number;
}

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

async function* readAll(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** A web stream over `first` and the rest; an error of the source is kept in `failure` to be told from bad gzip. */
function toStream(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  failure: { error?: unknown },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let pending: Uint8Array | undefined = first;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (pending !== undefined) {
        controller.enqueue(new Uint8Array(pending));
        pending = undefined;
        return;
      }
      try {
        const next = await rest.next();
        if (next.done) controller.close();
        else controller.enqueue(new Uint8Array(next.value));
      } catch (error) {
        failure.error = error;
        throw error;
      }
    },
    async cancel() {
      await rest.return?.();
    },
  });
}

/** The stream's bytes, inflated if they begin with the gzip magic 1f 8b. Throws `fhir.gzip` on damaged gzip. */
async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    let head: Uint8Array = new Uint8Array(0);
    while (head.length < 2) {
      const next = await iterator.next();
      if (next.done) break;
      head = head.length === 0 ? next.value : concat(head, next.value);
    }
    if (head[0] === 0x1f && head[1] === 0x8b) {
      const failure: { error?: unknown } = {};
      try {
        yield* readAll(toStream(head, iterator, failure).pipeThrough(new DecompressionStream('gzip')));
      } catch (cause) {
        if (failure.error !== undefined) throw failure.error;
        throw new CodedError('fhir.gzip', 'expected intact gzip data; the file is damaged or cut short', {
          cause,
        });
      }
      return;
    }
    if (head.length > 0) yield head;
    for (;;) {
      const next = await iterator.next();
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Cuts chunks into lines, and hands out what is left in one piece when the rest turns out to be one document. */
class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #bytesMax: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #line = 1;
  #ended = false;

  constructor(chunks: AsyncIterator<Uint8Array>, bytesMax: number) {
    this.#chunks = chunks;
    this.#bytesMax = bytesMax;
  }

  /** The next line that is not blank, without its line feed. One above the bound is dropped, not stored. */
  async next(): Promise<SourceText | undefined> {
    for (;;) {
      if (this.#ended) return undefined;
      const line = this.#line;
      const bytes = await this.#upTo(LINE_FEED);
      this.#line++;
      const text = bytes === undefined ? undefined : withoutMark(bytes, line);
      if (text === undefined || !isBlank(text)) return { bytes: text, line };
    }
  }

  /** Everything behind the last line, or undefined when that is more than the bound. */
  async rest(): Promise<Uint8Array | undefined> {
    return this.#upTo(undefined);
  }

  async #upTo(stop: number | undefined): Promise<Uint8Array | undefined> {
    let parts: Uint8Array[] = [];
    let length = 0;
    const add = (part: Uint8Array): void => {
      length += part.length;
      if (length > this.#bytesMax) parts = [];
      else if (part.length > 0) parts.push(part);
    };
    for (;;) {
      const end = stop === undefined ? -1 : this.#chunk.indexOf(stop);
      if (end >= 0) {
        add(this.#chunk.subarray(0, end));
        this.#chunk = this.#chunk.subarray(end + 1);
        break;
      }
      add(this.#chunk);
      const next = await this.#chunks.next();
      this.#chunk = next.done ? new Uint8Array(0) : next.value;
      if (next.done) {
        this.#ended = true;
        break;
      }
    }
    return length > this.#bytesMax ? undefined : join(parts, length);
  }
}

/** Like `concat`, for more parts than a call can take as arguments. */
function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A byte order mark at the very beginning is no part of the text (RFC 8259 section 8.1). */
function withoutMark(bytes: Uint8Array, line: number): Uint8Array {
  return line === 1 && BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte) ? bytes.subarray(3) : bytes;
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

/** Whether every bracket outside strings is closed again by the end of `bytes`. */
function isBalanced(bytes: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) depth++;
    else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return depth <= 0 && !inString;
}

const visible = (bytes: Uint8Array, step: 1 | -1): number | undefined => {
  const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;
  let at = step === 1 ? 0 : bytes.length - 1;
  while (isSpace(bytes[at])) at += step;
  return bytes[at];
};

/**
 * Whether the first two lines can belong to one document spread over lines. A closed first line is a value of
 * its own. After an open one, a line that begins with `{` continues the document only behind `[`, `,` or `:`;
 * otherwise the first line is a damaged record of an ndjson file.
 */
function isDocument(first: Uint8Array, second: Uint8Array): boolean {
  if (isBalanced(first)) return false;
  if (visible(second, 1) !== 0x7b) return true;
  const last = visible(first, -1);
  return last === 0x5b || last === 0x2c || last === 0x3a;
}

/**
 * The JSON texts of `source` in order: lines of ndjson, or one whole document. A text longer than `bytesMax`
 * comes without bytes. Throws `fhir.gzip` on damaged gzip, and whatever the source throws.
 */
export async function* sourceTexts(
  source: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<SourceText> {
  const chunks = inflated(source);
  try {
    const reader = new LineReader(chunks, bytesMax);
    const first = await reader.next();
    const second = await reader.next();
    if (first === undefined) return;
    if (second === undefined) {
      yield first;
      return;
    }
    if (first.bytes !== undefined && second.bytes !== undefined && isDocument(first.bytes, second.bytes)) {
      yield {
        bytes: wholeDocument(first.bytes, second, await reader.rest(), bytesMax, first.line),
        line: first.line,
      };
      return;
    }
    yield first;
    yield second;
    for (let text = await reader.next(); text !== undefined; text = await reader.next()) yield text;
  } finally {
    await chunks.return(undefined);
  }
}

/** Puts the line feeds back between what was read as lines, so that positions stay true. */
function wholeDocument(
  first: Uint8Array,
  second: SourceText,
  rest: Uint8Array | undefined,
  bytesMax: number,
  line: number,
): Uint8Array | undefined {
  if (rest === undefined || second.bytes === undefined) return undefined;
  const gap = new Uint8Array(second.line - line).fill(LINE_FEED);
  const whole = concat(first, gap, second.bytes, Uint8Array.of(LINE_FEED), rest);
  return whole.length > bytesMax ? undefined : whole;
}
