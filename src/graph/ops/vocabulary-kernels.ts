/** Geometry of kernels over rows of logits, `[R, V]`. */
import { launchOf, type Kernel } from '../kernel.ts';
import type { VocabularyAttributes } from './vocabulary.ts';

/** Threads of a block that takes a whole row. */
export const ROW_THREADS = 512;
/** Threads of a block that takes a part of a row. */
export const PART_THREADS = 256;

/** Logits of a row that are loaded at once. */
export function packOf(vocabulary: number): number {
  return [4, 2, 1].find((count) => vocabulary % count === 0)!;
}

/** The part of a kernel's name that tells the banned tokens. */
export function bansIn({ banned }: VocabularyAttributes): string {
  return banned.map((token) => `_no${token}`).join('');
}

/** C of logit `i` of the pack `some` that begins at token `v`, as a float: -inf where the token is banned. */
export function logitOf({ banned }: VocabularyAttributes): string {
  const tests = banned.map((token) => `v + i == ${token}`);
  const logit = 'toFloat(some.at[i])';
  return tests.length === 0 ? logit : `(${tests.join(' || ')} ? -INFINITY : ${logit})`;
}

/** A block for each row. */
export const blockPerRow: Kernel['launch'] = ([logits]) =>
  launchOf([logits![0]!, 1, 1], ROW_THREADS, []);

/** A thread for each pack of logits of each row. */
export function threadPerPack(vocabulary: number): Kernel['launch'] {
  const parts = Math.ceil(vocabulary / packOf(vocabulary) / PART_THREADS);
  return ([logits]) => launchOf([logits![0]!, parts, 1], PART_THREADS, []);
}
