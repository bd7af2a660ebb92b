/**
 * FHIR R4 AuditEvent and Consent as closed schemas (http://hl7.org/fhir/R4/auditevent.html, consent.html): every element
 * the standard has for them, required ones required, so that a misspelt or misplaced element of ours fails.
 */
import { z } from 'zod';

const id = z.string().regex(/^[A-Za-z0-9.-]{1,64}$/);
const instant = z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/);
const coding = z.strictObject({
  system: z.string().regex(/^(https?|urn):/),
  version: z.string().optional(),
  code: z.string().regex(/^\S+( \S+)*$/),
  display: z.string().optional(),
});
const concept = z.strictObject({ coding: z.array(coding).min(1), text: z.string().optional() });
const identifier = z.strictObject({ system: z.string(), value: z.string().min(1) });
const reference = z.strictObject({
  reference: z.string().optional(),
  type: z.string().optional(),
  identifier: identifier.optional(),
  display: z.string().optional(),
});
const extension = z.strictObject({ url: z.string(), valueIdentifier: identifier });
const period = z.strictObject({ start: instant.optional(), end: instant.optional() });

export const AUDIT_EVENT = z.strictObject({
  resourceType: z.literal('AuditEvent'),
  id,
  meta: z.strictObject({ profile: z.array(z.url()).min(1) }).optional(),
  extension: z.array(extension).optional(),
  type: coding,
  subtype: z.array(coding).min(1).optional(),
  action: z.enum(['C', 'R', 'U', 'D', 'E']).optional(),
  period: period.optional(),
  recorded: instant,
  outcome: z.enum(['0', '4', '8', '12']).optional(),
  outcomeDesc: z.string().optional(),
  purposeOfEvent: z.array(concept).min(1).optional(),
  agent: z
    .array(
      z.strictObject({
        type: concept.optional(),
        role: z.array(concept).optional(),
        who: reference.optional(),
        altId: z.string().optional(),
        name: z.string().optional(),
        requestor: z.boolean(),
        location: reference.optional(),
        policy: z.array(z.string()).optional(),
        media: coding.optional(),
        network: z
          .strictObject({
            address: z.string().optional(),
            type: z.enum(['1', '2', '3', '4', '5']).optional(),
          })
          .optional(),
        purposeOfUse: z.array(concept).min(1).optional(),
      }),
    )
    .min(1),
  source: z.strictObject({
    site: z.string().optional(),
    observer: reference,
    type: z.array(coding).optional(),
  }),
  entity: z
    .array(
      z.strictObject({
        what: reference.optional(),
        type: coding.optional(),
        role: coding.optional(),
        lifecycle: coding.optional(),
        securityLabel: z.array(coding).optional(),
        name: z.string().optional(),
        description: z.string().optional(),
        query: z.base64().optional(),
        detail: z
          .array(
            z.strictObject({
              type: z.string(),
              valueString: z.string().optional(),
              valueBase64Binary: z.string().optional(),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
});

export const CONSENT = z.strictObject({
  resourceType: z.literal('Consent'),
  id,
  identifier: z.array(identifier).optional(),
  status: z.enum(['draft', 'proposed', 'active', 'rejected', 'inactive', 'entered-in-error']),
  scope: concept,
  category: z.array(concept).min(1),
  patient: reference.optional(),
  dateTime: instant.optional(),
  performer: z.array(reference).optional(),
  organization: z.array(reference).optional(),
  policyRule: concept.optional(),
  provision: z
    .strictObject({
      type: z.enum(['deny', 'permit']).optional(),
      period: period.optional(),
      actor: z.array(z.strictObject({ role: concept, reference })).optional(),
      action: z.array(concept).optional(),
      securityLabel: z.array(coding).optional(),
      purpose: z.array(coding).optional(),
      class: z.array(coding).optional(),
      code: z.array(concept).optional(),
      dataPeriod: period.optional(),
    })
    .optional(),
});

export type AuditEvent = z.infer<typeof AUDIT_EVENT>;
export type Consent = z.infer<typeof CONSENT>;
