/**
 * One query over several custodians: opens the field keys that are needed, has the new keywords evaluated in one padded
 * and shuffled batch, and runs the plan over every index that answered. Custodians that could not answer are named
 * in the result, never silently left out. Keyword secrets are cached per (custodian, field, epoch) and die with the epoch.
 *
 * Who asks for what, and behind which ledger entry, is the business of the ports.
 */
import { toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { searchError } from './errors.ts';
import type { FieldRegistry } from './fields.ts';
import { type KeywordSecret, keywordSecret } from './keys.ts';
import { OPRF_BATCH_MAX } from './parameters.ts';
import { type Plan, planQuery } from './plan.ts';
import { parseQuery } from './query.ts';
import { NOBLE, type Ristretto } from './ristretto.ts';
import { type CustodianIndex, type QueryResult, runQuery } from './run.ts';
import {
  auditableRandom,
  type BlindedBatch,
  blindKeywords,
  type Evaluation,
  finalize,
  type Random,
} from './voprf.ts';

export interface FieldEpochName {
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
}

/** A batch of one (custodian, field, epoch) to be evaluated; `elements` has a padded count. */
export interface EvaluationRequest extends FieldEpochName {
  readonly elements: readonly Uint8Array[];
  /** 16 public bytes that with the client key give the blinding scalars again; keep them with the entry for audits. */
  readonly salt: Uint8Array;
  /** Encoded keywords behind the first elements, for audits: they never leave the device. */
  readonly keywords: readonly Uint8Array[];
}

/** An answer, or why this one could not be had. */
export type Outcome<T> = { readonly value: T } | { readonly error: CodedError };

export interface FederationPorts {
  /** The custodian's index with its verified ledger state. */
  index(custodian: string): Promise<Omit<CustodianIndex, 'secretOf'>>;
  /** VOPRF public key of a field in an epoch, from the ledger. */
  publicKey(name: FieldEpochName): Uint8Array | undefined;
  /** Field keys, opened through one Access for all; an outcome each, in order. */
  fieldKeys(names: readonly FieldEpochName[]): Promise<readonly Outcome<Uint8Array>[]>;
  /** Commits the Search entries and collects evaluations; an outcome each, in order. */
  evaluate(requests: readonly EvaluationRequest[]): Promise<readonly Outcome<Evaluation>[]>;
}

export interface FederatedQuery {
  readonly query: string;
  readonly unit: 'patient' | 'record';
  readonly custodians: readonly string[];
  readonly top?: number;
  readonly lagMax?: number;
}

export interface FederatedResult extends QueryResult {
  readonly plan: Plan;
  /** Custodians that are not in the answer, with the code of why. */
  readonly missing: readonly {
    readonly custodian: string;
    readonly code: string;
    readonly message: string;
  }[];
  /** Keywords that were evaluated for this query; the others were cached. */
  readonly evaluated: number;
}

interface HeldField {
  readonly fieldKey: Uint8Array;
  readonly secrets: Map<string, KeywordSecret>;
}

/** Cached secrets of one field and epoch; beyond it the oldest go. */
const SECRETS_MAX = 50_000;

const SALT_BYTES = 16;

const nameOf = ({ custodian, field, epoch }: FieldEpochName): string => `${custodian}/${field}/${epoch}`;

interface Need extends FieldEpochName {
  /** Encoded keywords without a cached secret. */
  readonly keywords: readonly Uint8Array[];
}

export class FederatedSearch {
  readonly #ports: FederationPorts;
  readonly #registry: FieldRegistry;
  readonly #random: Random;
  readonly #group: Ristretto;
  readonly #clientKey: Uint8Array;
  readonly #held = new Map<string, HeldField>();

  /** `clientKey`: 32 secret bytes that stay on the device, across sessions: decoys and answers to audits hang on it. */
  constructor(
    ports: FederationPorts,
    registry: FieldRegistry,
    clientKey: Uint8Array,
    random: Random,
    group: Ristretto = NOBLE,
  ) {
    this.#ports = ports;
    this.#registry = registry;
    this.#clientKey = clientKey;
    this.#random = random;
    this.#group = group;
  }

  /** Forgets every secret: at sign-out, or when an epoch ended. */
  clear(): void {
    this.#held.clear();
  }

  /** Throws `search.syntax`, `search.unsupported` and the like for the query, `search.incomplete` if nobody answered. */
  async query(options: FederatedQuery): Promise<FederatedResult> {
    const plan = planQuery(parseQuery(options.query), this.#registry);
    const failed = new Map<string, CodedError>();
    const fail = (custodian: string, error: unknown): void => {
      if (!(error instanceof CodedError)) throw error;
      if (!failed.has(custodian)) failed.set(custodian, error);
    };
    const indexes = await this.#indexes(options.custodians, fail);
    const needs = indexes.flatMap((index) => this.#needs(plan, index));
    await this.#openFields(needs, fail);
    const evaluated = await this.#evaluate(
      needs.filter(({ custodian }) => !failed.has(custodian)),
      fail,
    );
    const answering = indexes.filter((index) => !failed.has(index.manifest.custodian));
    if (answering.length === 0) {
      const [first] = failed.values();
      throw first ?? searchError('search.incomplete', 'no custodian was asked');
    }
    const result = await runQuery({
      plan,
      unit: options.unit,
      custodians: answering.map((index) => ({
        ...index,
        secretOf: (keyword, field, epoch) =>
          this.#held
            .get(nameOf({ custodian: index.manifest.custodian, field, epoch }))
            ?.secrets.get(toHex(keyword)),
      })),
      clientKey: this.#clientKey,
      ...(options.top === undefined ? {} : { top: options.top }),
      ...(options.lagMax === undefined ? {} : { lagMax: options.lagMax }),
    });
    this.#trim();
    const missing = [...failed].map(([custodian, { code, message }]) => ({ custodian, code, message }));
    return { ...result, plan, missing, evaluated };
  }

  async #indexes(
    custodians: readonly string[],
    fail: (custodian: string, error: unknown) => void,
  ): Promise<Omit<CustodianIndex, 'secretOf'>[]> {
    const found: Omit<CustodianIndex, 'secretOf'>[] = [];
    await Promise.all(
      custodians.map(async (custodian) => {
        try {
          found.push(await this.#ports.index(custodian));
        } catch (error) {
          fail(custodian, error);
        }
      }),
    );
    return found.sort((a, b) => (a.manifest.custodian < b.manifest.custodian ? -1 : 1));
  }

  /** What one custodian has to evaluate: each keyword of the plan in every live epoch of its field. */
  #needs(plan: Plan, index: Omit<CustodianIndex, 'secretOf'>): Need[] {
    const { custodian, segments } = index.manifest;
    const epochs = new Map<string, Set<number>>();
    for (const meta of segments) {
      for (const { field, epoch } of meta.epochs) {
        epochs.set(field, (epochs.get(field) ?? new Set()).add(epoch));
      }
    }
    this.#forget(custodian, epochs);
    const needs = new Map<string, { name: FieldEpochName; keywords: Uint8Array[] }>();
    for (const { field, bytes } of plan.keywords) {
      for (const epoch of epochs.get(field) ?? []) {
        const name = { custodian, field, epoch };
        if (this.#held.get(nameOf(name))?.secrets.has(toHex(bytes)) === true) continue;
        const need = needs.get(nameOf(name)) ?? { name, keywords: [] };
        need.keywords.push(bytes);
        needs.set(nameOf(name), need);
      }
    }
    return [...needs.values()].map(({ name, keywords }) => ({ ...name, keywords }));
  }

  /** After a query, never during one: a secret of its own plan must not fall out. */
  #trim(): void {
    for (const { secrets } of this.#held.values()) {
      for (const key of secrets.keys()) {
        if (secrets.size <= SECRETS_MAX) break;
        secrets.delete(key);
      }
    }
  }

  /** Drops what belongs to epochs that no segment of the custodian uses any more. */
  #forget(custodian: string, live: ReadonlyMap<string, ReadonlySet<number>>): void {
    const names = new Set(
      [...live].flatMap(([field, epochs]) => [...epochs].map((epoch) => nameOf({ custodian, field, epoch }))),
    );
    for (const name of this.#held.keys()) {
      if (name.startsWith(`${custodian}/`) && !names.has(name)) this.#held.delete(name);
    }
  }

  async #openFields(
    needs: readonly Need[],
    fail: (custodian: string, error: unknown) => void,
  ): Promise<void> {
    const wanted = needs.filter((need) => !this.#held.has(nameOf(need)));
    if (wanted.length === 0) return;
    const outcomes = await this.#ports.fieldKeys(wanted);
    wanted.forEach((need, i) => {
      const outcome = outcomes[i];
      if ('error' in outcome) fail(need.custodian, outcome.error);
      else this.#held.set(nameOf(need), { fieldKey: outcome.value, secrets: new Map() });
    });
  }

  async #evaluate(
    needs: readonly Need[],
    fail: (custodian: string, error: unknown) => void,
  ): Promise<number> {
    const batches: { need: Need; batch: BlindedBatch; keywords: readonly Uint8Array[]; salt: Uint8Array }[] =
      [];
    for (const need of needs) {
      for (let i = 0; i < need.keywords.length; i += OPRF_BATCH_MAX) {
        const keywords = need.keywords.slice(i, i + OPRF_BATCH_MAX);
        const salt = this.#random(SALT_BYTES);
        const batch = blindKeywords(keywords, auditableRandom(this.#clientKey, salt), this.#group);
        batches.push({ need, keywords, batch, salt });
      }
    }
    if (batches.length === 0) return 0;
    shuffle(batches, this.#random);
    const outcomes = await this.#ports.evaluate(
      batches.map(({ need: { custodian, field, epoch }, batch, salt, keywords }) => ({
        custodian,
        field,
        epoch,
        elements: batch.elements,
        salt,
        keywords,
      })),
    );
    let evaluated = 0;
    batches.forEach(({ need, batch, keywords }, i) => {
      const outcome = outcomes[i];
      try {
        if ('error' in outcome) throw outcome.error;
        const publicKey = this.#ports.publicKey(need);
        const held = this.#held.get(nameOf(need));
        if (publicKey === undefined || held === undefined) {
          throw searchError(
            'search.field_unknown',
            `${need.custodian} has no field "${need.field}" of that epoch`,
          );
        }
        const outputs = finalize(batch, outcome.value, publicKey, this.#group);
        outputs.forEach((y, j) => {
          held.secrets.set(toHex(keywords[j]), keywordSecret(y, held.fieldKey));
        });
        evaluated += outputs.length;
      } catch (error) {
        fail(need.custodian, error);
      }
    });
    return evaluated;
  }
}

/** Fisher-Yates with bytes of `random`; the order of requests then says nothing. */
function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const bytes = random(6);
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    const j = value % (i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
}
