/**
 * Codes above a code, for systems whose hierarchy can be read off the code itself: ICD-10 (and national versions) by
 * category, ATC by level. SNOMED CT and RxNorm need tables with licences of their own: a deployment passes a lookup.
 */

const ICD10_SYSTEM =
  /^(?:http:\/\/hl7\.org\/fhir\/sid\/icd-10(?:-[a-z]+)?|urn:oid:2\.16\.840\.1\.113883\.6\.(?:3|90))$/;
const ICD10_FORM = /^[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?$/;
const ATC_SYSTEM = 'http://www.whocc.no/atc';
/** Lengths of the five ATC levels. */
const ATC_LEVELS = [1, 3, 4, 5, 7] as const;

/** Ancestors of `code` in `system`, nearest first; none for systems without a readable structure. */
export function codeAncestors(system: string | null, code: string): string[] {
  if (system === null) return [];
  if (ICD10_SYSTEM.test(system) && ICD10_FORM.test(code)) {
    const ends = Array.from({ length: Math.max(0, code.length - 4) }, (_, i) => code.length - 1 - i);
    // E11.65 -> E11.6 -> E11: the dot itself ends no code.
    return [
      ...ends.filter((end) => end > 4).map((end) => code.slice(0, end)),
      ...(code.length > 3 ? [code.slice(0, 3)] : []),
    ];
  }
  if (system === ATC_SYSTEM) {
    return ATC_LEVELS.filter((level) => level < code.length)
      .map((level) => code.slice(0, level))
      .reverse();
  }
  return [];
}
