/**
 * Where the tour plays: the gateways of a consortium, and what can be had of it besides. A consortium in this process can lend
 * its authorities' shares for an attack; one of separate processes cannot, since no machine holds two members' secrets.
 */
import { Hippocrypt } from '../../client/index.ts';
import { fromBase64url } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import type { Consortium } from '../../node/consortium.ts';
import { decodeManifest, manifestEnd } from '../../search/index.ts';
import { DEMO_PASSWORD } from './people.ts';

export interface Stage {
  /** Gateway of each member. */
  readonly urls: ReadonlyMap<string, string>;
  /** Encoded shares of all authorities; empty where they are out of reach. */
  shares(): Promise<readonly Uint8Array[]>;
  /** Resolves when every index covers its records and every member holds the copies. */
  settled(): Promise<void>;
}

/** How long indexes may take to settle. */
const SETTLE_MS_MAX = 300_000;
const POLL_MS = 250;

export function stageOf(consortium: Consortium): Stage {
  const nodes = [...consortium.nodes.values()];
  return {
    urls: consortium.urls,
    shares: async () => {
      const shares = await Promise.all(nodes.map((node) => node.options.keystore.get('share/0')));
      return shares.flatMap((share) => share ?? []);
    },
    settled: async () => {
      await Promise.all(nodes.map((node) => node.indexService().flush()));
      await Promise.all(nodes.map((node) => node.replicas.idle()));
    },
  };
}

/** The stage behind gateways that run elsewhere. */
export async function remoteStage(urls: readonly string[]): Promise<Stage> {
  const named = new Map<string, string>();
  const admins: Hippocrypt[] = [];
  for (const url of urls) {
    const admin = await Hippocrypt.connect({ url, account: 'admin', password: DEMO_PASSWORD });
    admins.push(admin);
    named.set((await admin.context.members()).member, url);
  }
  return {
    urls: named,
    shares: async () => [],
    settled: async () => {
      const until = Date.now() + SETTLE_MS_MAX;
      for (const admin of admins) {
        for (const custodian of named.keys()) {
          while (!(await covers(admin, custodian))) {
            if (Date.now() > until)
              throw new CodedError('tour.failed', `the index of ${custodian} does not settle`);
            await new Promise((resolve) => setTimeout(resolve, POLL_MS));
          }
        }
      }
    },
  };
}

/** Whether a gateway holds an index of `custodian` that covers all its records. */
async function covers({ gateway }: Hippocrypt, custodian: string): Promise<boolean> {
  const counter = await gateway.json<{ value: string | null }>(
    'GET',
    `/v1/ledger/state/counter/${custodian}`,
  );
  const records = counter.value === null ? 0 : Number(decodeCbor(fromBase64url(counter.value)));
  if (records === 0) return true;
  try {
    const { manifest } = await gateway.json<{ manifest: string }>('GET', `/v1/search/manifests/${custodian}`);
    return manifestEnd(decodeManifest(fromBase64url(manifest))) === records;
  } catch (error) {
    if (hasCode(error, 'index.unknown')) return false;
    throw error;
  }
}
