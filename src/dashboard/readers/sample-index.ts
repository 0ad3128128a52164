/**
 * Places of the samples of a run, by step and row, and by prompt.
 *
 * A sample takes four numbers and a place in the list of its prompt, so 100,000 samples take a few megabytes. Texts are
 * read from their files when they are shown.
 */
import type { SamplePlace } from '../api-samples.ts';
import type { LineHead } from './sample-record.ts';

/** Place of a line in a file, in bytes. */
export interface LinePlace {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

interface StepRows {
  readonly file: string;
  readonly offsets: number[];
  readonly lengths: number[];
  readonly scores: (number | null)[];
}

export class SampleIndex {
  readonly #steps = new Map<number, StepRows>();
  readonly #prompts = new Map<string, SamplePlace[]>();

  /** Steps that have samples, rising, with their numbers of samples and mean scores. */
  columns(): { steps: number[]; counts: number[]; means: (number | null)[] } {
    const steps = [...this.#steps].sort(([a], [b]) => a - b);
    return {
      steps: steps.map(([step]) => step),
      counts: steps.map(([, { scores }]) => scores.length),
      means: steps.map(([, { scores }]) => meanOf(scores)),
    };
  }

  get lastStep(): number | null {
    return this.#steps.size === 0 ? null : Math.max(...this.#steps.keys());
  }

  add({ step, promptId, score }: LineHead, { file, offset, length }: LinePlace): void {
    const rows = this.#steps.get(step) ?? { file, offsets: [], lengths: [], scores: [] };
    this.#steps.set(step, rows);
    const row = rows.offsets.length;
    rows.offsets.push(offset);
    rows.lengths.push(length);
    rows.scores.push(score);
    const places = this.#prompts.get(promptId) ?? [];
    this.#prompts.set(promptId, places);
    places.push({ step, row });
  }

  /** Drops the samples of a step and of those after it. */
  dropFrom(step: number): void {
    for (const one of this.#steps.keys()) if (one >= step) this.#steps.delete(one);
    for (const [promptId, places] of this.#prompts) {
      const kept = places.filter((place) => place.step < step);
      if (kept.length === 0) this.#prompts.delete(promptId);
      else if (kept.length < places.length) this.#prompts.set(promptId, kept);
    }
  }

  count(step: number): number {
    return this.#steps.get(step)?.offsets.length ?? 0;
  }

  /** The line of a sample; null where there is none. */
  lineOf({ step, row }: SamplePlace): LinePlace | null {
    const rows = this.#steps.get(step);
    const offset = rows?.offsets[row];
    return offset === undefined ? null : { file: rows!.file, offset, length: rows!.lengths[row]! };
  }

  /** Places of the samples of a prompt, by step, then by row. */
  placesOf(promptId: string): readonly SamplePlace[] {
    return this.#prompts.get(promptId) ?? [];
  }
}

/** Mean of the scores that are not null; null without any. */
function meanOf(all: readonly (number | null)[]): number | null {
  const scores = all.filter((score) => score !== null);
  if (scores.length === 0) return null;
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}
