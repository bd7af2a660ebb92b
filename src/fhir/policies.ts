/** From the policy map to policy text. Strings only: `parsePolicy` and the registry decide what they mean. */
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import type { FieldSpec } from '../search/index.ts';
import { GENERAL_DEPARTMENT } from './departments.ts';
import {
  DEFAULT_COUNT_POLICY,
  DEFAULT_POLICIES,
  DEFAULT_SEARCH_POLICY,
  type PolicyGroup,
  type PolicyMap,
} from './policy-map.ts';

/** What a default policy is made for. */
export interface PolicyContext {
  /** The custodian: the issuer of every attribute but `patient` and `consent`. */
  readonly member: MemberId;
  /** Patient pseudonym, 32 hexadecimal digits; absent for records about no patient. */
  readonly patient?: string;
  /** From `departmentOf`; `general` when absent. */
  readonly department?: string;
}

const PSEUDONYM_FORM = /^[0-9a-f]{32}$/;
const DEPARTMENT_FORM = /^[a-z][a-z0-9-]{0,31}$/;

/** The group of `map` that `resourceType` is in, or its `otherwise`. */
export function policyGroupOf(resourceType: string, map: PolicyMap = DEFAULT_POLICIES): PolicyGroup {
  return map.groups.find((group) => group.types.includes(resourceType)) ?? map.otherwise;
}

/**
 * Default policy of a record, for example
 * `mercy/dept:cardiology and (mercy/role:doctor or mercy/role:nurse) or mercy/role:attending or patient:.. or consent:..`.
 * Throws `fhir.policy_input` on a pseudonym or department that could not stand in a policy.
 */
export function defaultPolicy(
  resourceType: string,
  context: PolicyContext,
  map: PolicyMap = DEFAULT_POLICIES,
): string {
  const { member, patient, department = GENERAL_DEPARTMENT } = context;
  if (patient !== undefined && !PSEUDONYM_FORM.test(patient)) {
    throw new CodedError('fhir.policy_input', 'expected a patient pseudonym of 32 hexadecimal digits');
  }
  if (!DEPARTMENT_FORM.test(department)) {
    throw new CodedError('fhir.policy_input', 'expected a department of a-z, 0-9 and "-", at most 32');
  }
  return policyGroupOf(resourceType, map)
    .anyOf.filter((alternative) => patient !== undefined || !alternative.includes('{patient}'))
    .map((alternative) =>
      alternative
        .replaceAll('{member}', member)
        .replaceAll('{department}', department)
        .replaceAll('{patient}', patient ?? ''),
    )
    .join(' or ');
}

/** Default search policy of a field of `member`'s index. */
export function defaultSearchPolicy(member: MemberId, { index }: Pick<FieldSpec, 'index'>): string {
  const policy = index.type === 'reference' ? DEFAULT_SEARCH_POLICY : DEFAULT_COUNT_POLICY;
  return policy.replaceAll('{member}', member);
}
