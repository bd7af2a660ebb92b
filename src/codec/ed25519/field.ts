/**
 * Code for arithmetic modulo p = 2^255 - 19 in ten signed limbs of 26 and 25 bits in turn, as in the reference
 * implementation of Ed25519 (ref10 of SUPERCOP; Bernstein, Duif, Lange, Schwabe, Yang, "High-speed high-security
 * signatures", 2011). In memory a number is ten i32, in code ten i64 locals. Its bounds hold: a product's limbs are below
 * 1.01 * 2^25 and 1.01 * 2^24, and factors may be sums of up to three such.
 */
import type { FunctionBody, Local } from './assembler.ts';

/** Limbs of a number. */
export const LIMBS = 10;
/** Bytes of a number in memory. */
export const FE_BYTES = 4 * LIMBS;

/** A number: the locals of its limbs. */
export type Fe = readonly Local[];

/** Bits of limb `i`. */
export const limbBits = (i: number): number => (i % 2 === 0 ? 26 : 25);

/** The code of one function, and what multiplication needs between limbs. */
export class FieldCode {
  readonly body: FunctionBody;
  readonly #h: Fe;
  readonly #twice: Fe;
  readonly #by19: Fe;

  constructor(body: FunctionBody) {
    this.body = body;
    this.#h = this.fe();
    this.#twice = this.fe();
    this.#by19 = this.fe();
  }

  /** A new number. */
  fe(): Fe {
    return Array.from({ length: LIMBS }, () => this.body.local());
  }

  /** `to` = the number at the address in `pointer`, plus `offset`. */
  load(to: Fe, pointer: Local, offset = 0): void {
    to.forEach((limb, i) => {
      this.body
        .get(pointer)
        .load32(offset + 4 * i)
        .set(limb);
    });
  }

  /** Writes `from` to the address in `pointer`, plus `offset`. */
  store(pointer: Local, offset: number, from: Fe): void {
    from.forEach((limb, i) => {
      this.body
        .get(pointer)
        .get(limb)
        .store32(offset + 4 * i);
    });
  }

  /** `to` = a + b, limb by limb. */
  add(to: Fe, a: Fe, b: Fe): void {
    to.forEach((limb, i) => {
      this.body.get(a[i]).get(b[i]).add().set(limb);
    });
  }

  /** `to` = a - b, limb by limb. */
  sub(to: Fe, a: Fe, b: Fe): void {
    to.forEach((limb, i) => {
      this.body.get(a[i]).get(b[i]).sub().set(limb);
    });
  }

  /** `to` = a where the i64 `mask` is 0, and -a where it is -1. */
  negateIf(to: Fe, a: Fe, mask: Local): void {
    to.forEach((limb, i) => {
      this.body.get(a[i]).get(mask).xor().get(mask).sub().set(limb);
    });
  }

  /** `to` = a * b, carried. `to` may be a or b. */
  mul(to: Fe, a: Fe, b: Fe): void {
    const { body } = this;
    for (let i = 1; i < LIMBS; i += 2) body.get(a[i]).get(a[i]).add().set(this.#twice[i]);
    for (let i = 1; i < LIMBS; i++) body.get(b[i]).const64(19).mul().set(this.#by19[i]);
    for (let k = 0; k < LIMBS; k++) {
      for (let i = 0; i < LIMBS; i++) {
        const j = (k - i + LIMBS) % LIMBS;
        // Two odd limbs meet half a bit too low each; above 2^255 a product counts 19 times.
        body.get(i % 2 === 1 && j % 2 === 1 ? this.#twice[i] : a[i]);
        body.get(i + j >= LIMBS ? this.#by19[j] : b[j]).mul();
        if (i > 0) body.add();
      }
      body.set(this.#h[k]);
    }
    this.#carry(to);
  }

  /** `to` = a * a, carried. `to` may be a. */
  square(to: Fe, a: Fe): void {
    const { body } = this;
    for (let i = 0; i < LIMBS; i++) body.get(a[i]).get(a[i]).add().set(this.#twice[i]);
    for (let i = 1; i < LIMBS; i++) body.get(a[i]).const64(19).mul().set(this.#by19[i]);
    for (let k = 0; k < LIMBS; k++) {
      let terms = 0;
      for (let i = 0; i < LIMBS; i++) {
        const j = (k - i + LIMBS) % LIMBS;
        if (i > j) continue;
        // Here i <= j: a pair of different limbs occurs twice.
        const isDoubled = i !== j;
        body.get(isDoubled ? this.#twice[i] : a[i]);
        body.get(i + j >= LIMBS ? this.#by19[j] : a[j]).mul();
        if (i % 2 === 1 && j % 2 === 1) body.const64(1).shl();
        if (terms++ > 0) body.add();
      }
      body.set(this.#h[k]);
    }
    this.#carry(to);
  }

  /** Carries the sums in `h`, in the order of the reference: two chains that do not wait for each other. */
  #carry(to: Fe): void {
    const { body } = this;
    const h = this.#h;
    const carry = this.#twice[0];
    for (const i of [0, 4, 1, 5, 2, 6, 3, 7, 4, 8, 9, 0]) {
      const bits = limbBits(i);
      body
        .get(h[i])
        .const64(2 ** (bits - 1))
        .add()
        .const64(bits)
        .shr()
        .set(carry);
      body.get(h[(i + 1) % LIMBS]).get(carry);
      if (i === LIMBS - 1) body.const64(19).mul();
      body.add().set(h[(i + 1) % LIMBS]);
      body.get(h[i]).get(carry).const64(bits).shl().sub().set(h[i]);
    }
    to.forEach((limb, i) => {
      body.get(h[i]).set(limb);
    });
  }
}
