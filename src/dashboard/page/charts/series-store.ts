/**
 * Curves that were fetched, by run and metric.
 *
 * A curve first comes reduced to what a chart has pixels for, and whole once the reader looks closer or smooths it. A run
 * that goes on is asked for the steps behind the last alone. All of it is void when the run's file was rewritten.
 */
import type { SeriesList } from '../../api.ts';
import { get } from '../client.ts';
import { extended, type Curve } from './curves.ts';

/** Points of a reduced curve: a few for each pixel of a chart. */
const POINTS = 1_000;
/** Most metrics of one request. */
const BATCH = 50;

interface RunCurves {
  generation: number;
  readonly curves: Map<string, Curve>;
}

export class SeriesStore {
  readonly #runs = new Map<string, RunCurves>();

  /** Curve of a metric; null where it was not fetched, or the run has none. */
  curve(run: string, name: string): Curve | null {
    return this.#runs.get(run)?.curves.get(name) ?? null;
  }

  /** Fetches those of the metrics that are not there. @param isWhole fetches reduced ones again, with every point */
  async load(
    run: string,
    names: readonly string[],
    isWhole: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const missing = names.filter((name) => {
      const curve = this.curve(run, name);
      return curve === null || (isWhole && curve.isReduced);
    });
    const points = isWhole ? null : POINTS;
    for (const batch of batches(missing)) {
      const query = { name: batch, points };
      const list = await get<SeriesList>(`runs/${run}/series`, query, signal);
      const { curves } = this.#take(run, list.generation);
      for (const series of list.series) curves.set(series.name, series);
    }
  }

  /** Fetches the new steps of metrics that are there. */
  async grow(run: string, names: readonly string[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(names.filter((name) => this.curve(run, name) !== null))) {
      const lasts = batch.map((name) => this.curve(run, name)?.steps.at(-1) ?? -1);
      const query = { name: batch, after: Math.min(...lasts) };
      const list = await get<SeriesList>(`runs/${run}/series`, query, signal);
      const { curves } = this.#take(run, list.generation);
      for (const series of list.series) {
        const curve = curves.get(series.name);
        if (curve !== undefined) curves.set(series.name, extended(curve, series));
      }
    }
  }

  /** Curves of a run, of which those of another generation are void. */
  #take(run: string, generation: number): RunCurves {
    const found = this.#runs.get(run);
    if (found?.generation === generation) return found;
    const made = { generation, curves: new Map<string, Curve>() };
    this.#runs.set(run, made);
    return made;
  }
}

function batches(names: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(names.length / BATCH) }, (_, i) =>
    names.slice(i * BATCH, (i + 1) * BATCH),
  );
}
