/**
 * Strict decoders for the fields of an entry: a value is refused (`entry.malformed`) unless it has exactly the
 * named fields with exactly the named types. Hand-written because a validator decodes thousands a second.
 */
import { CodedError } from '../../codec/errors.ts';

/** Turns an untrusted decoded value into `T`, or throws `entry.malformed` naming `path`. */
export type Decode<T> = (value: unknown, path: string) => T;

export function malformed(path: string, expected: string): never {
  throw new CodedError('entry.malformed', `${path}: expected ${expected}`, { details: { path } });
}

/** A map with exactly the fields of `shape`. */
export function map<T extends object>(shape: { readonly [K in keyof T]: Decode<T[K]> }): Decode<T> {
  const names = Object.keys(shape) as (keyof T & string)[];
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      malformed(path, 'a map');
    }
    const given = value as Record<string, unknown>;
    const out: Partial<T> = {};
    for (const name of names) {
      if (!Object.hasOwn(given, name)) malformed(`${path}.${name}`, 'a value, the field is missing');
      out[name] = shape[name](given[name], `${path}.${name}`);
    }
    if (Object.keys(given).length !== names.length) {
      const unknown = Object.keys(given).find((name) => !Object.hasOwn(shape, name));
      malformed(
        path,
        `only the fields ${names.join(', ')}${unknown === undefined ? '' : ', there is another'}`,
      );
    }
    return out as T;
  };
}

/** An array of `min` to `max` items. */
export function list<T>(item: Decode<T>, min: number, max: number): Decode<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      malformed(path, `a list of ${min} to ${max}`);
    }
    return (value as unknown[]).map((one, i) => item(one, `${path}[${i}]`));
  };
}

/** Bytes of exactly `length`. */
export function bytes(length: number): Decode<Uint8Array> {
  return (value, path) =>
    value instanceof Uint8Array && value.length === length ? value : malformed(path, `${length} bytes`);
}

/** Bytes of `min` to `max`. */
export function bytesBetween(min: number, max: number): Decode<Uint8Array> {
  return (value, path) =>
    value instanceof Uint8Array && value.length >= min && value.length <= max
      ? value
      : malformed(path, `${min} to ${max} bytes`);
}

/** An integer within both bounds. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Decode<number> {
  return (value, path) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : malformed(path, `an integer from ${min} to ${max}`);
}

/** Text of `min` to `max` UTF-16 units, in the form `pattern` if one is given. */
export function text(min: number, max: number, pattern?: RegExp): Decode<string> {
  return (value, path) =>
    typeof value === 'string' &&
    value.length >= min &&
    value.length <= max &&
    (pattern === undefined || pattern.test(value))
      ? value
      : malformed(
          path,
          `text of ${min} to ${max} characters${pattern === undefined ? '' : ` like ${pattern}`}`,
        );
}

/** One of `values`. */
export function oneOf<const T extends string | number>(...values: readonly T[]): Decode<T> {
  return (value, path) => {
    const found = values.find((one) => one === value);
    return found ?? malformed(path, `one of ${values.join(', ')}`);
  };
}

export const bool: Decode<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : malformed(path, 'true or false');

/** `null` or what `inner` takes. */
export function nullable<T>(inner: Decode<T>): Decode<T | null> {
  return (value, path) => (value === null ? null : inner(value, path));
}

/** No value occurs twice; compared by their text. */
export function distinct<T extends string | number>(inner: Decode<readonly T[]>): Decode<readonly T[]> {
  return (value, path) => {
    const items = inner(value, path);
    if (new Set(items).size !== items.length) malformed(path, 'distinct values');
    return items;
  };
}
