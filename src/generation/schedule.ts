import { setImmediate as nextTurn } from 'node:timers/promises';
import type { View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { packPrompts } from '../model/pack.ts';
import type { GenerateControl, GenerationRequest, Job } from './request.ts';
import type { Prefill, PrefilledPrompt } from './prefill.ts';
import type { ControlledSampler } from './controlled-sampler.ts';
import type { Draw } from './sampler.ts';
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
  readonly logitBias: View; // f32 [V]
}

/** Source of a schedule's jobs. */
export interface Intake {
  /** Jobs that nothing was done for yet. The schedule takes them from the front. */
  readonly waiting: Job[];
  /**
   * Largest number of decoding steps between two turns of the event loop. Turns come sooner where steps take long. A turn
   * lets messages in, a cancellation among them.
   */
  readonly stepsPerTurn: number;
  /** Waits for a job while none runs; false once there will be none. It does not wait where a run has a signal. */
  arrival(): Promise<boolean>;
}

/** A response whose prompt is prefilled, with its tokens so far if it was interrupted, and that waits for a slot. */
interface QueuedResponse extends Entering {
  readonly sequence: Sequence;
}

/**
 * The schedule of jobs by continuous batching (Orca, Yu et al., OSDI 2022).
 *
 * Every iteration admits responses to free slots, decodes one token of each running response, and finishes those that are
 * complete. A prompt is prefilled once for all its responses. The life of a response:
 *
 *     waiting ──prefill──▶ queued ──free slot──▶ running ──▶ complete
 *                            ▲ │                    │
 *                      prefill renew   renew, if it is to recompute its cache
 *                            │ ▼                    │
 *                         interrupted ◀─────────────┘
 *
 * Rules:
 * - A prefill pass takes the memory of the one before. So the queue is empty before a pass, and all that it holds is of one.
 * - Responses of an aborted job leave at the next iteration, wherever they are, and nobody hears of them any more.
 * - A run that is cancelled ends between two iterations or passes (`#takeTurn`), where each response is in one list. Then the
 *   schedule may be renewed, with the same weights or others, and runs on.
 * - After any other failure a schedule is of no use. Whoever drives it answers the jobs that it had taken.
 */
export class Schedule {
  readonly #intake: Intake;
  readonly #control: GenerateControl;
  #tools: ScheduleTools;
  /** Version of the weights that decode; null where it is not asked for. */
  #version: number | null;
  /** Running responses by slot. Slots are filled from the first, without gaps, as in the decoder. */
  readonly #running: Sequence[] = [];
  /** Queued responses, all of the last prefill pass. */
  #queue: QueuedResponse[] = [];
  /** Responses whose keys and values are computed again, from their prompts and the tokens so far. */
  #interrupted: Sequence[] = [];
  #responseCount = 0;
  #tokenCount = 0;
  /** The time of the last turn of the event loop, in ms. */
  #lastTurnAt = 0;

  /** @param version version of the weights, by which each token is marked; left out where all have one */
  constructor(
    intake: Intake,
    control: GenerateControl,
    tools: ScheduleTools,
    version: number | null = null,
  ) {
    this.#intake = intake;
    this.#control = control;
    this.#tools = tools;
    this.#version = version;
  }

  /**
   * Runs until the intake has no more jobs and every job has its responses.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  async run(signal = this.#control.signal): Promise<void> {
    this.#lastTurnAt = performance.now();
    for (let step = 0; ; step++) {
      this.#dropAborted();
      await this.#admit(signal);
      if (this.#running.length === 0) {
        if (await this.#intake.arrival()) continue;
        break;
      }
      await this.#step();
      if (step % this.#intake.stepsPerTurn === 0 || this.#isTurnDue()) await this.#takeTurn(signal);
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
   * To be called while nothing runs. Queued responses are prefilled again: between two runs others may have used the
   * memory of the prefill pass.
   *
   * @param version version of the weights
   * @param cache `keep` if the decoder still has the keys and values of what runs, perhaps of older weights; `recompute` to
   *   compute them again
   */
  renew(tools: ScheduleTools, version: number, cache: 'keep' | 'recompute'): void {
    this.#tools = tools;
    this.#version = version;
    const running = cache === 'keep' ? [] : this.#running.splice(0);
    const queued = this.#queue.splice(0).map(({ sequence }) => sequence);
    this.#interrupted = [...running, ...queued, ...this.#interrupted];
  }

