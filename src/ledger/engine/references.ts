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
  const about = new References(view);
  about.add({ by: 'kind', id: transaction.type });
  about.add({ by: 'subject', id: transaction.subject });
  collect(about, transaction, item);
  return about.found;
}

/** A list without repeats. Most entries have two or three references; a long Access has hundreds. */
class References {
  readonly found: Reference[] = [];
  readonly #view: StateView;
  readonly #names = new Set<string>();

  constructor(view: StateView) {
    this.#view = view;
  }

  add(reference: Reference): void {
    this.found.push(reference);
  }

  addOnce(by: 'subject' | 'record' | 'patient', id: Uint8Array): void {
    const name = `${by}/${toHex(id)}`;
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.found.push({ by, id });
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
