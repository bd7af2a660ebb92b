/** ShareEpoch, Proposal, Approval, Reconfig, Evidence: what no member decides alone. */
import { CHECKPOINT_CHARS_MAX, EVIDENCE_BYTES_MAX, GROUP_ELEMENT_BYTES_MAX, MEMBERS_MAX } from './bounds.ts';
import { windowMs } from './ceremony.ts';
import { bytes32, bytes64, count, member, time } from './common.ts';
import {
  bytesBetween,
  type Decode,
  distinct,
  integer,
  list,
  malformed,
  map,
  nullable,
  oneOf,
  text,
} from './fields.ts';
import { type GenesisOperator, genesisOperator, type Member, memberRecord } from './members.ts';
import { type AttributeSet, attributeSet, type RegistryPut, registryPut } from './subjects.ts';

/** The outcome of a key ceremony among `members`, in the order of their share points 1, 2, ... */
export interface ShareEpoch {
  readonly shareEpoch: number;
  readonly threshold: number;
  readonly members: readonly string[];
  readonly mpk: Uint8Array;
  readonly commitments: readonly Uint8Array[];
  readonly transcript: Uint8Array;
}

/**
 * A hospital that joins. `checkpoint` is a cosigned one that its node has reached; `proof` is its validator key's signature
 * over `admissionMessage`.
 */
export interface Admission {
  readonly member: Member;
  /** Its first operator, who enrols everybody else. */
  readonly operator: GenesisOperator;
  readonly checkpoint: string;
  readonly proof: Uint8Array;
}

/** Adds one member or removes one. */
export interface Reconfig {
  readonly add: Admission | null;
  readonly remove: string | null;
}

/** Lets a validator lead again after Evidence. */
export interface EligibilityClear {
  readonly member: string;
}

/** Begins the ceremony that moves the shares to `members`, who must be all of today's: a refresh when nobody changed. */
export interface ShareRenew {
  readonly members: readonly string[];
  readonly windowMs: number;
}

/** Gives up the ceremony with this id; the share epoch in force stays. */
export interface ShareAbort {
  readonly ceremony: Uint8Array;
}

export type Proposal =
  | { readonly kind: 'RegistryPut'; readonly body: RegistryPut; readonly until: number }
  | { readonly kind: 'AttributeSet'; readonly body: AttributeSet; readonly until: number }
  | { readonly kind: 'Reconfig'; readonly body: Reconfig; readonly until: number }
  | { readonly kind: 'EligibilityClear'; readonly body: EligibilityClear; readonly until: number }
  | { readonly kind: 'ShareRenew'; readonly body: ShareRenew; readonly until: number }
  | { readonly kind: 'ShareAbort'; readonly body: ShareAbort; readonly until: number };

export interface Approval {
  readonly proposal: Uint8Array;
}

/** Two signed consensus messages of one validator that contradict each other, as the ordering engine encodes them. */
export interface Evidence {
  readonly evidence: Uint8Array;
}

export const shareEpoch: Decode<ShareEpoch> = (value, field) => {
  const body = map<ShareEpoch>({
    shareEpoch: count,
    threshold: integer(1, MEMBERS_MAX),
    members: distinct(list(member, 1, MEMBERS_MAX)),
    mpk: bytesBetween(1, GROUP_ELEMENT_BYTES_MAX),
    commitments: list(bytesBetween(1, GROUP_ELEMENT_BYTES_MAX), 1, MEMBERS_MAX),
    transcript: bytes32,
  })(value, field);
  if (body.commitments.length !== body.members.length) malformed(field, 'one commitment for each member');
  return body;
};

const admission: Decode<Admission> = map<Admission>({
  member: memberRecord,
  operator: genesisOperator,
  checkpoint: text(1, CHECKPOINT_CHARS_MAX),
  proof: bytes64,
});

const reconfig: Decode<Reconfig> = (value, field) => {
  const body = map<Reconfig>({ add: nullable(admission), remove: nullable(member) })(value, field);
  if ((body.add === null) === (body.remove === null)) malformed(field, 'either add or remove');
  return body;
};

const eligibilityClear: Decode<EligibilityClear> = map<EligibilityClear>({ member });

const shareRenew: Decode<ShareRenew> = map<ShareRenew>({
  members: distinct(list(member, 1, MEMBERS_MAX)),
  windowMs,
});

const shareAbort: Decode<ShareAbort> = map<ShareAbort>({ ceremony: bytes32 });

const head = map<{ kind: Proposal['kind']; body: unknown; until: number }>({
  kind: oneOf('RegistryPut', 'AttributeSet', 'Reconfig', 'EligibilityClear', 'ShareRenew', 'ShareAbort'),
  body: (value) => value,
  until: time,
});

export const proposal: Decode<Proposal> = (value, field) => {
  const { kind, body, until } = head(value, field);
  switch (kind) {
    case 'RegistryPut':
      return { kind, body: registryPut(body, 'body'), until };
    case 'AttributeSet':
      return { kind, body: attributeSet(body, 'body'), until };
    case 'Reconfig':
      return { kind, body: reconfig(body, 'body'), until };
    case 'EligibilityClear':
      return { kind, body: eligibilityClear(body, 'body'), until };
    case 'ShareRenew':
      return { kind, body: shareRenew(body, 'body'), until };
    case 'ShareAbort':
      return { kind, body: shareAbort(body, 'body'), until };
  }
};

export const approval: Decode<Approval> = map<Approval>({ proposal: bytes32 });

export const evidence: Decode<Evidence> = map<Evidence>({ evidence: bytesBetween(1, EVIDENCE_BYTES_MAX) });
