/** The people of the main job, enrolled over the REST API; each keeps its own keys and uses the SDK. */
import { randomBytes } from 'node:crypto';
import { Device, Gateway, Hippocrypt } from '../../src/client/index.ts';
import type { CallTimes } from './calls.ts';
import type { Consortium } from './consortium.ts';

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

/** Signed-in administrators by member: registrar and author in one, as in a small hospital. */
export async function signInAdmins(consortium: Consortium): Promise<ReadonlyMap<string, Gateway>> {
  const admins = new Map<string, Gateway>();
  for (const [member, url] of consortium.urls) {
    const gateway = new Gateway({ url });
    await gateway.login('admin', consortium.password);
    admins.set(member, gateway);
  }
  return admins;
}

export interface Person {
  readonly name: string;
  readonly member: string;
  /** `issuer/label:value`; each is granted by the administrator of its issuer. */
  readonly attributes: readonly string[];
  /** The gateway keeps the keys of accounts in custody; the others have a device. */
  readonly custody: 'client' | 'gateway';
}

/** Signs a person in anew, with a client that holds no key and no cache. */
export type Connect = (times?: CallTimes) => Promise<Hippocrypt>;

/** Enrols a person and grants the attributes; the answer connects as that person. */
export async function enrol(
  consortium: Consortium,
  admins: ReadonlyMap<string, Gateway>,
  { name, member, attributes, custody }: Person,
): Promise<Connect> {
  const url = consortium.urls.get(member);
  const admin = admins.get(member);
  if (url === undefined || admin === undefined) throw new RangeError(`no member ${member}`);
  const device = custody === 'client' ? await Device.create(member, random) : undefined;
  const { chainId } = await admin.json<{ chainId: string }>('GET', '/v1/members');
  const { password } = consortium;
  const { subject } = await admin.json<{ subject: string }>('POST', '/v1/subjects', {
    body: {
      kind: 'person',
      account: { name, password },
      ...(device === undefined ? {} : { subject: device.subject, keys: device.enrolment(chainId) }),
    },
  });
  for (const attribute of attributes) {
    const issuer = admins.get(attribute.slice(0, attribute.indexOf('/')));
    if (issuer === undefined) throw new RangeError(`no member issues ${attribute}`);
    await issuer.json('PUT', `/v1/subjects/${subject}/attributes/${encodeURIComponent(attribute)}`, {
      body: {},
    });
  }
  return (times) =>
    Hippocrypt.connect({
      url,
      account: name,
      password,
      ...(device === undefined ? {} : { device }),
      ...(times === undefined ? {} : { fetch: times.fetch }),
    });
}
