/** Suggestions for a misspelt word or key, by edit distance. */
import { distance } from 'fastest-levenshtein';

/** The candidate that `word` was probably meant to be: the nearest, where at most half of the letters differ. */
export function nearestOf(word: string, candidates: readonly string[]): string | undefined {
  const nearest = leastDistant(word, candidates);
  return nearest !== undefined && distance(word, nearest) <= word.length / 2 ? nearest : undefined;
}

/** The candidate nearest to `word` by edit distance, the first of equals; undefined when there is none. */
function leastDistant(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of candidates) {
    const apart = distance(word.toLowerCase(), candidate.toLowerCase());
    if (apart < least) [best, least] = [candidate, apart];
  }
  return best;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('.') + 1);
const leafOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/** Most letters in which a slip of the keyboard differs. */
const SLIP = 2;

/**
 * The valid key that an unknown path probably means.
 *
 * A sibling with a slip comes first, then the same name in another section, then a sibling spelt alike, then the path
 * that is near as a whole.
 */
export function nearestKey(path: string, paths: readonly string[]): string | undefined {
  const leaf = leafOf(path);
  const siblings = paths.filter((other) => parentOf(other) === parentOf(path)).map(leafOf);
  const sibling = leastDistant(leaf, siblings);
  const apart = sibling === undefined ? Infinity : distance(leaf, sibling);
  const sameName = paths.filter((other) => leafOf(other) === leaf);
  if (apart > SLIP && sameName.length > 0) return leastDistant(path, sameName);
  return apart <= Math.max(SLIP, leaf.length / 3)
    ? parentOf(path) + sibling!
    : nearestOf(path, paths);
}
