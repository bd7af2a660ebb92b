/** A worker thread: one pairing instance, warm tables, and the tasks of `tasks.ts`. */
import {
  type Authority,
  type AuthorityKeys,
  decodeAuthorityKeys,
  decodeAuthorityShare,
  decodeKeyRing,
  decodeRegistry,
  encodePolicy,
  extendKeyPart,
  headerHash,
  issueKeyPart,
  openAuthority,
  openDataKey,
  openGroup,
  openRecordPayload,
  parsePolicy,
  type Registry,
  sealRecord,
  wrapRecord,
} from '../../abe/index.ts';
import { toHex } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';
import { deriveFieldKeyPair, evaluateDirect, keywordSecret, openRistretto } from '../../search/index.ts';
import type { Parameters, SealItem, SecretsItem, Task, TaskFailure, TaskResults } from './tasks.ts';

const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const group = await openGroup();
const ristretto = await openRistretto();

/** Consortia and shares are few; a handful of each covers a share refresh. */
const KEPT_MAX = 8;

function keep<T>(kept: Map<string, T>, bytes: Uint8Array, make: () => T): T {
  const name = toHex(sha256(bytes));
  let value = kept.get(name);
  if (value === undefined) {
    value = make();
    if (kept.size >= KEPT_MAX) kept.clear();
    kept.set(name, value);
  }
  return value;
}

const knownKeys = new Map<string, AuthorityKeys>();
const knownRegistries = new Map<string, Registry>();
const knownAuthorities = new Map<string, Authority>();

function parametersOf(parameters: Parameters): { keys: AuthorityKeys; registry: Registry } {
  return {
    keys: keep(knownKeys, parameters.keys, () => decodeAuthorityKeys(group, parameters.keys)),
    registry: keep(knownRegistries, parameters.registry, () => decodeRegistry(parameters.registry)),
  };
}

function issue(task: Extract<Task, { task: 'issue' }>): TaskResults['issue'] {
  const authority = keep(knownAuthorities, task.share, () =>
    openAuthority(group, decodeAuthorityShare(task.share)),
  );
  const { keyId, generation, leaves } = task;
  return (task.first ? issueKeyPart : extendKeyPart)(authority, { keyId, generation, leaves });
}

function seal(parameters: Parameters, items: readonly SealItem[]): TaskResults['seal'] {
  const { keys, registry } = parametersOf(parameters);
  return items.map((item) => {
    const policy = parsePolicy(item.policy);
    const sealed = sealRecord({ ...item, group, mpk: keys.mpk, registry, policy, random });
    const { header, payload, commitment } = sealed;
    return { header, payload, commitment, headerHash: sealed.headerHash, policy: sealed.policyBytes };
  });
}

type IndexKeys = ReadonlyMap<string, { readonly secretKey: Uint8Array; readonly fieldKey: Uint8Array }>;

/** By custodian, so that the keys of a new epoch take the place of those before. */
const knownSecrets = new Map<string, { readonly name: string; readonly keys: IndexKeys }>();

function indexKeys(custodian: string, keys: SecretsItem['keys']): IndexKeys {
  const fields = new Map<string, { secretKey: Uint8Array; fieldKey: Uint8Array }>();
  for (const { field, epoch, seed, fieldKey } of keys) {
    const { secretKey } = deriveFieldKeyPair(seed, custodian, field, epoch);
    fields.set(`${field}/${epoch}`, { secretKey, fieldKey });
  }
  return fields;
}

/** T_w of keywords under an indexer's own keys: the slow part of building an index. */
function secrets({ custodian, keys, keywords }: SecretsItem): TaskResults['secrets'] {
  const name = toHex(sha256(encodeCbor(keys.map(({ field, epoch, seed }) => [field, epoch, seed]))));
  const known = knownSecrets.get(custodian);
  const held = known?.name === name ? known.keys : indexKeys(custodian, keys);
  if (knownSecrets.size >= KEPT_MAX) knownSecrets.clear();
  knownSecrets.set(custodian, { name, keys: held });
  return keywords.map(({ keyword, field, epoch }) => {
    const own = held.get(`${field}/${epoch}`);
    if (own === undefined)
      throw new CodedError('search.field_unknown', 'the indexer holds no keys of that field and epoch');
    return keywordSecret(evaluateDirect(own.secretKey, keyword, ristretto), own.fieldKey).t;
  });
}

function perform(task: Task): TaskResults[Task['task']] {
  switch (task.task) {
    case 'secrets':
      return secrets(task.item);
    case 'issue':
      return issue(task);
    case 'seal':
      return seal(task.parameters, task.items);
    case 'rewrap': {
      const { keys, registry } = parametersOf(task.parameters);
      const policy = parsePolicy(task.item.policy);
      const header = wrapRecord({ ...task.item, group, mpk: keys.mpk, registry, policy, random });
      return { header, headerHash: headerHash(header), policy: encodePolicy(policy) };
    }
    case 'open': {
      const { keys, registry } = parametersOf(task.parameters);
      const { header, expected, payload, commitment, verify } = task.item;
      const ring = decodeKeyRing(task.item.ring);
      const dataKey = openDataKey({
        group,
        keys,
        ring,
        registry,
        header,
        expected,
        random,
        ...(verify && { verify }),
      });
      if (payload === null || commitment === null) return { dataKey, plaintext: null };
      return { dataKey, plaintext: openRecordPayload(dataKey, expected.recordId, payload, commitment) };
    }
    default: {
      const unknown: never = task;
      return unknown;
    }
  }
}

/** Entry of the thread: a result, or a coded failure as plain data. */
export default function run(task: Task): TaskResults[Task['task']] | TaskFailure {
  try {
    return perform(task);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { failed: true, code: error.code, message: error.message, details: error.details };
  }
}
