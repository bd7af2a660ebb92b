/**
 * Released parts, opened into a key ring. A part that does not open, is malformed, or claims another authority's place is
 * left out and named: any threshold of good parts makes a key, so one bad authority must not be able to prevent it.
 */
import { addKeyParts, type KeyRing } from '../abe/index.ts';
import { CodedError } from '../codec/errors.ts';

export interface SealedPartOf {
  readonly authority: number;
  readonly member: string;
}

export interface OpenedParts {
  readonly ring: KeyRing;
  /** Whose part could not be used, and why. */
  readonly refused: readonly { readonly member: string; readonly code: string }[];
}

/**
 * `ring` with the parts that `open` can open. Throws `authority.too_few` when fewer than `threshold` came and opened: such a
 * ring would make no key, and must not be kept as if it did.
 */
export async function openIntoRing<Part extends SealedPartOf>(
  ring: KeyRing,
  parts: readonly Part[],
  threshold: number,
  open: (part: Part) => Promise<Uint8Array>,
): Promise<OpenedParts> {
  const opened = await Promise.all(
    parts.map(async (part) => ({
      part,
      outcome: await open(part).then(
        (bytes) => ({ bytes }),
        (error: unknown) => ({ error }),
      ),
    })),
  );
  const refused: { member: string; code: string }[] = [];
  let whole = ring;
  for (const { part, outcome } of opened) {
    try {
      if ('error' in outcome) throw outcome.error;
      whole = withPartOf(whole, part.authority, outcome.bytes);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      refused.push({ member: part.member, code: error.code });
    }
  }
  const received = parts.length - refused.length;
  if (received < threshold) {
    throw new CodedError(
      'authority.too_few',
      `${received} of the ${threshold} authorities that it takes have answered: try again when more members are up`,
      { details: { received, threshold } },
    );
  }
  return { ring: whole, refused };
}

/** `ring` with one part, which must be `authority`'s: nobody fills another's place. */
function withPartOf(ring: KeyRing, authority: number, bytes: Uint8Array): KeyRing {
  const added = addKeyParts(ring, [bytes]);
  for (const [place, part] of added.parts) {
    if (place !== authority && part !== ring.parts.get(place)) {
      throw new CodedError(
        'abe.part_mismatch',
        `authority ${authority} sent a part in the place of ${place}`,
      );
    }
  }
  return added;
}
