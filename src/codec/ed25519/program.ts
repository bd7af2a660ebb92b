/**
 * The WebAssembly program: products in the field, and additions of points of edwards25519 in extended coordinates
 * (X, Y, Z, T), x = X/Z, y = Y/Z, xy = T/Z (Hisil, Wong, Carter, Dawson, "Twisted Edwards curves revisited", 2008,
 * section 3.1, a = -1). The formulas hold for all pairs of points, equal or opposite ones too. Not constant time.
 */
import { assemble, FunctionBody, type Local } from './assembler.ts';
import { FE_BYTES, type Fe, FieldCode } from './field.ts';

/** Bytes of a point in memory: X, Y, Z, T. */
export const POINT_BYTES = 4 * FE_BYTES;
/** Bytes of a row of a table: y + x, y - x, 2dxy of a point with Z = 1. */
export const ROW_BYTES = 3 * FE_BYTES;

/** What the program exports; numbers are addresses. */
export interface Program {
  readonly memory: WebAssembly.Memory;
  /** out = a * b. */
  mul(out: number, a: number, b: number): void;
  /** out = a^(2^times), `times` at least 1. */
  square(out: number, a: number, times: number): void;
  /** out = a + b. */
  add(out: number, a: number, b: number): void;
  /** out = a - b. */
  sub(out: number, a: number, b: number): void;
  /** The point out = p + q; 2d stands at `d2`. */
  addPoints(out: number, p: number, q: number, d2: number, scratch: number): void;
  /**
   * Adds to `point` for each of `windows` digits d (one signed byte each at `digits`) the multiple d of its window: rows
   * 1, 2, ... of a window stand at `table`, `windowBytes` a window.
   */
  walk(
    point: number,
    table: number,
    digits: number,
    windows: number,
    windowBytes: number,
    scratch: number,
  ): void;
}

function unary(parameters: number, write: (code: FieldCode, a: Fe) => void): FunctionBody {
  const body = new FunctionBody(parameters);
  const code = new FieldCode(body);
  const a = code.fe();
  code.load(a, 1);
  write(code, a);
  code.store(0, 0, a);
  return body;
}

function binary(write: (code: FieldCode, a: Fe, b: Fe) => void): FunctionBody {
  return unary(3, (code, a) => {
    const b = code.fe();
    code.load(b, 2);
    write(code, a, b);
  });
}

/** Indices of the functions that others call, in the order of the module. */
const [MUL, ADD, SUB] = [0, 1, 2];

/** Calls on numbers at addresses: a local and an offset each. */
type At = readonly [local: Local, offset: number];

function operation(body: FunctionBody, index: number, ...numbers: readonly At[]): void {
  for (const [local, offset] of numbers) {
    body.get(local);
    if (offset > 0) body.const32(offset).add32();
  }
  body.call(index);
}

/** x, y, z and t of the point at `pointer`. */
const coordinates = (pointer: Local): At[] => [0, 1, 2, 3].map((i) => [pointer, i * FE_BYTES] as const);

/** `p` = p + q from a = (Y1+X1)(Y2+X2), b = (Y1-X1)(Y2-X2), c = 2d T1 T2 and d = 2 Z1 Z2; all four are written over. */
function finishAddition(body: FunctionBody, p: Local, a: At, b: At, c: At, d: At): void {
  const [x, y, z, t] = coordinates(p);
  const e = t;
  operation(body, SUB, e, a, b);
  operation(body, ADD, a, a, b);
  operation(body, ADD, b, d, c);
  operation(body, SUB, d, d, c);
  operation(body, MUL, x, e, d);
  operation(body, MUL, y, a, b);
  operation(body, MUL, z, d, b);
  operation(body, MUL, t, e, a);
}

function addPoints(): FunctionBody {
  const [out, p, q, d2, scratch] = [0, 1, 2, 3, 4];
  const body = new FunctionBody(5);
  const [x1, y1, z1, t1] = coordinates(p);
  const [x2, y2, z2, t2] = coordinates(q);
  const [a, b, c, d] = coordinates(scratch);
  operation(body, ADD, a, y1, x1);
  operation(body, ADD, b, y2, x2);
  operation(body, MUL, a, a, b);
  operation(body, SUB, b, y1, x1);
  operation(body, SUB, c, y2, x2);
  operation(body, MUL, b, b, c);
  operation(body, MUL, c, t1, t2);
  operation(body, MUL, c, c, [d2, 0]);
  operation(body, MUL, d, z1, z2);
  operation(body, ADD, d, d, d);
  finishAddition(body, out, a, b, c, d);
  return body;
}

function walk(): FunctionBody {
  const [point, table, digits, windows, windowBytes, scratch, digit, sign, row] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const body = new FunctionBody(6, 3);
  const code = new FieldCode(body);
  const product = code.fe();
  const mask = body.local();
  const [x, y, z, t] = coordinates(point);
  const [a, b, c, d] = coordinates(scratch);
  body.repeat(windows, () => {
    body.get(digits).load8().set(digit);
    body.get(digit).when(() => {
      body.get(digit).const32(31).shr32().set(sign);
      body.get(sign).extend().set(mask);
      // Row |digit| of the window, and of a negated point the first two numbers change places.
      body.get(digit).get(sign).xor32().get(sign).sub32().const32(1).sub32();
      body.const32(ROW_BYTES).mul32().get(table).add32().set(row);
      operation(body, MUL, c, [row, 2 * FE_BYTES], t);
      code.load(product, scratch, 2 * FE_BYTES);
      code.negateIf(product, product, mask);
      code.store(scratch, 2 * FE_BYTES, product);
      body.get(row).get(sign).const32(FE_BYTES).and32().add32().set(row);
      operation(body, ADD, a, y, x);
      operation(body, MUL, a, a, [row, 0]);
      // FE_BYTES further for a digit above zero, back to the first number for one below.
      body.get(row).const32(FE_BYTES).get(sign).xor32().get(sign).sub32().add32().set(row);
      operation(body, SUB, b, y, x);
      operation(body, MUL, b, b, [row, 0]);
      operation(body, ADD, d, z, z);
      finishAddition(body, point, a, b, c, d);
    });
    body.get(digits).const32(1).add32().set(digits);
    body.get(table).get(windowBytes).add32().set(table);
  });
  return body;
}

function square(): FunctionBody {
  return unary(3, (code, a) => {
    code.body.repeat(2, () => code.square(a, a));
  });
}

/** The program with a memory of its own. */
export function startProgram(): Program {
  const bytes = assemble(
    {
      mul: binary((code, a, b) => code.mul(a, a, b)),
      add: binary((code, a, b) => code.add(a, a, b)),
      sub: binary((code, a, b) => code.sub(a, a, b)),
      square: square(),
      addPoints: addPoints(),
      walk: walk(),
    },
    1,
  );
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Program;
}
