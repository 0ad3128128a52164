/**
 * Seconds for a unit of each kind of work, fitted to measurements: least squares of relative errors, none below 0.
 *
 * A measurement is `Σ amount · seconds`. There are few measurements and kinds go together, so the kinds that they do not
 * tell apart keep the proportions of a prior: with factors x on the prior's seconds, what is minimized is `Σ (planned /
 * measured - 1)² + λ Σ (x - x̄)²`, where x̄ is the factor that fits best alone. Coordinates are minimized in turn, and
 * clipped at 0, which converges since the sum is convex.
 */
import { sum } from '../algorithms/primitives.ts';
import { byKind, type Work } from './counted/work.ts';

/** Work that was done, and the seconds that it took. */
export interface Measurement {
  readonly work: Work;
  readonly seconds: number;
}

const RIDGE = 0.003;
const SWEEPS = 500;

/** Fits seconds to measurements. @param prior seconds for a unit of each kind, as they are thought to be */
export function fittedRates(measurements: readonly Measurement[], prior: Work): Work {
  const kinds = (Object.keys(prior) as (keyof Work)[]).filter((kind) =>
    measurements.some(({ work }) => work[kind] * prior[kind] > 0),
  );
  const rows = measurements.map(({ work, seconds }) =>
    kinds.map((kind) => (work[kind] * prior[kind]) / seconds),
  );
  const sums = rows.map((row) => sum(row));
  const common = sum(sums) / dot(sums, sums);
  const factors = kinds.map(() => common);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const k of kinds.keys()) {
      let [top, bottom] = [RIDGE * common, RIDGE];
      for (const row of rows) {
        const others = dot(row, factors) - row[k]! * factors[k]!;
        top += row[k]! * (1 - others);
        bottom += row[k]! ** 2;
      }
      factors[k] = Math.max(0, top / bottom);
    }
  }
  const known = new Map(kinds.map((kind, k) => [kind, factors[k]!]));
  return byKind((kind) => prior[kind] * (known.get(kind) ?? common));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
