/**
 * Bounds of the policy language. Everything a peer can send in a policy, an attribute or a registry is bounded
 * here. 256 leaves are 12 kB of rows in a header (and at most 24 kB of c2, if every leaf repeats one attribute).
 */

/** Order r of the groups of BLS12-381: the field of the sharing matrix and of its coefficients. */
export const GROUP_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;

/** Most UTF-8 bytes of a policy as text, and most bytes of its canonical encoding. */
export const POLICY_TEXT_BYTES_MAX = 64 * 1024;
/** Most `and`, `or`, `of` and `not` above a leaf, and most open parentheses and `not` in a text. */
export const POLICY_DEPTH_MAX = 32;
/** Most leaves after every range and set has become its tree nodes, gate and emergency not counted. */
export const POLICY_LEAVES_MAX = 256;
/** Most rows of a compiled header policy: the leaves, the emergency leaf and the gate (or epoch) leaf. */
export const POLICY_ROWS_MAX = POLICY_LEAVES_MAX + 2;
/** Most characters of a label (ASCII). */
export const LABEL_LENGTH_MAX = 64;
/** Most characters of an issuer (ASCII): a member id. */
export const ISSUER_LENGTH_MAX = 32;
/** Most UTF-8 bytes of a text value. */
export const VALUE_BYTES_MAX = 256;
/** Highest level; levels are 0..15 and take one leaf each in a key. */
export const LEVEL_MAX = 15;
/** Bits of a level, as its leaf states them. */
export const LEVEL_WIDTH = 4;
/** Most labels of a registry, the built-in ones not counted. */
export const REGISTRY_LABELS_MAX = 1024;
/** Most values of a finite label: a key holds a leaf for each. */
export const LABEL_VALUES_MAX = 256;
/** Most bytes of an encoded registry. */
export const REGISTRY_BYTES_MAX = 4 * 1024 * 1024;
/** Most attributes of one key. */
export const ATTRIBUTES_MAX = 256;
