/** Ledger entries as the plain view from which FHIR AuditEvents are made. */
import type { CommittedEntry } from '../api/ports.ts';
import { toHex } from '../codec/bytes.ts';
import { entryId } from '../codec/ids.ts';
import type { AuditEntryView, AuditedRecord } from '../fhir/index.ts';
import { type Purpose, STATE } from '../ledger/index.ts';
import type { NodeLedger } from './ledger.ts';

interface RecordRef {
  readonly record: Uint8Array;
  readonly version: number;
}

/** The view of an entry that is about records, searches or consents; undefined for the rest. */
export function auditView(entry: CommittedEntry, ledger: NodeLedger): AuditEntryView | undefined {
  if (entry.subject === null) return undefined;
  const actorMember = ledger.state(STATE.subject(entry.subject))?.member ?? '';
  const base = { entryId: entry.entryId, time: entry.timeMs, actor: entry.subject, actorMember };
  const body = entry.body as Record<string, unknown>;
  switch (entry.type) {
    case 'RecordPut': {
      const rows = body.records as readonly (RecordRef & { patient: Uint8Array | null })[];
      const records = rows.map((row) => audited(row, ledger));
      return { ...base, kind: rows[0]?.version === 0 ? 'create' : 'update', custodian: actorMember, records };
    }
    case 'PolicyChange':
      return aboutRecord(base, 'update', body as unknown as RecordRef, ledger);
    case 'Erase': {
      const record = body.record as Uint8Array;
      const version = ledger.state(STATE.record(toHex(record)))?.version ?? 0;
      return aboutRecord(base, 'delete', { record, version }, ledger);
    }
    case 'Access': {
      const verdicts = entry.result.verdicts as readonly { granted: boolean; reason: string }[];
      const records = (body.records as readonly RecordRef[])
        .map((row, i) => ({ row, verdict: verdicts[i] }))
        .filter(({ row }) => !isFieldKey(row.record, ledger))
        .map(({ row, verdict }) => ({ ...audited(row, ledger), verdict }));
      if (records.length === 0) return undefined;
      const custodian = ledger.state(STATE.record(records[0].record))?.custodian ?? actorMember;
      return { ...base, kind: 'read', custodian, records, purpose: body.purpose as Purpose };
    }
    case 'BreakGlass': {
      const verdict = entry.result as unknown as { granted: boolean; reason: string };
      const seen = aboutRecord(base, 'break-glass', body as unknown as RecordRef, ledger);
      return { ...seen, records: seen.records?.map((record) => ({ ...record, verdict })) ?? [] };
    }
    case 'Search':
      return {
        ...base,
        kind: 'query',
        custodian: String(body.custodian),
        purpose: body.purpose as Purpose,
        query: {
          field: String(body.field),
          count: Number(body.count),
          blindedHash: body.blindedHash as Uint8Array,
        },
        verdict: entry.result as unknown as { granted: boolean; reason: string },
      };
    case 'ConsentRequest':
      return { ...base, ...consent(ledger, entry.entryId, 'request', actorMember) };
    case 'ConsentAnswer':
      return {
        ...base,
        ...consent(
          ledger,
          toHex(body.consent as Uint8Array),
          body.answer === 'accept' ? 'accept' : 'reject',
          actorMember,
        ),
      };
    case 'ConsentRevoke':
      return { ...base, ...consent(ledger, toHex(body.consent as Uint8Array), 'revoke', actorMember) };
    default:
      return undefined;
  }
}

function isFieldKey(record: Uint8Array, ledger: NodeLedger): boolean {
  const state = ledger.state(STATE.record(toHex(record)));
  return state !== undefined && state.cid === null;
}

function audited({ record, version }: RecordRef, ledger: NodeLedger): AuditedRecord {
  const id = toHex(record);
  const state = ledger.state(STATE.record(id));
  const patient = state?.patient ?? null;
  return {
    record: id,
    version,
    ...(state === undefined ? {} : { custodian: state.custodian }),
    ...(patient === null ? {} : { patient: toHex(patient) }),
  };
}

function aboutRecord(
  base: Pick<AuditEntryView, 'entryId' | 'time' | 'actor' | 'actorMember'>,
  kind: AuditEntryView['kind'],
  row: RecordRef,
  ledger: NodeLedger,
): AuditEntryView {
  const custodian = ledger.state(STATE.record(toHex(row.record)))?.custodian ?? base.actorMember;
  return { ...base, kind, custodian, records: [audited(row, ledger)] };
}

function consent(
  ledger: NodeLedger,
  id: string,
  change: 'request' | 'accept' | 'reject' | 'revoke',
  member: string,
): Pick<AuditEntryView, 'kind' | 'custodian' | 'consent' | 'patient'> {
  const patient = ledger.state(STATE.consent(entryId(id)))?.patient;
  const custodian = patient === undefined ? undefined : ledger.state(STATE.subject(toHex(patient)))?.member;
  return {
    kind: 'consent',
    custodian: custodian ?? member,
    consent: { id, change },
    ...(patient === undefined ? {} : { patient: toHex(patient) }),
  };
}
