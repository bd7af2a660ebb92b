/**
 * Who the CLI acts as: the gateway, the account, the device file and a short token, in one file readable by its owner.
 * Passwords are read from a prompt, a file or HIPPOCRYPT_PASSWORD, never from the command line, and never stored.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Device, type DeviceFile, Hippocrypt } from '../client/index.ts';
import { CodedError } from '../codec/errors.ts';
import { FileJournal } from './search-journal.ts';

export interface Profile {
  readonly v: 1;
  readonly url: string;
  readonly account: string;
  readonly token: string;
  /** Path of the device file, for accounts that keep their own keys. */
  readonly device: string | null;
  /** The chain seen at sign-in; another one is refused afterwards. */
  readonly chainId: string;
}

/** HIPPOCRYPT_PROFILE, or `hippocrypt/profile.json` under the configuration folder of the user. */
export function profilePath(): string {
  const own = process.env.HIPPOCRYPT_PROFILE;
  if (own !== undefined && own !== '') return own;
  return join(process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'hippocrypt', 'profile.json');
}

export async function saveProfile(profile: Profile): Promise<void> {
  await mkdir(dirname(profilePath()), { recursive: true });
  await writeFile(profilePath(), `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600 });
  // The mode above counts for a new file only.
  await chmod(profilePath(), 0o600);
}

export async function loadProfile(): Promise<Profile> {
  const text = await readFile(profilePath(), 'utf8').catch((cause: unknown) => {
    throw new CodedError('auth.required', 'not signed in: run "hippocrypt login" first', { cause });
  });
  const profile = parsed(text) as Partial<Profile> | null | undefined;
  if (profile?.v !== 1)
    throw new CodedError('cli.profile', `${profilePath()} is not a profile of version 1: sign in again`);
  return profile as Profile;
}

/** A client that acts as the profile. */
export async function connectProfile(): Promise<Hippocrypt> {
  const { url, token, device, chainId } = await loadProfile();
  const client = await Hippocrypt.connect({
    url,
    chainId,
    ...(device === null ? {} : { device: await readDevice(device), journal: new FileJournal(profilePath()) }),
  });
  client.gateway.useToken(token);
  return client;
}

export async function readDevice(path: string): Promise<Device> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CodedError('device.absent', `cannot read the device file ${path}`, { cause });
  });
  return Device.fromFile((parsed(text) ?? {}) as DeviceFile);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The password: from `file`, from HIPPOCRYPT_PASSWORD, or asked for on a terminal without showing it. */
export async function readPassword(file: string | undefined): Promise<string> {
  if (file !== undefined) return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  const fromEnvironment = process.env.HIPPOCRYPT_PASSWORD;
  if (fromEnvironment !== undefined) return fromEnvironment;
  if (!process.stdin.isTTY) {
    throw new CodedError('cli.password', 'give the password with --password-file or in HIPPOCRYPT_PASSWORD');
  }
  process.stderr.write('Password: ');
  const lines = createInterface({ input: process.stdin, terminal: true });
  const answer = await new Promise<string>((resolve) => lines.once('line', resolve));
  lines.close();
  process.stderr.write('\n');
  return answer;
}
