/**
 * The SDK: seal, open, search and consent on the client, in Node and in browsers. The gateway sees ciphertext, blinded
 * keywords and signed transactions; keys, plaintext and queries stay here.
 *
 *     const client = await Hippocrypt.connect({ url: 'http://127.0.0.1:8080', account, password, device });
 *     const { plaintext } = await client.records.open(recordId);
 */
import { CodedError } from '../codec/errors.ts';
import type { LedgerAnchor } from '../ledger/verify/index.ts';
import { MemoryJournal, type SearchJournal } from '../search/index.ts';
import { Anchors } from './anchors.ts';
import { Consents } from './consents.ts';
import { Context } from './context.ts';
import type { Device } from './device.ts';
import { Gateway } from './http.ts';
import { Keys, type Me } from './keys.ts';
import { Proven } from './proven.ts';
import { Records } from './records.ts';
import { Search } from './search.ts';
import type { IndexFetch } from './segment-source.ts';

export { CodedError } from '../codec/errors.ts';
export { type FetchPolicy, MemoryJournal, type SearchJournal } from '../search/index.ts';
export { Anchors } from './anchors.ts';
export { type ConsentInfo, Consents } from './consents.ts';
export { Context, type MemberInfo, platformRandom } from './context.ts';
export { Device, type DeviceFile } from './device.ts';
export { FRESHNESS_MS } from './freshness.ts';
export { type Call, Gateway, type GatewayOptions } from './http.ts';
export { type KeyReport, Keys, type Me, type PartsJson } from './keys.ts';
export type { OpenedSearch, OpeningFile } from './openings.ts';
export { Proven } from './proven.ts';
export {
  type AccessReport,
  type NewRecord,
  type NewRecordStream,
  type Opened,
  type OpenedStream,
  type Purpose,
  type PutReport,
  Records,
  type Verdict,
} from './records.ts';
export { Search, type SearchHit, type SearchOptions, type SearchReport } from './search.ts';
export type { IndexFetch } from './segment-source.ts';
export type { Committed, RecordInfo } from './types.ts';

export interface ConnectOptions {
  /** A gateway, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly account?: string;
  readonly password?: string;
  /** The subject's own keys; absent for accounts in the gateway's custody. */
  readonly device?: Device;
  /** What to trust of the ledger; default: the validators that the gateway names at first use. */
  readonly anchor?: LedgerAnchor;
  /** Refuse a gateway of another chain. */
  readonly chainId?: string;
  readonly backend?: 'mcl' | 'noble';
  readonly fetch?: typeof fetch;
  readonly random?: (length: number) => Uint8Array;
  /** This machine's clock, milliseconds since 1970. */
  readonly now?: () => number;
  /**
   * How old the ledger's state may be, by this machine's clock, that the gateway proves; older is refused as
   * `checkpoint.stale`. Default 70 s; `Infinity` takes any age.
   */
  readonly freshnessMs?: number;
  /** What is kept, sealed, to open this device's Search entries for an auditor; default: only as long as the program runs. */
  readonly journal?: SearchJournal;
  /**
   * How index segments are read: from the own node, of which `whole` shows it no page and costs each large segment once, or
   * `direct` from custodians that allow it, which then see what is searched. Default `pages`.
   */
  readonly indexFetch?: IndexFetch;
}

export class Hippocrypt {
  readonly gateway: Gateway;
  readonly context: Context;
  readonly anchors: Anchors;
  readonly keys: Keys;
  readonly proven: Proven;
  readonly records: Records;
  readonly search: Search;
  readonly consents: Consents;

  private constructor(gateway: Gateway, options: ConnectOptions) {
    const { device, backend, random, chainId, now, freshnessMs } = options;
    this.gateway = gateway;
    this.context = new Context({
      gateway,
      ...(device === undefined ? {} : { device }),
      ...(backend === undefined ? {} : { backend }),
      ...(random === undefined ? {} : { random }),
      ...(chainId === undefined ? {} : { chainId }),
      ...(now === undefined ? {} : { now }),
      ...(freshnessMs === undefined ? {} : { freshnessMs }),
    });
    this.anchors = new Anchors(this.context, options.anchor);
    this.keys = new Keys(this.context);
    this.proven = new Proven(this.context, this.anchors);
    this.records = new Records(this.context, this.keys, this.proven);
    this.search = new Search(
      this.context,
      this.records,
      this.proven,
      this.anchors,
      options.journal ?? new MemoryJournal(),
      options.indexFetch ?? 'pages',
    );
    this.consents = new Consents(this.context);
  }

  /** Connects and, with account and password, signs in. Throws the gateway's codes and `client.unreachable`. */
  static async connect(options: ConnectOptions): Promise<Hippocrypt> {
    const gateway = new Gateway({
      url: options.url,
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
    const client = new Hippocrypt(gateway, options);
    if (options.account !== undefined) {
      if (options.password === undefined)
        throw new CodedError('auth.failed', 'an account needs its password');
      await gateway.login(options.account, options.password);
    }
    await client.context.members();
    return client;
  }

  me(): Promise<Me> {
    return this.gateway.json('GET', '/v1/me');
  }
}
