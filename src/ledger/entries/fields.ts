/**
 * Strict decoders for the fields of an entry: a value is refused (`entry.malformed`) unless it has exactly the
 * named fields with exactly the named types. Hand-written because a validator decodes thousands a second.
 */
import { CodedError } from '../../codec/errors.ts';

/** Turns an untrusted decoded value into `T`, or throws `entry.malformed` naming the field. */
export type Decode<T> = (value: unknown, field: string) => T;

export function malformed(field: string, expected: string): never {
  throw new CodedError('entry.malformed', `${field}: expected ${expected}`, { details: { field } });
}

/** A map with exactly the fields of `shape`. */
export function map<T extends object>(shape: { readonly [K in keyof T]: Decode<T[K]> }): Decode<T> {
  const names = Object.keys(shape) as (keyof T & string)[];
  return (value, field) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      malformed(field, 'a map');
    }
    const given = value as Record<string, unknown>;
    const out: Partial<T> = {};
    for (const name of names) {
      if (!Object.hasOwn(given, name)) malformed(name, 'a value, the field is missing');
      out[name] = shape[name](given[name], name);
    }
    if (Object.keys(given).length !== names.length) {
      const unknown = Object.keys(given).find((name) => !Object.hasOwn(shape, name));
      malformed(
        field,
        `only the fields ${names.join(', ')}${unknown === undefined ? '' : ', there is another'}`,
      );
    }
    return out as T;
  };
}

/** An array of `min` to `max` items. */
export function list<T>(item: Decode<T>, min: number, max: number): Decode<readonly T[]> {
  return (value, field) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      malformed(field, `a list of ${min} to ${max}`);
    }
    return (value as unknown[]).map((one) => item(one, field));
  };
}

/** Bytes of exactly `length`. */
export function bytes(length: number): Decode<Uint8Array> {
  return (value, field) =>
    value instanceof Uint8Array && value.length === length ? value : malformed(field, `${length} bytes`);
}

/** Bytes of `min` to `max`. */
export function bytesBetween(min: number, max: number): Decode<Uint8Array> {
  return (value, field) =>
    value instanceof Uint8Array && value.length >= min && value.length <= max
      ? value
      : malformed(field, `${min} to ${max} bytes`);
}

/** An integer within both bounds. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Decode<number> {
  return (value, field) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : malformed(field, `an integer from ${min} to ${max}`);
}

/** Text of `min` to `max` UTF-16 units, in the form `pattern` if one is given. */
export function text(min: number, max: number, pattern?: RegExp): Decode<string> {
  return (value, field) =>
    typeof value === 'string' &&
    value.length >= min &&
    value.length <= max &&
    (pattern === undefined || pattern.test(value))
      ? value
      : malformed(
          field,
          `text of ${min} to ${max} characters${pattern === undefined ? '' : ` like ${pattern}`}`,
        );
}

/** One of `values`. */
export function oneOf<const T extends string | number>(...values: readonly T[]): Decode<T> {
  return (value, field) => {
    const found = values.find((one) => one === value);
    return found ?? malformed(field, `one of ${values.join(', ')}`);
  };
}

export const bool: Decode<boolean> = (value, field) =>
  typeof value === 'boolean' ? value : malformed(field, 'true or false');

/** `null` or what `inner` takes. */
export function nullable<T>(inner: Decode<T>): Decode<T | null> {
  return (value, field) => (value === null ? null : inner(value, field));
}

/** No value occurs twice; compared by their text. */
export function distinct<T extends string | number>(inner: Decode<readonly T[]>): Decode<readonly T[]> {
  return (value, field) => {
    const items = inner(value, field);
    if (new Set(items).size !== items.length) malformed(field, 'distinct values');
    return items;
  };
}