  /** Frees what responses of aborted jobs hold. */
  #dropAborted(): void {
    const isAborted = ({ job }: { readonly job: Job }): boolean => job.signal?.aborted === true;
    this.#interrupted = this.#interrupted.filter((one) => !isAborted(one));
    this.#queue = this.#queue.filter(({ sequence }) => !isAborted(sequence));
    for (let slot = this.#running.length - 1; slot >= 0; slot--) {
      if (isAborted(this.#running[slot]!)) this.#leave(slot);
    }
  }

  /** Fills the free slots with queued responses, and draws their first tokens. */
  async #admit(signal: AbortSignal | undefined): Promise<void> {
    const { decoder, sampler } = this.#tools;
    while (this.#running.length < decoder.slots) {
      if (!(await this.#fillQueue(signal))) return;
      const room = decoder.roomFor(this.#queue, this.#running.length);
      // Some responses are running then, since otherwise there is room for one at least.
      if (room === 0) return;
      const entering = this.#queue.splice(0, room);
      // All of them are of one prefill pass, so any of them leads to its first tokens.
      const draws = await sampler.draw(
        entering[0]!.prompt.batch.firstTokens,
        entering.map(({ prompt, sequence }) => ({ row: prompt.index, ...sequence.takeDraw() })),
      );
      for (const [i, queued] of entering.entries()) {
        const isComplete = this.#append(queued.sequence, draws[i]!);
        if (isComplete) continue;
        decoder.enter(this.#running.length, queued);
        this.#running.push(queued.sequence);
      }
    }
  }

  /** Prefills until the queue has a response; false if none is left to queue. */
  async #fillQueue(signal: AbortSignal | undefined): Promise<boolean> {
    while (this.#queue.length === 0) {
      const freeSlots = this.#tools.decoder.slots - this.#running.length;
      if (this.#interrupted.length > 0) await this.#queueInterrupted(freeSlots);
      else if (this.#intake.waiting.length > 0) await this.#queueWaiting(freeSlots);
      else return false;
      if (this.#isTurnDue()) await this.#takeTurn(signal);
    }
    return true;
  }

  /** Prefills the next prompts, each for all its responses. */
  async #queueWaiting(freeSlots: number): Promise<void> {
    const { waiting } = this.#intake;
    const count = this.#countInPass(waiting, freeSlots, ({ request: { prompt, seeds } }) => ({
      tokens: prompt.tokenIds.data.length,
      responses: seeds.length,
    }));
    const jobs = waiting.splice(0, count).filter(({ signal }) => signal?.aborted !== true);
    if (jobs.length === 0) return;
    const prompts = await this.#runPrefill(jobs.map(({ request }) => request));
    this.#queue = jobs.flatMap((job, i) => {
      const entering = { prompt: prompts[i]!, maxTokens: job.request.maxTokens };
      return job.request.seeds.map((_, sample) => ({
        sequence: new Sequence(job, sample),
        ...entering,
      }));
    });
  }

  /** Prefills interrupted responses, each with its prompt and its tokens so far. */
  async #queueInterrupted(freeSlots: number): Promise<void> {
    const count = this.#countInPass(this.#interrupted, freeSlots, ({ length }) => ({
      tokens: length,
      responses: 1,
    }));
    const chosen = this.#interrupted.splice(0, count);
    const prompts = await this.#runPrefill(
      chosen.map(({ context, job }) => ({ prompt: context, sampling: job.request.sampling })),
    );
    this.#queue = chosen.map((sequence, i) => ({
      sequence,
      prompt: prompts[i]!,
      maxTokens: sequence.remainingTokens,
    }));
  }

  /**
   * Number of leading items for one pass: until they fill the free slots, the last perhaps more than that, or spend the
   * budget of tokens; one at least.
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

  async #runPrefill(
    requests: readonly Pick<GenerationRequest, 'prompt' | 'sampling'>[],
  ): Promise<readonly PrefilledPrompt[]> {
    const { prefill, logitBias } = this.#tools;
    const { prompts } = await prefill.run(
      packPrompts(requests.map(({ prompt }) => prompt)),
      requests.map(({ sampling }) => sampling),
      logitBias,
    );
    return prompts;
  }

  /** Decodes one token of every running response, and frees the slots of those that are complete. */
  async #step(): Promise<void> {
    const rows = this.#running.map((sequence) => sequence.takeStep());
    const draws = await this.#tools.decoder.step(rows);
    // From the last slot, since `#leave` fills a gap with the last response, which has had its draw by then.
    for (let slot = rows.length - 1; slot >= 0; slot--) {
      const isComplete = this.#append(this.#running[slot]!, draws[slot]!);
      if (isComplete) this.#leave(slot);
    }
  }

  /** Appends a draw to a response, and hands the response to its job once it is complete; true then. */
  #append(sequence: Sequence, draw: Draw): boolean {
    this.#tokenCount++;
    const finishReason = sequence.append(draw, this.#version);
    if (finishReason === null) return false;
    this.#responseCount++;
    sequence.job.onResponse(sequence.sample, sequence.response(finishReason));
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
