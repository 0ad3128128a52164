import { setImmediate as nextTurn } from 'node:timers/promises';
import { CxmindError } from '../errors.ts';
import { packPrompts } from '../model/pack.ts';
import type { GenerateControl, Job } from './request.ts';
import type { Prefill } from './prefill.ts';
import type { ControlledSampler } from './controlled-sampler.ts';
import type { Draw, HeadOutputs } from './sampler.ts';
import { Sequence } from './sequence.ts';
import type { Entering, StepDecoder } from './step-decoder.ts';

/** Longest time between two turns of the event loop, in ms. A single pass may take longer. */
const MS_PER_TURN = 200;

/** Parts of an engine that a schedule drives. */
export interface ScheduleTools {
  /** Largest number of prompt tokens in a prefill pass. A longer prompt has a pass of its own. */
  readonly passTokens: number;
  readonly prefill: Prefill;
  readonly sampler: ControlledSampler;
  readonly decoder: StepDecoder;
}

/** Source of a schedule's jobs. */
export interface Intake {
  /** Jobs that nothing was done for yet. Those that the schedule takes are removed from the front. */
  readonly waiting: Job[];
  /** Waits for a job while nothing runs; false once there will be none. It is not ended by an abort of `run`. */
  arrival(): Promise<boolean>;
  /**
   * Largest number of decoding steps between two turns of the event loop. Turns come sooner where steps take long. A turn
   * lets messages in, a cancellation among them.
   */
  readonly stepsPerTurn: number;
}

/** A response whose prompt is prefilled, with its tokens so far if it was interrupted, and that waits for a slot. */
interface QueuedResponse extends Entering {
  readonly sequence: Sequence;
}

/** The queued responses of a prefill pass, and what their first tokens are drawn from. */
interface Queue {
  readonly headOutputs: HeadOutputs;
  readonly responses: readonly QueuedResponse[];
}

/**
 * The schedule of jobs by continuous batching (Orca, Yu et al., OSDI 2022).
 *
 * Every iteration admits responses to free slots, decodes one token of each running response, and finishes those that are
 * complete. A prompt is prefilled once for all its responses. A response goes through these states:
 *
 *     from                      event                                             to
 *     waiting (the intake)      its prompt is prefilled                           queued
 *     queued (#queue)           a slot is free, and its first token is drawn      running, or complete
 *     running (#running)        its last token is drawn                           complete
 *     queued                    renew                                             interrupted
 *     running                   renew with `recompute`                            interrupted
 *     interrupted               its prompt is prefilled with its tokens so far    queued
 *     (#interrupted)
 *
 * Rules:
 * - A prefill pass overwrites the memory of the one before. So a pass runs only while the queue is empty, and all queued
 *   responses are of the same pass.
 * - Responses of an aborted job that are queued, running or interrupted leave at the next iteration, and waiting ones
 *   when they are to be prefilled. Nobody hears of them any more.
 * - Between iterations and passes, the event loop has a turn from time to time. A run is cancelled only there, where each
 *   response is in exactly one list. The schedule may be renewed then, with the same weights or others, and runs on.
 * - After any other failure a schedule is of no use. Whoever drives it answers the jobs that it had taken.
 */
export class Schedule {
  readonly #intake: Intake;
  readonly #control: GenerateControl;
  #tools: ScheduleTools;
  /** Version of the weights that decode, by which tokens are marked; null where they are not. */
  #version: number | null = null;
  /** Running responses by slot. Slots are filled from the first, without gaps, as in the decoder. */
  readonly #running: Sequence[] = [];
  /** Null where no response is queued. */
  #queue: Queue | null = null;
  /** Responses whose keys and values are computed again, from their prompts and the tokens so far. */
  #interrupted: Sequence[] = [];
  #responseCount = 0;
  #tokenCount = 0;
  /** The time of the last turn of the event loop, in ms. */
  #lastTurnAt = 0;

  constructor(intake: Intake, control: GenerateControl, tools: ScheduleTools) {
    this.#intake = intake;
    this.#control = control;
    this.#tools = tools;
  }

