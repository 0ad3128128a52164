/**
 * The metrics of a run in columns, from its `metrics.jsonl`.
 *
 * Every line is parsed once. A metric has two columns of doubles, steps and values, so 10,000 steps of 100 metrics take
 * 16 MB, and one metric is read without touching the others.
 */
import type { MetricList, MetricListing, Series, SeriesList } from '../api.ts';
import { LineTail, objectOf } from './line-tail.ts';
import { reducedIndices } from './reduce.ts';

const FIRST_ROOM = 64;

/** Numbers that more are added to. */
class Column {
  #room = new Float64Array(FIRST_ROOM);
  length = 0;

  get values(): Float64Array {
    return this.#room.subarray(0, this.length);
  }

  push(value: number): void {
    if (this.length === this.#room.length) {
      const wider = new Float64Array(2 * this.length);
      wider.set(this.#room);
      this.#room = wider;
    }
    this.#room[this.length++] = value;
  }
}

/** A metric over steps, which rise. */
class MetricColumns {
  readonly steps = new Column();
  readonly values = new Column();

  /** Drops everything from a step on, which the run took again. */
  rewind(step: number): void {
    const length = placeOf(this.steps.values, step - 1);
    this.steps.length = this.values.length = length;
  }
}

export class MetricTable {
  readonly #tail: LineTail;
  readonly #metrics = new Map<string, MetricColumns>();
  #lastStep: number | null = null;
  #generation = 0;

  /** @param file `metrics.jsonl` of a run */
  constructor(file: string) {
    this.#tail = new LineTail(file);
  }

  get lastStep(): number | null {
    return this.#lastStep;
  }

  /** Rises when there are other lines than before. */
  get version(): number {
    return this.#tail.version;
  }

  /** Reads the lines that have come since. */
  refresh(): Promise<void> {
    return this.#tail.read(
      (line) => this.#add(objectOf(line)),
      () => this.#begin(),
    );
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
   * @param points most points of each; all by default
   */
  series(
    names: readonly string[],
    { after = -Infinity, points = Infinity }: { readonly after?: number; readonly points?: number },
  ): SeriesList {
    const series = names.flatMap((name): Series[] => {
      const columns = this.#metrics.get(name);
      return columns === undefined ? [] : [seriesOf(name, columns, after, points)];
    });
    return { series, generation: this.#generation };
  }

  #begin(): void {
    this.#metrics.clear();
    this.#lastStep = null;
    this.#generation++;
  }

  #add(line: Readonly<Record<string, unknown>> | null): void {
    if (typeof line?.['step'] !== 'number') return;
    const { step, ...metrics } = line as { step: number } & Record<string, unknown>;
    if (this.#lastStep !== null && step <= this.#lastStep) {
      for (const columns of this.#metrics.values()) columns.rewind(step);
      this.#generation++;
    }
    this.#lastStep = step;
    for (const [name, value] of Object.entries(metrics)) {
      if (typeof value !== 'number' && value !== null) continue;
      const columns = this.#metrics.get(name) ?? new MetricColumns();
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
    firstStep: steps.values[0]!,
    lastStep: steps.values.at(-1)!,
    last: finiteOrNull(values.values.at(-1)!),
  };
}

function seriesOf(name: string, columns: MetricColumns, after: number, points: number): Series {
  const start = placeOf(columns.steps.values, after);
  const [steps, values] = [
    columns.steps.values.subarray(start),
    columns.values.values.subarray(start),
  ];
  const kept = reducedIndices(values, points);
  return {
    name,
    steps: kept.map((i) => steps[i]!),
    values: kept.map((i) => finiteOrNull(values[i]!)),
    count: steps.length,
    isReduced: kept.length < steps.length,
  };
}

/** Number of the rising steps that are at most a step. */
function placeOf(steps: Float64Array, step: number): number {
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
