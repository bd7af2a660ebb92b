/**
 * The people of the demonstration, enrolled over the REST API. Staff and the patient keep their keys in device files
 * under the data directory; the portal nurse's keys are the gateway's, so that curl alone can open a record.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Committed,
  Device,
  type DeviceFile,
  Gateway,
  Hippocrypt,
  platformRandom,
} from '../../client/index.ts';
import { CodedError } from '../../codec/errors.ts';

/** The demonstration listens on loopback and holds nobody's data, so its accounts share a password that is shown. */
export const DEMO_PASSWORD = 'hippocrypt-demo';

export interface Person {
  readonly name: string;
  readonly member: string;
  readonly kind: 'person' | 'patient' | 'system';
  /** Attributes by issuer; each member's registrar grants its own. */
  readonly attributes: readonly string[];
  readonly identifiers?: readonly string[];
  readonly custody: 'client' | 'gateway';
}

export class People {
  readonly #dir: string;
  readonly #urls: ReadonlyMap<string, string>;
  readonly #admins = new Map<string, Gateway>();
  /** Every entry that enrolment made. */
  readonly committed: Committed[] = [];

  private constructor(dir: string, urls: ReadonlyMap<string, string>) {
    this.#dir = dir;
    this.#urls = urls;
  }

  /** Signs the members' administrators in. */
  static async open(dir: string, urls: ReadonlyMap<string, string>): Promise<People> {
    await mkdir(dir, { recursive: true });
    const people = new People(dir, urls);
    for (const [member, url] of urls) {
      const gateway = new Gateway({ url });
      await gateway.login('admin', DEMO_PASSWORD);
      people.#admins.set(member, gateway);
    }
    return people;
  }

  admin(member: string): Gateway {
    const gateway = this.#admins.get(member);
    if (gateway === undefined) throw new CodedError('member.unknown', `no member ${member} runs here`);
    return gateway;
  }

  /** Enrols a person with account, device and attributes, or finds the one that an earlier start enrolled. */
  async enrol(person: Person): Promise<Hippocrypt> {
    const device = person.custody === 'client' ? await this.#device(person) : undefined;
    const url = this.#url(person.member);
    try {
      return await connect(url, person.name, device);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'auth.failed') throw error;
    }
    const admin = this.admin(person.member);
    const { chainId } = await admin.json<{ chainId: string }>('GET', '/v1/members');
    const enrolled = await admin.json<{ subject: string; committed: Committed | null }>(
      'POST',
      '/v1/subjects',
      {
        body: {
          kind: person.kind,
          identifiers: person.identifiers ?? [],
          account: { name: person.name, password: DEMO_PASSWORD },
          ...(device === undefined ? {} : { subject: device.subject, keys: device.enrolment(chainId) }),
        },
      },
    );
    if (enrolled.committed !== null) this.committed.push(enrolled.committed);
    await this.grant(enrolled.subject, person.attributes);
    return connect(url, person.name, device);
  }

  /** Has each attribute granted by the registrar of its issuer. */
  async grant(subject: string, attributes: readonly string[]): Promise<void> {
    for (const attribute of attributes) {
      const issuer = attribute.slice(0, attribute.indexOf('/'));
      const path = `/v1/subjects/${subject}/attributes/${encodeURIComponent(attribute)}`;
      this.committed.push(await this.admin(issuer).json<Committed>('PUT', path, { body: {} }));
    }
  }

  #url(member: string): string {
    const url = this.#urls.get(member);
    if (url === undefined) throw new CodedError('member.unknown', `no member ${member} runs here`);
    return url;
  }

  /** The person's device file; written before the subject is enrolled, so that a crash cannot lose its keys. */
  async #device({ name, member }: Person): Promise<Device> {
    const path = join(this.#dir, `${name}.device.json`);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return Device.fromFile(JSON.parse(text) as DeviceFile);
    const device = await Device.create(member, platformRandom);
    await writeFile(path, `${JSON.stringify(device.toFile(), null, 2)}\n`, { mode: 0o600, flush: true });
    return device;
  }
}

function connect(url: string, account: string, device: Device | undefined): Promise<Hippocrypt> {
  return Hippocrypt.connect({
    url,
    account,
    password: DEMO_PASSWORD,
    ...(device === undefined ? {} : { device }),
  });
}