  /**
   * Runs until the intake has no more jobs and every job has its responses.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  async run(signal = this.#control.signal): Promise<void> {
    this.#lastTurnAt = performance.now();
    for (let steps = 0; ; steps++) {
      this.#dropAborted();
      await this.#admit(signal);
      if (this.#running.length === 0) {
        if (await this.#intake.arrival()) continue;
        break;
      }
      await this.#step();
      if (steps % this.#intake.stepsPerTurn === 0 || this.#isTurnDue())
        await this.#takeTurn(signal);
    }
    this.#report();
  }

  #isTurnDue(): boolean {
    return performance.now() - this.#lastTurnAt >= MS_PER_TURN;
  }

  /** Lets messages in. @throws RUNTIME_CANCELLED when the signal has aborted */
  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    this.#report();
    await nextTurn();
    if (signal?.aborted === true) {
      throw new CxmindError('RUNTIME_CANCELLED', 'generation was cancelled');
    }
    this.#lastTurnAt = performance.now();
  }

  /**
   * Goes on with other weights, or with another decoder.
   *
   * To be called between two calls of `run`. Queued responses are prefilled again: between two runs others may have used
   * the memory of the prefill pass.
   *
   * @param version version of the weights
   * @param cache `keep` if the decoder still has the keys and values of what runs, perhaps of older weights; `recompute`
   *   to compute them again
   */
  renew(tools: ScheduleTools, version: number, cache: 'keep' | 'recompute'): void {
    this.#tools = tools;
    this.#version = version;
    const running = cache === 'keep' ? [] : this.#running.splice(0);
    const queued = this.#queue?.responses.map(({ sequence }) => sequence) ?? [];
    this.#queue = null;
    this.#interrupted = [...running, ...queued, ...this.#interrupted];
  }

  /** Frees what responses of aborted jobs hold. */
  #dropAborted(): void {
    this.#interrupted = this.#interrupted.filter(({ job }) => !isAborted(job));
    const queued = this.#queue?.responses ?? [];
    if (queued.some(({ sequence }) => isAborted(sequence.job))) {
      this.#keepQueued(queued.filter(({ sequence }) => !isAborted(sequence.job)));
    }
    // From the last slot, as in `#step`.
    for (let slot = this.#running.length - 1; slot >= 0; slot--) {
      if (isAborted(this.#running[slot]!.job)) this.#leave(slot);
    }
  }

  /** Keeps some of the queued responses, and drops the others. */
  #keepQueued(responses: readonly QueuedResponse[]): void {
    this.#queue = responses.length === 0 ? null : { ...this.#queue!, responses };
  }

  /** Fills the free slots with queued responses, and draws their first tokens. */
  async #admit(signal: AbortSignal | undefined): Promise<void> {
    const { decoder, sampler } = this.#tools;
    while (this.#running.length < decoder.slots) {
      const queue = await this.#filledQueue(signal);
      if (queue === null) return;
      const room = decoder.roomFor(queue.responses, this.#running.length);
      // Some responses run then, and make room as they end: where none runs, `roomFor` is 1 at least.
      if (room === 0) return;
      // They are in no list until they have entered. A run is not cancelled in between.
      const entering = queue.responses.slice(0, room);
      this.#keepQueued(queue.responses.slice(room));
      const requests = entering.map(({ prompt, sequence }) => ({
        row: prompt.index,
        ...sequence.requestDraw(),
      }));
      const draws = await sampler.draw(queue.headOutputs, requests);
      for (const [i, response] of entering.entries()) {
        const isComplete = this.#extend(response.sequence, draws[i]!);
        if (isComplete) continue;
        decoder.enter(this.#running.length, response);
        this.#running.push(response.sequence);
      }
    }
  }

  /** The queue, after a prefill pass where it was empty; null if no response is left to queue. */
  async #filledQueue(signal: AbortSignal | undefined): Promise<Queue | null> {
    while (this.#queue === null) {
      const freeSlots = this.#tools.decoder.slots - this.#running.length;
      if (this.#interrupted.length > 0) {
        this.#queue = await this.#prefill(this.#takeInterrupted(freeSlots));
      } else if (this.#intake.waiting.length > 0) {
        this.#queue = await this.#prefill(this.#takeWaiting(freeSlots));
      } else {
        return null;
      }
      if (this.#isTurnDue()) await this.#takeTurn(signal);
    }
    return this.#queue;
  }

  /** Takes interrupted responses for a pass, each as a group of its own. */
  #takeInterrupted(freeSlots: number): Sequence[][] {
    const count = this.#countInPass(this.#interrupted, freeSlots, ({ length }) => ({
      tokens: length,
      responses: 1,
    }));
    return this.#interrupted.splice(0, count).map((sequence) => [sequence]);
  }

  /** Takes waiting jobs for a pass: a group of responses for each that wants any. */
  #takeWaiting(freeSlots: number): Sequence[][] {
    const count = this.#countInPass(this.#intake.waiting, freeSlots, ({ request }) => ({
      tokens: request.prompt.tokenIds.data.length,
      responses: request.seeds.length,
    }));
    return this.#intake.waiting
      .splice(0, count)
      .filter((job) => !isAborted(job) && job.request.seeds.length > 0)
      .map((job) => job.request.seeds.map((_, sample) => new Sequence(job, sample)));
  }

  /**
   * Number of leading items for one pass: as many as fill the free slots, unless their tokens are too many for a pass.
   *
   * The first item is taken whatever its size, and so is the one that fills the last slot: of its responses those that
   * have no slot yet stay in the queue.
   */
  #countInPass<T>(
    items: readonly T[],
    freeSlots: number,
    sizeOf: (item: T) => { readonly tokens: number; readonly responses: number },
  ): number {
    let [count, tokens, responses] = [0, 0, 0];
    for (; count < items.length && responses < freeSlots; count++) {
      const size = sizeOf(items[count]!);
      tokens += size.tokens;
      if (count > 0 && tokens > this.#tools.passTokens) break;
      responses += size.responses;
    }
    return count;
  }

  /**
   * Prefills groups of responses in one pass. The responses of a group have the same context.
   *
   * @returns null without any
   */
  async #prefill(groups: readonly (readonly Sequence[])[]): Promise<Queue | null> {
    if (groups.length === 0) return null;
    const firsts = groups.map(([first]) => first!);
    const { headOutputs, prompts } = await this.#tools.prefill.run(
      packPrompts(firsts.map((sequence) => sequence.context())),
      firsts.map(({ job }) => job.request.sampling),
    );
    const responses = groups.flatMap((group, i) =>
      group.map((sequence) => ({
        sequence,
        prompt: prompts[i]!,
        maxTokens: sequence.remainingTokens,
      })),
    );
    return { headOutputs, responses };
  }

  /** Decodes one token of every running response, and frees the slots of those that are complete. */
  async #step(): Promise<void> {
    const rows = this.#running.map((sequence) => sequence.requestStep());
    const draws = await this.#tools.decoder.step(rows);
    // From the last slot, since `#leave` fills a gap with the last response, which has had its draw by then.
    for (let slot = rows.length - 1; slot >= 0; slot--) {
      const isComplete = this.#extend(this.#running[slot]!, draws[slot]!);
      if (isComplete) this.#leave(slot);
    }
  }

  /** Appends a draw to a response, and hands the response to its job once it is complete; true then. */
  #extend(sequence: Sequence, draw: Draw): boolean {
    this.#tokenCount++;
    const finishReason = sequence.append(draw, this.#version);
    if (finishReason === null) return false;
    this.#responseCount++;
    sequence.job.onResponse(sequence.sampleIndex, sequence.response(finishReason));
    return true;
  }

  /** Frees a slot, and moves the last response there. */
  #leave(slot: number): void {
    const last = this.#running.pop()!;
    this.#tools.decoder.leave(slot, this.#running.length);
    if (slot < this.#running.length) this.#running[slot] = last;
  }

  #report(): void {
    this.#control.onProgress?.({ tokens: this.#tokenCount, responses: this.#responseCount });
  }
}

function isAborted({ signal }: Job): boolean {
  return signal?.aborted === true;
}
