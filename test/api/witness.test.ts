/** Outside witnesses: what a registered one brings is checked, kept and served; everything else is refused and costs little. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { hasCode } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { ed25519Signer } from '../../src/codec/signature.ts';
import {
  assembleCheckpoint,
  checkpointBody,
  cosign,
  cosignAsWitness,
  formatWitnessKey,
  parseCheckpoint,
  parseWitnessKey,
  verifyCheckpoint,
} from '../../src/ledger/index.ts';
import { anchorOrigin, validatorsAt } from '../../src/ledger/verify/index.ts';
import { SECRETS, secretOf } from '../../src/node/identity.ts';
import { startTown, type Town } from '../node/consortium.ts';
import { problemIn } from './shared.ts';

const SIGNER = ed25519Signer(sha256(utf8('a witness')));
const OTHER = ed25519Signer(sha256(utf8('another witness')));
const STRANGER = ed25519Signer(sha256(utf8('a stranger')));
const WITNESS = { name: 'witness.example/w1', key: SIGNER.publicKey.key };
const SECOND = { name: 'witness.example/w2', key: OTHER.publicKey.key };
const NOW = 1_700_000_000;

let town: Town;

beforeAll(async () => {
  town = await startTown({ witnesses: [WITNESS, SECOND] });
});
afterAll(() => town?.close());

const checkpoint = async (): Promise<string> =>
  (await town.app('mercy').inject({ url: '/v1/ledger/checkpoint' })).body;
const bring = (text: string) =>
  town.app('mercy').inject({ method: 'POST', url: '/v1/ledger/witness', payload: { checkpoint: text } });
const witnessed = (text: string, time = NOW, signer = SIGNER, { name } = WITNESS): string =>
  text + cosignAsWitness(parseCheckpoint(text).body, name, signer, time);
const served = async (): Promise<Map<string, string | null>> => {
  const answer = await town.app('mercy').inject({ url: '/v1/ledger/witness' });
  const { witnesses } = answer.json() as { witnesses: { name: string; checkpoint: string | null }[] };
  return new Map(witnesses.map((one) => [one.name, one.checkpoint]));
};

describe('POST /v1/ledger/witness', () => {
  it('keeps the note of a registered witness, serves it, and puts its line under the same checkpoint', async () => {
    expect([...(await served()).values()]).toEqual([null, null]);
    const text = await checkpoint();
    const note = witnessed(text);
    const answer = await bring(note);
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      size: parseCheckpoint(text).checkpoint.size,
      witnesses: [WITNESS.name],
    });
    expect((await served()).get(WITNESS.name)).toBe(note);
    const anchor = await (await town.client('nurse')).anchors.anchor();
    const now = await checkpoint();
    const { height } = parseCheckpoint(now).checkpoint;
    const kept = (await served()).get(WITNESS.name) ?? '';
    for (const one of [kept, ...(parseCheckpoint(now).body === parseCheckpoint(text).body ? [now] : [])]) {
      const { witnesses } = verifyCheckpoint(one, anchorOrigin(anchor), validatorsAt(anchor, height), {
        witnesses: [WITNESS],
      });
      expect(witnesses).toEqual([{ name: WITNESS.name, time: NOW }]);
    }
  });

  it('takes a later time for the same checkpoint, a second witness beside the first, and no earlier checkpoint', async () => {
    const text = await checkpoint();
    expect((await bring(witnessed(text.split('— witness')[0], NOW + 60))).statusCode).toBe(200);
    const second = witnessed(text.split('— witness')[0], NOW, OTHER, SECOND);
    expect((await bring(second)).json()).toMatchObject({ witnesses: [SECOND.name] });
    const before = parseCheckpoint(text).checkpoint;
    await town.people.enrol({
      name: 'late',
      member: 'mercy',
      kind: 'person',
      attributes: [],
      custody: 'gateway',
    });
    const later = await checkpoint();
    expect(parseCheckpoint(later).checkpoint.height).toBeGreaterThan(before.height);
    expect((await bring(witnessed(later, NOW + 120))).statusCode).toBe(200);
    const stale = problemIn(await bring(witnessed(text.split('— witness')[0], NOW + 180)));
    expect(stale).toMatchObject({ code: 'witness.stale', status: 409 });
    expect((await served()).get(SECOND.name)).toBe(second);
  });

  it('refuses strangers, wrong signatures, too few validators and what is no checkpoint', async () => {
    const text = (await checkpoint()).split('— witness')[0];
    const good = witnessed(text, NOW + 300);
    const { body, checkpoint: named } = parseCheckpoint(text);
    const wrong = cosignAsWitness(`${body}x`, WITNESS.name, SIGNER, NOW);
    const refusals: [string, string][] = [
      [text, 'witness.unknown'],
      [witnessed(text, NOW, STRANGER, { ...WITNESS, name: 'nobody' }), 'witness.unknown'],
      // The name of a registered witness under another key.
      [witnessed(text, NOW, STRANGER), 'witness.unknown'],
      [witnessed(good, NOW, STRANGER, { ...WITNESS, name: 'nobody' }), 'witness.unknown'],
      [text + wrong, 'checkpoint.bad_signature'],
      [good + witnessed(text, NOW + 301).slice(text.length), 'checkpoint.duplicate'],
      [assembleCheckpoint(body, [cosignAsWitness(body, WITNESS.name, SIGNER, NOW)]), 'checkpoint.quorum'],
      ['no note', 'checkpoint.malformed'],
      [witnessed(text.replace(`\nepoch ${named.epoch}\n`, '\nepoch 7\n')), 'checkpoint.epoch'],
    ];
    for (const [note, code] of refusals) expect(problemIn(await bring(note)).code, note).toBe(code);
  });

  it('a quorum that cosigned another history than this node has is told as a fork', async () => {
    const { checkpoint: named } = parseCheckpoint(await checkpoint());
    const forged = { ...named, root: sha256(utf8('another history')) };
    const body = checkpointBody(forged);
    const lines: string[] = [];
    for (const node of town.consortium.nodes.values()) {
      const signer = ed25519Signer(await secretOf(node.options.keystore, SECRETS.validator));
      lines.push(cosign(body, named.origin, node.id, signer));
    }
    const note = witnessed(assembleCheckpoint(body, lines));
    expect(problemIn(await bring(note)).code).toBe('checkpoint.forked');
  });

  it('is bounded: a body of more than a note may have is refused before it is read', async () => {
    expect((await bring('x'.repeat(64 * 1024))).statusCode).toBe(422);
    expect((await bring('x'.repeat(64 * 1024 + 1))).statusCode).toBe(400);
    expect((await bring('x'.repeat(600 * 1024))).statusCode).toBe(413);
  });
});

describe('verifier keys of witnesses', () => {
  it('read back as they are written, and nothing else reads', () => {
    const text = formatWitnessKey(WITNESS);
    expect(parseWitnessKey(text)).toEqual(WITNESS);
    const [name, id, key] = [text.split('+')[0], text.split('+')[1], text.split('+').slice(2).join('+')];
    const bad = [
      '',
      name,
      `${name}+${id}`,
      `other+${id}+${key}`,
      `${name}+00000000+${key}`,
      `${text}=`,
      `${name}+${id}+AQ==`,
    ];
    for (const one of bad)
      expect(() => parseWitnessKey(one), one).toThrow(
        expect.toSatisfy((error) => hasCode(error, 'witness.bad_key')),
      );
  });
});
