/** Parsed JSON and the few FHIR datatypes that everything here reads: lists, identifiers. */

/** Any JSON value, as JSON.parse gives it. Numbers have lost their precision: never write one back. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue | undefined;
}

/** True for a JSON object (not an array, not null). */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a list: FHIR elements that may repeat stand as arrays, single ones do not. */
export function asList(value: JsonValue | undefined): readonly JsonValue[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value as JsonValue];
}

/** `system|value` of an Identifier, as in a search by identifier; undefined without a value. */
export function identifierToken(identifier: JsonValue | undefined): string | undefined {
  if (!isObject(identifier) || typeof identifier.value !== 'string') return undefined;
  return `${typeof identifier.system === 'string' ? identifier.system : ''}|${identifier.value}`;
}

/** Every `system|value` of a resource's identifiers, in order. */
export function identifiersOf(json: JsonObject): string[] {
  return asList(json.identifier).flatMap((one) => identifierToken(one) ?? []);
}
