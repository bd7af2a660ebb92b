/** What goes into an AuditEvent (a view of one ledger entry) and what comes out (FHIR R4, the elements that we write). */
import type { Coding, Concept, IdentifierReference, Purpose } from './systems.ts';

/** What an auditor may see of one entry; the caller has decided that they may. */
export interface AuditEntryView {
  readonly kind: 'create' | 'read' | 'update' | 'delete' | 'query' | 'consent' | 'break-glass';
  /** Leaf hash of the entry, 64 hexadecimal digits. */
  readonly entryId: string;
  /** Block time in milliseconds. */
  readonly time: number;
  /** Pseudonym of the subject that signed the entry. */
  readonly actor: string;
  readonly actorMember: string;
  /** Member whose records, index or patient the entry is about. */
  readonly custodian: string;
  /** Each record with its verdict; for entries about records. */
  readonly records?: readonly AuditedRecord[];
  readonly purpose?: Purpose;
  /** For queries: what was asked. The keywords are known to nobody but the searcher. */
  readonly query?: { readonly field: string; readonly count: number; readonly blindedHash: Uint8Array };
  /** Verdict of entries that are about no record (a query), and what was done to a consent. */
  readonly verdict?: Verdict;
  /** The consent that an entry of kind `consent` asks for, answers or ends. */
  readonly consent?: { readonly id: string; readonly change: 'request' | 'accept' | 'reject' | 'revoke' };
  /** The patient of a consent. */
  readonly patient?: string;
}

export interface Verdict {
  readonly granted: boolean;
  /** Machine code of the reason, `ok` when granted. */
  readonly reason: string;
}

/** One record of an entry. */
export interface AuditedRecord {
  /** 64 hexadecimal digits. */
  readonly record: string;
  readonly version: number;
  readonly patient?: string;
  /** Where it is not the custodian of the view: one Access may name records of several. */
  readonly custodian?: string;
  /** Absent for entries that are not decided record by record (a create). */
  readonly verdict?: Verdict;
  /** The consent without which access would have been refused. */
  readonly consent?: string;
}

export interface Agent {
  readonly type: Concept;
  readonly who: IdentifierReference;
  readonly requestor: boolean;
  readonly network?: { readonly address: string; readonly type: '1' };
  readonly purposeOfUse?: readonly Concept[];
}

export interface Entity {
  readonly what?: IdentifierReference;
  readonly type: Coding;
  readonly role?: Coding;
  readonly query?: string;
  readonly detail?: readonly { readonly type: string; readonly valueString: string }[];
}

/** The AuditEvent (FHIR R4) that we write. */
export interface BalpAuditEvent {
  readonly resourceType: 'AuditEvent';
  readonly id: string;
  readonly meta?: { readonly profile: readonly string[] };
  readonly extension: readonly {
    readonly url: string;
    readonly valueIdentifier: { readonly system: string; readonly value: string };
  }[];
  readonly type: Coding;
  readonly subtype: readonly Coding[];
  readonly action: 'C' | 'R' | 'U' | 'D' | 'E';
  readonly recorded: string;
  readonly outcome: '0' | '8';
  readonly outcomeDesc?: string;
  readonly purposeOfEvent?: readonly Concept[];
  readonly agent: readonly Agent[];
  readonly source: {
    readonly site: string;
    readonly observer: IdentifierReference;
    readonly type: readonly Coding[];
  };
  readonly entity: readonly Entity[];
}
