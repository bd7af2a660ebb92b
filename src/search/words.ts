/**
 * Words of a text: NFKC, case folded, accents dropped, split at everything that is no letter or digit, then
 * stemmed (Porter) unless a word holds a digit or a letter outside a-z. Prefix keywords keep the unstemmed word.
 */
import { stemmer } from 'stemmer';

/** Longer words are cut here: they carry no meaning and would carry identifiers. */
export const WORD_CHARS_MAX = 40;
/** Shorter words are not indexed. */
export const WORD_CHARS_MIN = 2;

/** One word in the form in which it is compared, before stemming. */
export function foldText(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}+/gu, '')
    .normalize('NFC');
}

/** The folded words of `text` in order, repeats kept. */
export function foldedWords(text: string): string[] {
  const found = foldText(text).match(/[\p{L}\p{N}]+/gu) ?? [];
  return found
    .filter((word) => [...word].length >= WORD_CHARS_MIN)
    .map((word) => [...word].slice(0, WORD_CHARS_MAX).join(''));
}

/** The stem under which a folded word is indexed. */
export function stemWord(word: string): string {
  return /^[a-z]+$/.test(word) ? stemmer(word) : word;
}
