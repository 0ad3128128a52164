/**
 * The metrics of a run in columns, from its `metrics.jsonl`.
 *
 * Every line is parsed once. A metric has two columns of doubles, steps and values, so 10,000 steps of 100 metrics take
 * 16 MB, and one metric is read without touching the others.
 */
import type { MetricList, MetricListing, Series, SeriesList } from '../api.ts';
import { LineTail, objectOf } from './line-tail.ts';
import { reducedIndices } from './reduce.ts';

/** A metric over rising steps. NaN stands for a value that JSON has no form for. */
interface MetricColumns {
  readonly steps: number[];
  readonly values: number[];
}

export class MetricTable extends LineTail {
  readonly #metrics = new Map<string, MetricColumns>();
  #lastStep: number | null = null;
  #generation = 0;

  get lastStep(): number | null {
    return this.#lastStep;
  }

  list(): MetricList {
    const metrics = [...this.#metrics]
      .filter(([, { steps }]) => steps.length > 0)
      .map(([name, columns]) => listing(name, columns))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return { metrics, lastStep: this.#lastStep, generation: this.#generation };
  }

  /**
   * Columns of some metrics.
   *
   * @param after  only steps behind this one
   * @param points most points of each, at least 4
   */
  series(names: readonly string[], after: number, points: number): SeriesList {
    const series = names.flatMap((name): Series[] => {
      const columns = this.#metrics.get(name);
      return columns === undefined ? [] : [seriesOf(name, columns, after, points)];
    });
    return { series, generation: this.#generation };
  }

  protected override forget(): void {
    this.#metrics.clear();
    this.#lastStep = null;
    this.#generation++;
  }

  protected override take(line: Buffer): void {
    const { step, ...metrics } = objectOf(line) ?? {};
    if (typeof step !== 'number') return;
    if (this.#lastStep !== null && step <= this.#lastStep) {
      // The run took its steps from this one on again.
      for (const { steps, values } of this.#metrics.values()) {
        steps.length = values.length = placeOf(steps, step - 1);
      }
      this.#generation++;
    }
    this.#lastStep = step;
    for (const [name, value] of Object.entries(metrics)) {
      if (typeof value !== 'number' && value !== null) continue;
      const columns = this.#metrics.get(name) ?? { steps: [], values: [] };
      this.#metrics.set(name, columns);
      columns.steps.push(step);
      columns.values.push(value ?? NaN);
    }
  }
}

function listing(name: string, { steps, values }: MetricColumns): MetricListing {
  return {
    name,
    count: steps.length,
    firstStep: steps[0]!,
    lastStep: steps.at(-1)!,
    last: finiteOrNull(values.at(-1)!),
  };
}

function seriesOf(name: string, columns: MetricColumns, after: number, points: number): Series {
  const start = placeOf(columns.steps, after);
  const [steps, values] = [columns.steps.slice(start), columns.values.slice(start)];
  const kept = reducedIndices(values, points);
  return {
    name,
    steps: kept.map((i) => steps[i]!),
    values: kept.map((i) => finiteOrNull(values[i]!)),
    count: steps.length,
    isReduced: kept.length < steps.length,
  };
}

/** Number of rising `steps` that are at most `step`, by binary search. */
function placeOf(steps: readonly number[], step: number): number {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return low;
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
