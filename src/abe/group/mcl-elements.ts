/** Elements of the mcl backend: copies of their words (Jacobian coordinates for points), owned by JavaScript. */
import type { FixedBaseTable } from './mcl-tables.ts';
import type { G1, G2, GT } from './types.ts';

export abstract class MclElement {
  readonly words: Int32Array;
  /** Belongs to the keeper (`mcl-keeper.ts`), which may take it away. */
  table: FixedBaseTable | undefined;
  /** A table with small windows for secret scalars, where `table` has large ones. */
  secretTable: FixedBaseTable | undefined;
  constructor(words: Int32Array) {
    this.words = words;
  }
}

export class MclG1 extends MclElement implements G1 {
  readonly kind = 'G1';
}

export class MclG2 extends MclElement implements G2 {
  readonly kind = 'G2';
}

export class MclGT extends MclElement implements GT {
  readonly kind = 'GT';
}

/** `element` as one of ours; throws TypeError for one of another backend. */
export function own<T extends MclElement>(type: new (words: Int32Array) => T, element: unknown): T {
  if (element instanceof type) return element;
  throw new TypeError('a group element of another backend');
}
