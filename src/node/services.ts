/** The gateway's ports over a member's node: each is one call into the part that does it. */
import { decodePolicy, printPolicy } from '../abe/index.ts';
import type { CommittedEntry, Services, Session } from '../api/ports.ts';
import { toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { EntryId, RecordId, SubjectId } from '../codec/ids.ts';
import {
  DEFAULT_COUNT_POLICY,
  DEFAULT_POLICIES,
  DEFAULT_SEARCH_POLICY,
  toBalpAuditEvents,
} from '../fhir/index.ts';
import { hasRight, type Purpose, STATE } from '../ledger/index.ts';
import { handleIpfsRequest, restoredMark } from '../storage/index.ts';
import { askAdmission } from './admission.ts';
import { auditView } from './audit.ts';
import { importDocument } from './import-service.ts';
import type { MemberNode } from './member.ts';
import { type PeerTip, peerTips } from './rejoin.ts';

/** Printed policies remembered; a consortium uses few distinct ones. */
const POLICY_TEXTS_MAX = 4096;
/** The other members are asked for their tips at most so often, however often the status is. */
const TIPS_MS = 5_000;

export function servicesOf(node: MemberNode): Services {
  const policyTexts = new Map<string, string>();
  const policyText = (policy: Uint8Array): string => {
    const name = toHex(policy);
    const known = policyTexts.get(name);
    if (known !== undefined) return known;
    if (policyTexts.size >= POLICY_TEXTS_MAX) policyTexts.clear();
    const text = printPolicy(decodePolicy(policy));
    policyTexts.set(name, text);
    return text;
  };
  const { ledger, accounts, subjects, records, search, parts } = node;
  let asked: { readonly at: number; readonly tips: Promise<PeerTip[]> } | undefined;
  const tips = (): Promise<PeerTip[]> => {
    const { clock, link } = node.options;
    const now = performance.now();
    if (asked === undefined || now - asked.at > TIPS_MS)
      asked = { at: now, tips: peerTips(ledger, link, clock) };
    return asked.tips;
  };
  return {
    member: node.id,
    chainId: ledger.chainId,
    ledger,
    nowMs: () => node.options.clock(),
    witnesses: node.witnesses,
    accounts: {
      verify: (name, password) => accounts.verify(name, password),
      session: (name) => accounts.session(name),
    },
    subjects: {
      describe: (subject) => subjects.describe(subject),
      canOpen: (subject, record) => subjects.canOpen(subject, record),
    },
    writes: {
      submit: (request) => ledger.submit(request),
      sign: (subject, type, body) => node.signAs(subject, type, body),
      enrol: (by, subject) => subjects.enrol(by, subject),
    },
    admission: (member) => askAdmission(node.options.link, member),
    keys: {
      partsOfKey: (keyId) => parts.ofKey(keyId),
      gatesOf: (access) => parts.gatesOf(access),
      authorities: () => {
        const epoch = ledger.shareEpoch();
        const share = epoch === null ? undefined : ledger.state(STATE.share(epoch));
        return {
          shareEpoch: epoch,
          threshold: share?.threshold ?? null,
          members: share?.members ?? [],
          keys: node.parameters.encodedAuthorityKeys(),
          ceremony: ceremonyOf(node),
        };
      },
    },
    records: {
      receivePayload: (by, source) => node.uploads.receive(by, source),
      putSealed: (request, uploads) => records.putSealed(request, uploads),
      putPlain: (by, uploads, key) => records.putPlain(by, uploads, key),
      changePolicySealed: (request, header) => records.changePolicySealed(request, header),
      changePolicy: (by, record, policy) => records.changePolicy(by, record, policy),
      header: (record) => records.header(record),
      payload: (record) => records.payload(record),
      open: (by, record, purpose) => records.open(by, record, purpose as Purpose),
    },
    search: {
      tokens: async (request, blinded) => {
        const entries = await ledger.submit(request);
        return { entries, evaluations: await search.evaluate(entries, blinded) };
      },
      manifest: (custodian) => search.manifest(custodian),
      numbers: (custodian, from, count) => search.numbers(custodian, from, count),
      opening: (by, id) => search.opening(by, id),
      openEpochs: async (by, fields) => {
        const { epochs, engine, id } = node;
        const { member } = ledger.state(STATE.subject(by.subject)) ?? {};
        if (member !== id || !hasRight(engine.state, by.subject, 'operator', ledger.tipTimeMs()))
          throw new CodedError(
            'right.missing',
            'only an operator of this hospital opens epochs of its index',
          );
        if (epochs === undefined) throw new CodedError('index.not_ready', 'the indexer has not been started');
        return epochs.open(fields);
      },
      deaths: (custodian, from, count) => search.deaths(custodian, from, count),
      segment: (id, ranges) => search.segment(id, ranges),
      direct: (custodian, id, ranges) => node.direct.fetch(custodian, id, ranges),
      query: (by, query, options) => search.query(by, query, options),
    },
    ipfs: {
      public: node.options.publicIpfs === true,
      answer: (request) => handleIpfsRequest(node.payloads, request),
    },
    storage: () => storageStatus(node),
    disk: () => node.disk.status(),
    listRecords: ({ limit, cursor, patient, custodian }) => {
      const ids = patient === undefined ? allRecords(node, custodian) : ledger.book.ofPatient(patient);
      return page(ids, limit, cursor, (id) => {
        const state = ledger.state(STATE.record(id));
        if (state === undefined || (custodian !== undefined && state.custodian !== custodian))
          return undefined;
        return { ...state };
      });
    },
    consentsOf: (subject, { limit, cursor }) => consentsOf(node, subject, limit, cursor),
    auditEvents: (by, filter) => auditEvents(node, by, filter),
    policyText,
    defaultPolicies: () => ({
      records: DEFAULT_POLICIES,
      search: DEFAULT_COUNT_POLICY,
      pseudonyms: DEFAULT_SEARCH_POLICY,
    }),
    importBundle: (by, body) => importDocument({ member: node.id, records, subjects }, by, body),
    ready: () => isReady(node),
    status: async () => {
      const consensus = consensusOf(node);
      const checkpoint = node.engine.checkpoint()?.checkpoint;
      return {
        ready: isReady(node),
        parts: {
          consensus: { ...consensus },
          ledger: { ...ledger.tip(), checkpointHeight: checkpoint?.height ?? null },
          authority: { ready: node.authority.ready, shareEpoch: ledger.shareEpoch() },
          indexer: {
            ready: node.indexes !== undefined,
            covered: ledger.state(STATE.index(node.id))?.covered ?? 0,
            records: ledger.state(STATE.counter(node.id)) ?? 0,
          },
          storage: storageStatus(node),
          disk: node.disk.status(),
          backup: node.backups?.status() ?? null,
          restored: (await restoredMark(node.options.dir)) !== undefined,
          clock: node.options.clock(),
          peers: await tips(),
          workers: { threads: node.options.pool.threads },
        },
      };
    },
  };
}

/** The latest ceremony as operators see it. */
function ceremonyOf(node: MemberNode): Record<string, unknown> | null {
  const view = node.shares.view();
  if (view === null) return null;
  const { waitsUntilMs, ...rest } = view;
  return { ...rest, waitsUntil: new Date(waitsUntilMs).toISOString() };
}

/** The consensus of a node that has halted has no status of its own any more. */
function consensusOf(node: MemberNode): { readonly halted: boolean; readonly voting: boolean } {
  try {
    return node.consensus.status();
  } catch {
    const { height } = node.ledger.tip();
    return { halted: true, voting: false, ...{ height } };
  }
}

function isReady(node: MemberNode): boolean {
  const { halted, voting } = consensusOf(node);
  return (
    !halted && voting && !node.disk.status().waiting && node.authority.ready && node.indexes !== undefined
  );
}

function storageStatus(node: MemberNode): ReturnType<Services['storage']> {
  return { ...node.replication.status(), erasing: node.erasure.waiting, scrub: node.scrub.status() };
}

function allRecords(node: MemberNode, custodian: string | undefined): readonly RecordId[] {
  const members = node.ledger.members().filter((id) => custodian === undefined || id === custodian);
  const seen = new Set<RecordId>();
  for (const member of members)
    for (const row of node.ledger.book.rows(member)) if (row !== undefined) seen.add(row.record);
  return [...seen];
}

/** Ids after `cursor` in their order, with their values; ids without a value are passed over. */
function page<Id extends string, T>(
  ids: readonly Id[],
  limit: number,
  cursor: string | undefined,
  read: (id: Id) => T | undefined,
): { records: readonly (readonly [Id, T])[]; next: string | null } {
  const start = cursor === undefined ? 0 : ids.indexOf(cursor as Id) + 1;
  if (cursor !== undefined && start === 0)
    throw new CodedError('request.invalid', 'the cursor is not one of this list');
  const records: (readonly [Id, T])[] = [];
  for (let i = start; i < ids.length; i++) {
    const value = read(ids[i]);
    if (value === undefined) continue;
    records.push([ids[i], value]);
    if (records.length === limit) return { records, next: i + 1 < ids.length ? ids[i] : null };
  }
  return { records, next: null };
}

function consentsOf(
  node: MemberNode,
  subject: SubjectId,
  limit: number,
  cursor: string | undefined,
): { consents: readonly (readonly [EntryId, unknown])[]; next: string | null } {
  const { ledger } = node;
  const ids = new Set<EntryId>();
  for (const filter of [{ subject }, { patient: subject }]) {
    const found = ledger.entries({ ...filter, kind: 'ConsentRequest', limit: 1000 });
    for (const entry of found.entries) ids.add(entry.entryId);
  }
  const listed = page([...ids], limit, cursor, (id) => ledger.state(STATE.consent(id)));
  return { consents: listed.records, next: listed.next };
}

/**
 * What a session may audit: with the right auditor (or operator) everything; a patient what concerns it; anybody else
 * what it did itself.
 */
function auditEvents(
  node: MemberNode,
  by: Session,
  filter: { limit: number; cursor?: string; patient?: SubjectId },
): Record<string, unknown> {
  const { ledger, engine } = node;
  const all = hasRight(engine.state, by.subject, 'auditor', ledger.tipTimeMs());
  const { limit, cursor, patient } = filter;
  const scope: { subject?: SubjectId; patient?: SubjectId } = patient === undefined ? {} : { patient };
  if (!all && patient !== by.subject) {
    if (ledger.state(STATE.subject(by.subject))?.kind === 'patient') scope.patient = by.subject;
    else scope.subject = by.subject;
  }
  const found = ledger.entries({ ...scope, limit, ...(cursor === undefined ? {} : { cursor }) });
  const events = found.entries.flatMap((entry: CommittedEntry) => {
    const seen = auditView(entry, ledger);
    return seen === undefined ? [] : toBalpAuditEvents(seen).map((resource) => ({ resource }));
  });
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    total: events.length,
    entry: events,
    ...(found.next === null
      ? {}
      : { link: [{ relation: 'next', url: `/fhir/R4/AuditEvent?cursor=${found.next}` }] }),
  };
}
