/** Values for a JSON schema, as fast-check makes them: mostly of the right form, sometimes near it, sometimes neither. */
import fc, { type Arbitrary } from 'fast-check';

export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
}

type Schemas = Readonly<Record<string, JsonSchema>>;

/** Items of a list: the bounds of the contract are tested elsewhere. */
const ITEMS_MAX = 3;

/**
 * Values of `schema`. One in six is anything at all. `known` are ids that name something, taken now and then where
 * their form fits.
 */
export function drawnFrom(
  schema: JsonSchema,
  schemas: Schemas,
  known: readonly string[],
): Arbitrary<unknown> {
  return fc.oneof(
    { arbitrary: rightOf(schema, schemas, known), weight: 5 },
    { arbitrary: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string(), fc.integer()), weight: 1 },
  );
}

function rightOf(schema: JsonSchema, schemas: Schemas, known: readonly string[]): Arbitrary<unknown> {
  if (schema.$ref !== undefined) {
    return drawnFrom(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, schemas, known);
  }
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined)
    return fc.oneof(...schema.anyOf.map((one) => drawnFrom(one, schemas, known)));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case 'string':
      return textOf(schema, known);
    case 'integer':
    case 'number':
      return fc.integer({
        min: Math.max(schema.minimum ?? -10, -(2 ** 31)),
        max: Math.min(schema.maximum ?? 10_000, 2 ** 31),
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(drawnFrom(schema.items ?? {}, schemas, known), {
        minLength: Math.min(schema.minItems ?? 0, ITEMS_MAX),
        maxLength: ITEMS_MAX,
      });
    case 'object': {
      const properties = Object.entries(schema.properties ?? {}).map(
        ([name, one]) => [name, drawnFrom(one, schemas, known)] as const,
      );
      return fc.record(Object.fromEntries(properties), { requiredKeys: [...(schema.required ?? [])] });
    }
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

/** Text of a pattern: hexadecimal of its length, base64url, member ids; policies and attributes as people write them. */
function textOf(schema: JsonSchema, known: readonly string[]): Arbitrary<string> {
  const { pattern, format } = schema;
  if (format === 'date-time') {
    return fc
      .date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString());
  }
  const hex = /^\^\[0-9a-f\]\{(\d+)\}\$$/.exec(pattern ?? '');
  if (hex !== null) {
    const length = Number(hex[1]);
    const drawn = fc.uint8Array({ minLength: length / 2, maxLength: length / 2 }).map(toHex);
    const fitting = known.filter((one) => one.length === length);
    return fitting.length === 0 ? drawn : fc.oneof(drawn, fc.constantFrom(...fitting));
  }
  if (pattern?.startsWith('^[A-Za-z0-9_-]') === true) {
    return fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64url'));
  }
  if (pattern !== undefined) return fc.constantFrom('mercy', 'st-luke', 'nobody', 'x');
  const people = fc.constantFrom(
    'mercy/role:doctor',
    'mercy/role:nurse and (mercy/dept:cardiology',
    'mercy/age >= 18',
    '2 of (mercy/role:nurse, mercy/role:doctor)',
    'condition:E11* and not medication:860975',
    'consent:00112233445566778899aabbccddeeff',
  );
  return fc.oneof(
    people,
    fc.string({ minLength: Math.min(schema.minLength ?? 0, 100), maxLength: 100, unit: 'binary' }),
  );
}

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
