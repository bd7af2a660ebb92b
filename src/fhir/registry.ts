/** The labels that a new consortium registers at genesis: those of the default policies, and a few to grow into. */
import type { LabelSpec } from '../abe/policy/registry.ts';

/** Roles that the default policies name. `role` is open: a member may grant others. */
export const ROLES = [
  'admin',
  'attending',
  'auditor',
  'billing',
  'doctor',
  'lab',
  'nurse',
  'pharmacist',
  'privacy',
  'researcher',
  'staff',
] as const;

/** The purposes of an Access or Search entry, as values of the label `purpose`. */
export const PURPOSES = ['treatment', 'payment', 'operations', 'research', 'patient', 'audit'] as const;

/**
 * Labels beside `patient` and `consent`, which every registry holds. `role`, `dept` and `right` are open and not finite:
 * a person holds several of each, and a second value of a finite label would call for a new key.
 */
export function defaultRegistry(): LabelSpec[] {
  return [
    { label: 'right', type: 'text' },
    { label: 'role', type: 'text' },
    { label: 'dept', type: 'text' },
    { label: 'clearance', type: 'level' },
    { label: 'licensed-until', type: 'date', width: 16 },
    { label: 'purpose', type: 'text', values: PURPOSES, shared: true },
    { label: 'study', type: 'text', shared: true },
  ];
}
