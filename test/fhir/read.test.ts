import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDocument, readResources } from '../../src/fhir/index.ts';
import { chunked, collect, read, text } from './shared.ts';

const PATIENT_TEXT = '{ "resourceType": "Patient", "id": "p1",\n  "multipleBirthInteger": 2 }';
const ODD_TEXT =
  '{"resourceType":"Observation","id":"o1","v":[1.0,37.50,1e2,-0],"s":"\\u00b5g µg \\ud83d\\ude00"}';
const BUNDLE = `{
  "resourceType": "Bundle",
  "type": "transaction",
  "entry": [
    { "fullUrl": "urn:uuid:1", "resource":   ${PATIENT_TEXT}   , "request": {"method": "POST"} },
    { "resource": ${ODD_TEXT}, "fullUrl": "urn:uuid:2" }
  ]
}
`;

describe('a resource is the exact byte slice of its source', () => {
  it('keeps white space, decimals, escapes and non-ASCII text of a pretty-printed Bundle', async () => {
    const { resources, refused } = await read(BUNDLE);
    expect(refused).toEqual([]);
    expect(resources.map(({ bytes }) => text(bytes))).toEqual([PATIENT_TEXT, ODD_TEXT]);
    expect(resources.map(({ resourceType, id, fullUrl }) => [resourceType, id, fullUrl])).toEqual([
      ['Patient', 'p1', 'urn:uuid:1'],
      ['Observation', 'o1', 'urn:uuid:2'],
    ]);
    expect(resources[1].json.v).toEqual([1, 37.5, 100, -0]);
  });

  it('gives the same slices however the stream is cut, gzipped or not', async () => {
    const source = new TextEncoder().encode(`${BUNDLE.replaceAll('\n', ' ')}\r\n\n${ODD_TEXT}\n`);
    const whole = await read(source);
    expect(whole.resources.map(({ bytes }) => text(bytes))).toEqual([
      PATIENT_TEXT.replace('\n', ' '),
      ODD_TEXT,
      ODD_TEXT,
    ]);
    for (const chunk of [1, 2, 3, 7, 64, 500]) {
      expect(await read(source, { chunk })).toEqual(whole);
      expect(await read(new Uint8Array(gzipSync(source)), { chunk })).toEqual(whole);
    }
  });

  it('slices any JSON value that JSON.stringify can lay out', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue({ maxDepth: 5 }),
        fc.integer({ min: 0, max: 3 }),
        async (value, indent) => {
          const resource = JSON.stringify({ resourceType: 'Basic', value }, null, indent);
          const bundle = `{"resourceType":"Bundle","entry":[{"resource":${resource}}]}`;
          const { resources, refused } = await read(bundle);
          expect(refused).toEqual([]);
          expect(resources.map(({ bytes }) => text(bytes))).toEqual([resource]);
          expect(resources[0].json).toEqual(JSON.parse(resource));
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  it('hands out arrays of their own, so that keeping one record does not keep its Bundle', async () => {
    const { resources } = await read(BUNDLE);
    for (const { bytes } of resources) expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it('also of a Node Buffer', () => {
    const [item] = readDocument(Buffer.from(`  ${ODD_TEXT}  `), 'test');
    if ('refused' in item) expect.fail('refused');
    expect(item.bytes.constructor).toBe(Uint8Array);
    expect(item.bytes.buffer.byteLength).toBe(new TextEncoder().encode(ODD_TEXT).length);
  });

  it('reads a document that is in memory like one that is streamed', async () => {
    const streamed = await read(BUNDLE);
    expect(readDocument(new TextEncoder().encode(BUNDLE), 'test')).toEqual(streamed.resources);
  });
});

describe('where a resource stands', () => {
  it('is told by line, byte column and entry', async () => {
    const { resources } = await read(BUNDLE);
    expect(resources.map(({ position }) => position)).toEqual([
      { source: 'test', line: 5, column: 46, entry: 1 },
      { source: 'test', line: 7, column: 19, entry: 2 },
    ]);
    const lines = await read('\n{"resourceType":"Basic"}\n\n  {"resourceType":"Basic"}\n');
    expect(lines.resources.map(({ position }) => [position.line, position.column])).toEqual([
      [2, 1],
      [4, 3],
    ]);
  });

  it('numbers the Bundles of one source', async () => {
    const one =
      '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic"}}]}';
    const { resources } = await read(`${one}\nnot json\n${one}\n`);
    expect(resources.map(({ bundle }) => [bundle?.number, bundle?.type])).toEqual([
      [1, 'collection'],
      [2, 'collection'],
    ]);
  });
});

describe('ndjson or one document is decided from the first two lines', () => {
  const GOOD = '{"resourceType":"Basic","id":"a"}';
  it.each([
    ['one line a resource', `${GOOD}\n${GOOD}`, 2, 0],
    ['a damaged first line of ndjson', `{"resourceType":"Ba\n${GOOD}\n${GOOD}`, 2, 1],
    ['a first line that is no JSON', `hello\n${GOOD}`, 1, 1],
    [
      'entries one a line inside a document',
      `{"resourceType":"Bundle","entry":[\n{"resource":${GOOD}},\n{"resource":${GOOD}}]}`,
      2,
      0,
    ],
    ['a document whose first line is a brace', `{\n"resourceType":"Basic"\n}`, 1, 0],
    [
      'a document with a brace alone behind a colon',
      `{"resourceType":"Basic","code":\n{"text":"}"}\n}`,
      1,
      0,
    ],
    ['a byte order mark', `\ufeff${GOOD}\n${GOOD}`, 2, 0],
    ['nothing', '', 0, 0],
    ['blank lines', '\n \r\n\n', 0, 0],
  ])('%s', async (_, source, resources, refused) => {
    const result = await read(source, { chunk: 5 });
    expect([result.resources.length, result.refused.length]).toEqual([resources, refused]);
  });
});

describe('what cannot be read is refused with its place, and the rest goes on', () => {
  const GOOD = '{"resourceType":"Basic"}';
  it.each([
    ['fhir.json_syntax', '{"resourceType":"Basic",}', 25],
    ['fhir.json_syntax', '{"resourceType":"Basic"} x', 26],
    ['fhir.json_syntax', '{"resourceType":"Basic","a":01}', 30],
    ['fhir.json_syntax', '{"resourceType":"Basic","a":"\t"}', 30],
    ['fhir.json_syntax', '{"resourceType":"Basic","a":"\\x"}', 30],
    ['fhir.json_syntax', '{"resourceType":"Basic","a":tru}', 29],
    ['fhir.json_syntax', '{"resourceType":"Basic","a":[1 2]}', 32],
    ['fhir.json_text', '{"resourceType":"Basic","a":"\\ud800"}', 30],
    ['fhir.json_duplicate_name', '{"resourceType":"Basic","a":1,"\\u0061":2}', 31],
    ['fhir.shape', '[{"resourceType":"Basic"}]', 1],
    ['fhir.no_type', '{"id":"a"}', 1],
    ['fhir.no_type', '{"resourceType":"basic"}', 1],
    ['fhir.id', '{"resourceType":"Basic","id":"a b"}', 1],
  ])('%s: %s', async (code, line, column) => {
    const { resources, refused } = await read(`${GOOD}\n${line}\n${GOOD}\n`);
    expect(resources).toHaveLength(2);
    expect(refused).toMatchObject([{ code, position: { line: 2, column } }]);
  });

  it.each([
    ['an overlong form', [0xc0, 0xaf]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a lone continuation', [0x80]],
    ['a cut sequence', [0xe2, 0x82]],
  ])('refuses %s as UTF-8', async (_, bad) => {
    const [head, tail] = ['{"resourceType":"Basic","a":"', '"}'].map((part) => [
      ...new TextEncoder().encode(part),
    ]);
    const { refused } = await read(Uint8Array.from([...head, ...bad, ...tail]));
    expect(refused).toMatchObject([
      { code: 'fhir.json_utf8', position: { line: 1, column: head.length + 1 } },
    ]);
  });

  it('refuses single entries and keeps their neighbours', async () => {
    const { resources, refused } = await read(
      `{"resourceType":"Bundle","entry":[{"request":{"method":"DELETE"}},{"resource":${GOOD}},7,` +
        `{"resource":{"resourceType":"Bundle"}},{"resource":{"id":"a"}},{"resource":[]},{"resource":${GOOD}}]}`,
    );
    expect(resources.map(({ position }) => position.entry)).toEqual([2, 7]);
    expect(refused.map(({ code, position }) => [code, position.entry])).toEqual([
      ['fhir.no_resource', 1],
      ['fhir.no_resource', 3],
      ['fhir.shape', 4],
      ['fhir.no_type', 5],
      ['fhir.shape', 6],
    ]);
  });

  it('never quotes the source in a message', async () => {
    const secret = 'Patientname';
    const { refused } = await read(
      `{"resourceType":"Basic","${secret}":"${secret}","${secret}":1}\n{"${secret}":2}`,
    );
    expect(refused).toHaveLength(2);
    expect(JSON.stringify(refused)).not.toContain(secret);
  });

  it('finds a name repeated late in a large object', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `"n${i}":${i}`).join(',');
    expect((await read(`{"resourceType":"Basic",${names}}`)).refused).toEqual([]);
    expect((await read(`{"resourceType":"Basic",${names},"n3":0}`)).refused).toMatchObject([
      { code: 'fhir.json_duplicate_name' },
    ]);
  });
});

describe('bounds', () => {
  const nested = (levels: number): string =>
    `{"resourceType":"Basic","a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  it('takes 64 levels and refuses 65', async () => {
    expect((await read(nested(63))).refused).toEqual([]);
    expect((await read(nested(64))).refused).toMatchObject([{ code: 'fhir.json_depth' }]);
  });

  it('drops a line above the bound without storing it, and reads on', async () => {
    const line = (length: number): string => `{"resourceType":"Basic","a":"${'x'.repeat(length - 31)}"}`;
    const source = `${line(100)}\n${line(101)}\n${line(100)}\n`;
    const { resources, refused } = await read(source, { valueBytesMax: 100, chunk: 9 });
    expect(resources.map(({ bytes }) => bytes.length)).toEqual([100, 100]);
    expect(refused).toMatchObject([{ code: 'fhir.too_large', position: { line: 2 } }]);
  });

  it('refuses a document above the bound', async () => {
    const document = '{\n"resourceType":"Basic"\n}';
    expect((await read(document, { valueBytesMax: document.length })).resources).toHaveLength(1);
    expect((await read(document, { valueBytesMax: document.length - 1 })).refused).toMatchObject([
      { code: 'fhir.too_large', position: { line: 1 } },
    ]);
  });

  it('does not inflate a gzip bomb into memory', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(64 * 1024 * 1024).fill(0x20)));
    expect(bomb.length).toBeLessThan(100_000);
    const { refused } = await read(bomb, { valueBytesMax: 1000 });
    expect(refused).toMatchObject([{ code: 'fhir.too_large' }]);
  });
});

it('damaged gzip ends the source with fhir.gzip', async () => {
  const packed = new Uint8Array(gzipSync('{"resourceType":"Basic"}\n'.repeat(1000)));
  await expect(read(packed.subarray(0, packed.length - 6))).rejects.toMatchObject({ code: 'fhir.gzip' });
  const flipped = packed.slice();
  flipped[packed.length - 5] ^= 1;
  await expect(read(flipped)).rejects.toMatchObject({ code: 'fhir.gzip' });
});

it('an error of the source itself comes through as it is, gzipped or not', async () => {
  const failing = async function* (first: Uint8Array): AsyncGenerator<Uint8Array> {
    yield first;
    throw new Error('disk gone');
  };
  const packed = new Uint8Array(gzipSync('{"resourceType":"Basic"}\n'.repeat(1000)));
  for (const first of [packed.subarray(0, 40), new TextEncoder().encode('{"resourceType":"Basic"}\n')]) {
    await expect(collect(readResources(failing(first), { name: 'test' }))).rejects.toThrow('disk gone');
  }
});

it('ends its source when the reader stops early', async () => {
  for (const packed of [false, true]) {
    let ended = false;
    const lines = new TextEncoder().encode('{"resourceType":"Basic"}\n'.repeat(1000));
    const bytes = packed ? new Uint8Array(gzipSync(lines)) : lines;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* chunked(bytes, 16);
      } finally {
        ended = true;
      }
    };
    for await (const item of readResources(source(), { name: 'test' })) {
      expect('refused' in item).toBe(false);
      break;
    }
    expect(ended).toBe(true);
  }
});

describe('the scanner and JSON.parse agree', () => {
  const parses = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };

  it('on every text that is one byte away from JSON', async () => {
    const source = '{"resourceType":"Basic","a":[1,-0.5e+3,"x\\n\\u00e9",true,null,{}],"b":{"c":""}}';
    const bytes = [...'{}[]",:\\/ \t019.eE+-truefalsn\u0001'];
    for (let at = 0; at < source.length; at++) {
      for (const byte of ['', ...bytes]) {
        const text = source.slice(0, at) + byte + source.slice(at + 1);
        const [item] = readDocument(new TextEncoder().encode(text), 'test');
        const isJson = !('refused' in item) || !item.refused.code.startsWith('fhir.json_');
        // A repeated name is the one text that JSON.parse takes and we do not.
        const repeated = 'refused' in item && item.refused.code === 'fhir.json_duplicate_name';
        if (isJson !== parses(text) && !repeated) expect.fail(text);
      }
    }
  });

  it('on random texts of JSON characters', () => {
    const texts = fc.array(
      fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '1', '-', 'e', '.', '\\', 'u00e9', 'true', ' ', 'a'),
      {
        maxLength: 14,
      },
    );
    fc.assert(
      fc.property(texts, (parts) => {
        const text = parts.join('');
        const [item] = readDocument(new TextEncoder().encode(text), 'test');
        if ('refused' in item && item.refused.code === 'fhir.json_duplicate_name') return;
        expect('refused' in item && item.refused.code.startsWith('fhir.json_')).toBe(!parses(text));
      }),
      { seed: 11, numRuns: 5000 },
    );
  });
});
