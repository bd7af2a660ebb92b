/** What an entry is about: the subjects, records and patients under which it can be found. */
import { toHex } from '../../codec/bytes.ts';
import type { Transaction } from '../entries/transaction.ts';
import { STATE, type StateView } from '../machine/index.ts';
import type { Reference } from './tables.ts';

/**
 * References of item `item`, each once: its signer and kind always; whom it enrols, grants or revokes; the records
 * that it names; and the patients of those records and consents, so that a patient sees who asked.
 */
export function referencesOf(view: StateView, transaction: Transaction, item: number): readonly Reference[] {
  const found = new Map<string, Reference>();
  const add = (reference: Reference): void => {
    found.set(`${reference.by}/${reference.id}`, reference);
  };
  const addRecord = (record: Uint8Array): void => {
    const id = toHex(record);
    add({ by: 'record', id });
    const patient = view.get(STATE.record(id))?.patient;
    if (patient !== undefined && patient !== null) add({ by: 'patient', id: toHex(patient) });
  };
  const addConsent = (consent: Uint8Array): void => {
    const state = view.get(STATE.consent(toHex(consent)));
    if (state === undefined) return;
    add({ by: 'patient', id: toHex(state.patient) });
    add({ by: 'subject', id: toHex(state.grantee) });
  };
  add({ by: 'kind', id: transaction.type });
  add({ by: 'subject', id: toHex(transaction.subject) });
  switch (transaction.type) {
    case 'SubjectPut':
    case 'SubjectKeyPut':
    case 'AttributeSet':
    case 'AttributeEnd':
    case 'SubjectRevoke':
      add({ by: 'subject', id: toHex(transaction.bodies[item].subject) });
      break;
    case 'RecordPut':
    case 'Access':
      for (const { record } of transaction.bodies[item].records) addRecord(record);
      break;
    case 'PolicyChange':
    case 'Erase':
    case 'Destroyed':
    case 'BreakGlass':
      addRecord(transaction.bodies[item].record);
      break;
    case 'BreakGlassReview': {
      const reviewed = view.get(STATE.breakGlass(toHex(transaction.bodies[item].entry)));
      if (reviewed !== undefined) {
        addRecord(reviewed.record);
        add({ by: 'subject', id: toHex(reviewed.subject) });
      }
      break;
    }
    case 'ConsentRequest':
      add({ by: 'patient', id: toHex(transaction.bodies[item].patient) });
      break;
    case 'ConsentAnswer':
    case 'ConsentRevoke':
      addConsent(transaction.bodies[item].consent);
      break;
    default:
      break;
  }
  return [...found.values()];
}
