/**
 * The raw WebAssembly module of mcl-wasm 2.4.1, as an instance of our own: modes such as the serialisation
 * format and the hash-to-curve suite are globals of an instance, and nobody else can change ours.
 * These exports are marked internal by the package, so the version is pinned and their presence is tested.
 */
import createModule from 'mcl-wasm/dist/mcl_c.js';
import { CodedError } from '../../codec/errors.ts';
import { ABE_ERROR } from '../errors.ts';

/** Sizes of elements in wasm memory, in bytes. */
export const MCL_FR_BYTES = 32;
export const MCL_G1_BYTES = 144;
export const MCL_G2_BYTES = 288;
export const MCL_GT_BYTES = 576;

const BLS12_381 = 5;
/** MCLBN_COMPILED_TIME_VAR: 10 times the words of a scalar plus the words of a field element. */
const COMPILED_TIME_VAR = 46;
/** MCL_MAP_TO_MODE_HASH_TO_CURVE_07: RFC 9380. The default mode of the library is not. */
const MAP_TO_RFC9380 = 5;

const CALLS = [
  '_malloc',
  '_free',
  '_mclBn_init',
  '_mclBn_setETHserialization',
  '_mclBn_setMapToMode',
  '_mclBn_verifyOrderG1',
  '_mclBn_verifyOrderG2',
  '_mclBnFr_setBigEndianMod',
  '_mclBnFp_setBigEndianMod',
  '_mclBnFp_mul',
  '_mclBnFp_sqr',
  '_mclBnG1_clear',
  '_mclBnG1_deserialize',
  '_mclBnG1_serialize',
  '_mclBnG1_isValidOrder',
  '_mclBnG1_isEqual',
  '_mclBnG1_isZero',
  '_mclBnG1_hashAndMapToWithDst',
  '_mclBnG1_add',
  '_mclBnG1_dbl',
  '_mclBnG1_neg',
  '_mclBnG1_mul',
  '_mclBnG1_mulVec',
  '_mclBnG1_normalizeVec',
  '_mclBnG2_clear',
  '_mclBnG2_deserialize',
  '_mclBnG2_serialize',
  '_mclBnG2_isValidOrder',
  '_mclBnG2_isZero',
  '_mclBnG2_add',
  '_mclBnG2_dbl',
  '_mclBnG2_neg',
  '_mclBnG2_mul',
  '_mclBnG2_normalizeVec',
  '_mclBnGT_setInt32',
  '_mclBnGT_mul',
  '_mclBnGT_sqr',
  '_mclBnGT_inv',
  '_mclBnGT_pow',
  '_mclBnGT_isEqual',
  '_mclBnGT_isValid',
  '_mclBnGT_serialize',
  '_mclBnGT_deserialize',
  '_mclBn_millerLoopVec',
  '_mclBn_finalExp',
] as const;

type MclCalls = Readonly<Record<(typeof CALLS)[number], (...pointers: number[]) => number>>;

/** The calls we use (pointers in, status or count out) and views of the memory, renewed after growth. */
export interface MclModule extends MclCalls {
  readonly HEAP32: Int32Array;
  readonly HEAP8: Int8Array;
}

function decodeModule(value: unknown): MclModule {
  const module = value as MclModule;
  for (const call of CALLS) {
    if (typeof module[call] !== 'function') {
      throw new CodedError(ABE_ERROR.groupUnusable, `mcl-wasm lacks ${call}: install exactly version 2.4.1`);
    }
  }
  return module;
}

/** `bytes` of wasm memory; throws `abe.group_unusable` where the host gives no more. */
export function allocate(mcl: MclModule, bytes: number): number {
  const at = mcl._malloc(bytes);
  if (at === 0) {
    throw new CodedError(
      ABE_ERROR.groupUnusable,
      `the host gives no more wasm memory (${bytes} bytes wanted)`,
    );
  }
  return at;
}

/** A new instance, set to BLS12-381, ZCash encodings and RFC 9380; order checks on decoding are ours. */
export async function instantiateMcl(): Promise<MclModule> {
  const module = decodeModule(
    await createModule({
      cryptoGetRandomValues: () => {
        throw new CodedError(ABE_ERROR.groupUnusable, 'randomness is an argument and never drawn by mcl');
      },
    }),
  );
  if (module._mclBn_init(BLS12_381, COMPILED_TIME_VAR) !== 0) {
    throw new CodedError(ABE_ERROR.groupUnusable, 'mcl-wasm did not initialise BLS12-381');
  }
  module._mclBn_setETHserialization(1);
  module._mclBn_setMapToMode(MAP_TO_RFC9380);
  module._mclBn_verifyOrderG1(0);
  module._mclBn_verifyOrderG2(0);
  return module;
}
