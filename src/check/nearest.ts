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

/**
 * The valid key that an unknown path probably means.
 *
 * A sibling spelt alike comes first, then the same name in another section, then the path that is near as a whole.
 */
export function nearestKey(path: string, paths: readonly string[]): string | undefined {
  const leaf = leafOf(path);
  const siblings = paths.filter((other) => parentOf(other) === parentOf(path)).map(leafOf);
  const sibling = leastDistant(leaf, siblings);
  if (sibling !== undefined && distance(leaf, sibling) <= Math.max(2, leaf.length / 3)) {
    return parentOf(path) + sibling;
  }
  const sameName = paths.filter((other) => leafOf(other) === leaf);
  return sameName.length > 0 ? leastDistant(path, sameName) : nearestOf(path, paths);
}
