import { CxmindError } from '../errors.ts';
import { lengthOf, type Job } from './request.ts';
import { Schedule, type Intake, type ScheduleTools } from './schedule.ts';

/** A job of a session, with a callback for its failure. */
export interface SessionJob extends Job {
  /** Receives the error that ended the job, at most once, and nothing after it. */
  readonly onError: (error: unknown) => void;
}

/** Runs work on the engine's decoder, after all work before. */
type WithDecoder = (work: (tools: ScheduleTools) => Promise<void>) => Promise<void>;

/**
 * An open call of an engine: jobs join what runs as they come, and leave as they end.
 *
 * A failure of the device ends the jobs that had begun, and the session goes on with the others.
 */
export class GenerationSession implements AsyncDisposable {
  /** Most tokens of a sequence, its prompt among them. */
  readonly capacity: number;
  readonly #waiting: Job[] = [];
  /** Jobs whose responses are not complete, with the guarded job that the schedule has in its place. */
  readonly #open = new Map<SessionJob, Job>();
  /** Resolves once the session has its decoder. @throws DEVICE_OUT_OF_MEMORY where it has no room for a sequence */
  readonly ready: Promise<void>;
  readonly #ended: Promise<void>;
  #arrival = Promise.withResolvers<undefined>();
  #isClosed = false;

  constructor(capacity: number, withDecoder: WithDecoder) {
    this.capacity = capacity;
    const decoder = Promise.withResolvers<undefined>();
    this.ready = decoder.promise;
    this.#ended = withDecoder((tools) => {
      decoder.resolve(undefined);
      return this.#run(tools);
    });
    this.ready.catch(() => undefined);
    this.#ended.catch((error: unknown) => {
      decoder.reject(error);
      this.#isClosed = true;
      this.#waiting.length = 0;
      this.#failBegun(error);
    });
  }

  /**
   * Adds a job. One whose signal has aborted is dropped.
   *
   * @throws RUNTIME_CANCELLED once the session is closed; SHAPE_MISMATCH for a sequence longer than the capacity
   */
  submit(job: SessionJob): void {
    if (this.#isClosed) throw new CxmindError('RUNTIME_CANCELLED', 'the session is closed');
    const tokens = lengthOf(job.request);
    if (tokens > this.capacity) {
      const message = `a sequence of ${tokens} tokens, the session has room for ${this.capacity}`;
      throw new CxmindError('SHAPE_MISMATCH', message, { detail: { tokens } });
    }
    if (job.signal?.aborted === true) return;
    const guarded = this.#guarded(job);
    this.#open.set(job, guarded);
    // The signal is of this job alone, so its listener goes with it.
    job.signal?.addEventListener('abort', () => this.#open.delete(job), { once: true });
    this.#waiting.push(guarded);
    this.#arrival.resolve(undefined);
  }

  /** Takes no more jobs, and waits for those that it has. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#arrival.resolve(undefined);
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(tools: ScheduleTools): Promise<void> {
    const intake: Intake = {
      waiting: this.#waiting,
      arrival: () => this.#nextArrival(),
      // Tokens are sent on, and requests and aborts come in, in the turns of the event loop.
      stepsPerTurn: 1,
    };
    for (;;) {
      const schedule = new Schedule(intake, {}, tools);
      try {
        await schedule.run();
        return;
      } catch (error) {
        this.#failBegun(error);
        tools.decoder.clear();
      }
    }
  }

  async #nextArrival(): Promise<boolean> {
    if (this.#waiting.length === 0 && !this.#isClosed) {
      this.#arrival = Promise.withResolvers();
      await this.#arrival.promise;
    }
    return this.#waiting.length > 0;
  }

  /** The job for the schedule: an error of a callback ends this job alone. */
  #guarded(job: SessionJob): Job {
    const { request, signal } = job;
    let left = request.seeds.length;
    const guard = <T>(work: () => T, otherwise: T): T => {
      if (!this.#open.has(job)) return otherwise;
      try {
        return work();
      } catch (error) {
        this.#fail(job, error);
        return otherwise;
      }
    };
    return {
      request,
      ...(signal && { signal }),
      onToken: (sample, draw) => guard(() => job.onToken?.(sample, draw) === true, true),
      onResponse: (sample, response) =>
        guard(() => {
          job.onResponse(sample, response);
          if (--left === 0) this.#open.delete(job);
        }, undefined),
    };
  }

  #failBegun(error: unknown): void {
    for (const [job, guarded] of this.#open) {
      if (!this.#waiting.includes(guarded)) this.#fail(job, error);
    }
  }

  #fail(job: SessionJob, error: unknown): void {
    this.#open.delete(job);
    job.onError(error);
  }
}
