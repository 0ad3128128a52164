/**
 * M4: a curve with fewer points that looks the same.
 *
 * The points are cut into equal shares, each of which keeps its first, last, smallest and largest point. Drawn at one
 * share a pixel, lines between these cover the same pixels as lines between all points. The paper cuts by time; here the
 * shares have equal numbers of points.
 *
 * @see Jugel, Jerzak, Hackenbroich and Markl, M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014
 */

/** Points of a share: first, last, smallest, largest. */
const KEPT = 4;

/**
 * Indices of the points to keep, rising.
 *
 * NaN is neither smallest nor largest, and is kept at the ends of shares alone.
 *
 * @param values of the points in order
 * @param most   points that may be kept, at least 4
 */
export function reducedIndices(values: readonly number[], most: number): number[] {
  const { length } = values;
  if (length <= most) return Array.from({ length }, (_, i) => i);
  const shares = Math.max(1, Math.floor(most / KEPT));
  const kept: number[] = [];
  for (let share = 0; share < shares; share++) {
    const start = Math.floor((share * length) / shares);
    const end = Math.floor(((share + 1) * length) / shares);
    const chosen = new Set([start, ...extremesOf(values, start, end), end - 1]);
    kept.push(...[...chosen].sort((a, b) => a - b));
  }
  return kept;
}

/** Indices of the smallest and the largest value from `start` up to `end`; none where all are NaN. */
function extremesOf(values: readonly number[], start: number, end: number): number[] {
  let [least, most] = [-1, -1];
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) continue;
    if (least < 0 || value < values[least]!) least = i;
    if (most < 0 || value > values[most]!) most = i;
  }
  return least < 0 ? [] : [least, most];
}
