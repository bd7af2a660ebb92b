/**
 * Branded names and numbers, so that one kind of id cannot be passed for another, and the checks that turn
 * untrusted text into them. Ids are lower-case hexadecimal text in JSON and raw bytes in dag-cbor.
 */
import { CodedError } from './errors.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 16 random bytes: a person, system or device with keys. A patient's is the patient pseudonym. */
export type SubjectId = Brand<string, 'SubjectId'>;
/** 32 random bytes: one sealed FHIR resource or document. */
export type RecordId = Brand<string, 'RecordId'>;
/** 32 bytes: the leaf hash of the KeyIssue entry. */
export type KeyId = Brand<string, 'KeyId'>;
/** 32 bytes: the leaf hash of any entry. */
export type EntryId = Brand<string, 'EntryId'>;
/** Short name of a hospital, also the issuer of its attributes. */
export type MemberId = Brand<string, 'MemberId'>;

function hexId<Name extends string>(name: Name, bytes: number): (text: string) => Brand<string, Name> {
  const form = new RegExp(`^[0-9a-f]{${2 * bytes}}$`);
  return (text) => {
    if (!form.test(text)) {
      throw new CodedError('id.malformed', `expected a ${name}: ${2 * bytes} lower-case hexadecimal digits`);
    }
    return text as Brand<string, Name>;
  };
}

export const subjectId: (text: string) => SubjectId = hexId('SubjectId', 16);
export const recordId: (text: string) => RecordId = hexId('RecordId', 32);
export const keyId: (text: string) => KeyId = hexId('KeyId', 32);
export const entryId: (text: string) => EntryId = hexId('EntryId', 32);

const MEMBER_FORM = /^[a-z][a-z0-9-]{0,31}$/;

/** 1 to 32 of a-z, 0-9 and `-`, beginning with a letter; throws `id.malformed`. */
export function memberId(text: string): MemberId {
  if (!MEMBER_FORM.test(text)) {
    throw new CodedError(
      'id.malformed',
      'expected a member id: a-z, 0-9 and "-", beginning with a letter, at most 32',
    );
  }
  return text as MemberId;
}
