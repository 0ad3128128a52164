import { asCxmindError } from '../../src/errors.ts';
import { Turns } from '../../src/turns.ts';
import type { Checkpoints, ResumePoint } from '../run-folder/checkpoints.ts';
import type { BatchSource } from './ahead/batch-source.ts';
import type { StepContext } from './context.ts';
import { writeKept } from './ahead/kept-batches.ts';
import { Stopwatch } from './report/timeline.ts';

/** A checkpoint: its step, and its Hugging Face directory; of step 0 and null before there is one. */
interface Saved {
  readonly step: number;
  readonly checkpoint: string | null;
}

/** Saves the checkpoints of a run, one at a time. */
export class Saving {
  readonly #context: StepContext;
  readonly #checkpoints: Checkpoints;
  readonly #batches: BatchSource;
  readonly #score: () => number;
  readonly #turns = new Turns();
  #newest: Saved;
  #isRequested = false;

  /**
   * @param parts.newest  checkpoint, which the run resumed from; of step 0 for a new run
   * @param parts.batches may be ahead of a checkpoint, which keeps what could not be sampled again
   * @param parts.score   of the newest validation, which says whether a checkpoint is the best
   */
  constructor(
    context: StepContext,
    checkpoints: Checkpoints,
    parts: {
      readonly newest: Saved;
      readonly batches: BatchSource;
      readonly score: () => number;
    },
  ) {
    this.#context = context;
    this.#checkpoints = checkpoints;
    this.#newest = parts.newest;
    this.#batches = parts.batches;
    this.#score = parts.score;
  }

  get newest(): Saved {
    return this.#newest;
  }

  /** True where the newest checkpoint has a step. The beginning of a new run is a step too, and in none. */
  has(step: number): boolean {
    return this.#newest.checkpoint !== null && this.#newest.step >= step;
  }

  /** True when a checkpoint was requested in the middle of a step, and has to be saved after it. */
  get isRequested(): boolean {
    return this.#isRequested;
  }

  /** Waits until no checkpoint is being written, however that ends. */
  settled(): Promise<void> {
    return this.#turns.run(() => Promise.resolve());
  }

  /**
   * Saves a checkpoint once those before it are written.
   *
   * @param beforeNaming called with the seconds it took, before the folder gets its name
   */
  save(
    point: ResumePoint,
    beforeNaming: (seconds: number) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    return this.#turns.run(async () => {
      const { step } = point;
      const kept = await this.#batches.keptAfter(step);
      const clock = new Stopwatch(this.#context.timeline);
      const writeMore = (directory: string): Promise<void> => writeKept(directory, kept);
      const request = { ...point, score: this.#score(), writeMore, beforeNaming };
      const checkpoint = await clock.time('save_checkpoint', () =>
        this.#checkpoints.save(this.#context.actors, request),
      );
      this.#newest = { step, checkpoint };
      this.#context.live.saves(step, checkpoint);
      this.#isRequested = false;
      this.#context.logger.info({ step, path: checkpoint }, 'checkpoint');
    });
  }

  /** Saves a checkpoint on a person's request while the run goes on. @param point null in the middle of a step */
  request(point: ResumePoint | null): void {
    const { reporter } = this.#context;
    if (point === null) {
      this.#isRequested = true;
      return;
    }
    const { step } = point;
    if (this.has(step)) {
      reporter.note(`step ${step} is saved already, going on`);
      return;
    }
    this.save(point)
      .then(
        () => `saved step ${step}, going on`,
        (error: unknown) => `warning: step ${step}: ${asCxmindError(error).message}`,
      )
      .then((text) => reporter.note(text))
      .catch(() => undefined);
  }

  /** Writes the tracker for a step that is saved already, after its validation. */
  async rescore(step: number): Promise<void> {
    await this.#checkpoints.score(step, this.#score());
  }
}
