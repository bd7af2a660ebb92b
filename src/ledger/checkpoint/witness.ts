/**
 * Outside witnesses: anyone whose key a node was told, who keeps the newest checkpoint it has seen and cosigns one only
 * after a consistency proof from there (C2SP tlog-witness). Its line says that at its time this log had this head; it
 * does not say that an entry is true. Keys are written as signed-note verifier keys.
 */
import { concat, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { Witness } from './checkpoint.ts';
import {
  checkNoteName,
  fromBase64,
  isLineOf,
  NOTE_COSIGNATURE,
  noteKeyId,
  noteLine,
  splitNote,
  toBase64,
} from './note.ts';

const KEY_BYTES = 32;

/** `<name>+<key id, 8 hexadecimal digits>+<base64(0x04 || Ed25519 public key)>`. */
export function formatWitnessKey({ name, key }: Witness): string {
  const id = toHex(noteKeyId(checkNoteName(name), NOTE_COSIGNATURE, key));
  return `${name}+${id}+${toBase64(concat(Uint8Array.of(NOTE_COSIGNATURE), key))}`;
}

/** Throws `witness.bad_key` unless `text` is a verifier key of a tlog-cosignature key, with its right key id. */
export function parseWitnessKey(text: string): Witness {
  const refuse = (cause?: unknown): never => {
    throw new CodedError(
      'witness.bad_key',
      'expected a verifier key of a witness: <name>+<key id>+<base64 of 0x04 and 32 bytes>',
      { cause },
    );
  };
  const parts = text.split('+');
  const [name] = parts;
  try {
    // Base64 has plus signs of its own; a name has none.
    const bytes = fromBase64(parts.slice(2).join('+'));
    if (bytes.length !== 1 + KEY_BYTES || bytes[0] !== NOTE_COSIGNATURE) return refuse();
    const witness = { name: checkNoteName(name), key: bytes.slice(1) };
    return formatWitnessKey(witness) === text ? witness : refuse();
  } catch (error) {
    return refuse(error);
  }
}

/** Signature lines of `text` that claim to be by `witness`, as they stand. Throws `checkpoint.malformed`. */
export function linesOfWitness(text: string, { name, key }: Witness): readonly string[] {
  return splitNote(text)
    .signatures.filter((line) => isLineOf(line, name, NOTE_COSIGNATURE, key))
    .map(noteLine);
}
