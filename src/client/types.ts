/** Answers of the gateway as the SDK gives them on. */

/** A committed write. `receipt` verifies offline; null when a quorum's cosignatures had not all arrived. */
export interface Committed {
  readonly entryId: string;
  readonly index: number;
  readonly height: number;
  readonly time: string;
  readonly type: string;
  readonly result: Readonly<Record<string, unknown>>;
  readonly receipt: string | null;
}

export interface RecordInfo {
  readonly record: string;
  readonly custodian: string;
  readonly author: string;
  readonly version: number;
  readonly cid: string | null;
  readonly bytes: number;
  readonly headerHash: string;
  readonly policy: string;
  readonly gate: 'record' | 'none';
  readonly patient: string | null;
  readonly commitment: string | null;
  readonly indexNo: number | null;
  readonly erased: boolean;
}
