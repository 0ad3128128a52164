/**
 * Curves that were fetched, by run and metric.
 *
 * A curve is first fetched with as many points as a chart can show, and whole when the reader zooms in or smooths it. Of a
 * run that goes on only new steps are fetched. All curves of a run are dropped when the run rewrote its file.
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

  /** Fetches the metrics that are missing. @param isWhole fetches reduced curves again, with every point */
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

  /** Fetches the new steps of metrics that were fetched before. */
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

  /** The curves of a run. It drops those of an earlier generation. */
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
