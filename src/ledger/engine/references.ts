/** What an entry is about: the subjects, records and patients under which it can be found. */
import { toHex } from '../../codec/bytes.ts';
import type { Transaction } from '../entries/transaction.ts';
import { STATE, type StateView } from '../machine/index.ts';
import type { Reference } from './tables.ts';

/** A reference under a name that is equal for equal references. */
export interface NamedReference {
  readonly name: string;
  readonly reference: Reference;
}

/**
 * References of item `item`, each once: its signer (`subject` in hexadecimal) and kind always; whom it enrols, grants or
 * revokes; the records that it names; and the patients of those records and consents, so that a patient sees who
 * asked.
 */
export function referencesOf(
  view: StateView,
  transaction: Transaction,
  subject: string,
  item: number,
): Iterable<NamedReference> {
  const about = new References(view);
  const { type } = transaction;
  about.add(type, { by: 'kind', id: type });
  about.add(`subject/${subject}`, { by: 'subject', id: transaction.subject });
  collect(about, transaction, item);
  return about.found.values();
}

class References {
  readonly found = new Map<string, NamedReference>();
  readonly #view: StateView;

  constructor(view: StateView) {
    this.#view = view;
  }

  add(name: string, reference: Reference): void {
    this.found.set(name, { name, reference });
  }

  addOnce(by: 'subject' | 'record' | 'patient', id: Uint8Array): void {
    this.add(`${by}/${toHex(id)}`, { by, id });
  }

  addRecord(record: Uint8Array): void {
    this.addOnce('record', record);
    const patient = this.#view.get(STATE.record(toHex(record)))?.patient;
    if (patient !== undefined && patient !== null) this.addOnce('patient', patient);
  }

  addConsent(id: Uint8Array): void {
    const consent = this.#view.get(STATE.consent(toHex(id)));
    if (consent === undefined) return;
    this.addOnce('patient', consent.patient);
    this.addOnce('subject', consent.grantee);
  }

  addReviewed(entry: Uint8Array): void {
    const reviewed = this.#view.get(STATE.breakGlass(toHex(entry)));
    if (reviewed === undefined) return;
    this.addRecord(reviewed.record);
    this.addOnce('subject', reviewed.subject);
  }
}

function collect(about: References, transaction: Transaction, item: number): void {
  switch (transaction.type) {
    case 'SubjectPut':
    case 'SubjectKeyPut':
    case 'AttributeSet':
    case 'AttributeEnd':
    case 'SubjectRevoke':
      about.addOnce('subject', transaction.bodies[item].subject);
      return;
    case 'RecordPut':
    case 'Access':
      for (const { record } of transaction.bodies[item].records) about.addRecord(record);
      return;
    case 'PolicyChange':
    case 'Erase':
    case 'Destroyed':
    case 'BreakGlass':
      about.addRecord(transaction.bodies[item].record);
      return;
    case 'BreakGlassReview':
      about.addReviewed(transaction.bodies[item].entry);
      return;
    case 'ConsentRequest':
      about.addOnce('patient', transaction.bodies[item].patient);
      return;
    case 'ConsentAnswer':
    case 'ConsentRevoke':
      about.addConsent(transaction.bodies[item].consent);
      return;
    default:
      return;
  }
}
