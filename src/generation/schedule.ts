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
  /** Waits for a job while nothing runs; false once there will be none. The signal of a run does not end this wait. */
  arrival(): Promise<boolean>;
  /**
   * Largest number of decoding steps between two turns of the event loop. Turns come sooner where steps take long. A turn
   * lets messages in, a cancellation among them.
   */
  readonly stepsPerTurn: number;
}

/** A response whose context is prefilled: its prompt, and its tokens so far if it was interrupted. */
interface PrefilledResponse extends Entering {
  readonly sequence: Sequence;
}

/** Result of a prefill pass. */
interface Pass {
  /** Distributions that the next token of each response is drawn from. */
  readonly headOutputs: HeadOutputs;
  /** Responses that wait for a slot. */
  readonly responses: readonly PrefilledResponse[];
}

/**
 * The schedule of jobs by continuous batching (Orca, Yu et al., OSDI 2022).
 *
 * A job is a prompt and the number of responses to it. Its prompt is prefilled once for all of them, and each is a
 * `Sequence` until it is complete. Every iteration admits responses to free slots of the decoder, decodes one token of each
 * running response, and finishes those that are complete.
 *
 *     state         kept in         event                                               next state
 *     waiting       the intake      its prompt is prefilled                             prefilled
 *     prefilled     #pass           a slot is free, and its next token is drawn         running, or complete
 *     running       #running        its last token is drawn                             complete
 *     prefilled     #pass           switchWeights                                       interrupted
 *     running       #running        switchWeights with `recompute`                      interrupted
 *     interrupted   #interrupted    its prompt and its tokens so far are prefilled      prefilled
 *
 * Rules:
 * - A prefill pass overwrites the memory of the one before. So a pass runs only while no response is prefilled, and all
 *   prefilled responses are of the same pass.
 * - Where a job is aborted, its prefilled, running and interrupted responses are dropped at the next iteration, and
 *   waiting ones when they are taken for a pass. The job's callbacks are not called again.
 * - Between iterations and passes, the event loop has a turn from time to time (`#takeTurn`). A cancelled run throws only
 *   there, where each response is in exactly one state. So its caller may switch the weights then, and call `run` again.
 * - After any other error the schedule is not used again. Its caller answers the jobs that were taken.
 */
export class Schedule {
  readonly #intake: Intake;
  readonly #control: GenerateControl;
  #tools: ScheduleTools;
  /** Version of the weights, which marks each token; null without `switchWeights`, when tokens are not marked. */
  #version: number | null = null;
  /** Running responses by slot. Slots are filled from the first, without gaps, as in the decoder. */
  readonly #running: Sequence[] = [];
  /** The last pass while it has prefilled responses; else null. */
  #pass: Pass | null = null;
  /** Responses whose keys and values are computed again, from their prompts and the tokens so far. */
  #interrupted: Sequence[] = [];
  #responseCount = 0;
  #tokenCount = 0;
  /** Time of the last turn of the event loop, in ms. */
  #lastTurnAt = 0;
  /** Decoding steps since the last turn of the event loop. */
  #stepsSinceTurn = 0;

  constructor(intake: Intake, control: GenerateControl, tools: ScheduleTools) {
    this.#intake = intake;
    this.#control = control;
    this.#tools = tools;
  }

  /**
   * Runs until the intake has no more jobs and every job has its responses.
   *
   * @throws RUNTIME_CANCELLED at the next turn of the event loop after the signal has aborted; not while it waits for the
   *   intake
   */
  async run(signal = this.#control.signal): Promise<void> {
    this.#lastTurnAt = performance.now();
    // The first step is followed by a turn, so that a short run hears of its cancellation too.
    this.#stepsSinceTurn = this.#intake.stepsPerTurn - 1;
    for (;;) {
      this.#dropAborted();
      await this.#admit(signal);
      if (this.#running.length === 0) {
        if (await this.#intake.arrival()) continue;
        break;
      }
      await this.#step();
      if (this.#isTurnDue()) await this.#takeTurn(signal);
    }
    this.#report();
  }

  #isTurnDue(): boolean {
    const isLong = performance.now() - this.#lastTurnAt >= MS_PER_TURN;
    return isLong || this.#stepsSinceTurn >= this.#intake.stepsPerTurn;
  }

  /** Lets messages in. @throws RUNTIME_CANCELLED when the signal has aborted */
  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    this.#report();
    await nextTurn();
    if (signal?.aborted === true) {
      throw new CxmindError('RUNTIME_CANCELLED', 'generation was cancelled');
    }
    this.#lastTurnAt = performance.now();
    this.#stepsSinceTurn = 0;
  }

  /**
   * Lets the next run go on with other weights, or with another decoder.
   *
   * It is called between two runs, and before the first one, so that every token is marked by its version. Prefilled
   * responses are prefilled again, since others may have used the memory of the pass between two runs.
   *
   * @param version version of the weights
   * @param cache `keep` if the decoder still has the keys and values of what runs, perhaps of older weights; `recompute`
   *   if it is empty, and they are to be computed again
   */
  switchWeights(tools: ScheduleTools, version: number, cache: 'keep' | 'recompute'): void {
    this.#tools = tools;
    this.#version = version;
    const running = cache === 'keep' ? [] : this.#running.splice(0);
    const prefilled = this.#pass?.responses.map(({ sequence }) => sequence) ?? [];
    this.#pass = null;
    this.#interrupted = [...running, ...prefilled, ...this.#interrupted];
  }

  /** Frees what responses of aborted jobs hold. */
  #dropAborted(): void {
    this.#interrupted = this.#interrupted.filter(({ job }) => !isAborted(job));
    const prefilled = this.#pass?.responses ?? [];
    if (prefilled.some(({ sequence }) => isAborted(sequence.job))) {
      this.#setRemaining(prefilled.filter(({ sequence }) => !isAborted(sequence.job)));
    }
    // From the last slot, as `#leave` asks for.
    for (let slot = this.#running.length - 1; slot >= 0; slot--) {
      if (isAborted(this.#running[slot]!.job)) this.#leave(slot);
    }
  }

  /** Sets the responses of the pass that still wait for a slot. */
  #setRemaining(responses: readonly PrefilledResponse[]): void {
    this.#pass = responses.length === 0 ? null : { ...this.#pass!, responses };
  }

  /** Fills the free slots with prefilled responses, and draws their next tokens. */
  async #admit(signal: AbortSignal | undefined): Promise<void> {
    const { decoder, sampler } = this.#tools;
    while (this.#running.length < decoder.slots) {
      const pass = await this.#nextPass(signal);
      if (pass === null) return;
      const { headOutputs, responses } = pass;
      const room = decoder.roomFor(responses, this.#running.length);
      // `roomFor` promises room for one where none runs. So some run here, and make room as they end.
      if (room === 0) return;
      // These are in no state until they have entered. No `#takeTurn` comes before that, so no run is cancelled here.
      const entering = responses.slice(0, room);
      this.#setRemaining(responses.slice(room));
      const requests = entering.map(({ prompt, sequence }) => ({
        row: prompt.index,
        ...sequence.takeDraw(),
      }));
      const draws = await sampler.draw(headOutputs, requests);
      for (const [i, response] of entering.entries()) {
        const isComplete = this.#extend(response.sequence, draws[i]!);
        if (isComplete) continue;
        decoder.enter(this.#running.length, response);
        this.#running.push(response.sequence);
      }
    }
  }

  /** The last pass, or a new one if none of its responses wait; null if none is left to prefill. */
  async #nextPass(signal: AbortSignal | undefined): Promise<Pass | null> {
    while (this.#pass === null) {
      const freeSlots = this.#tools.decoder.slots - this.#running.length;
      if (this.#interrupted.length > 0) {
        this.#pass = await this.#runPass(this.#takeInterrupted(freeSlots));
      } else if (this.#intake.waiting.length > 0) {
        this.#pass = await this.#runPass(this.#takeWaiting(freeSlots));
      } else {
        return null;
      }
      if (this.#isTurnDue()) await this.#takeTurn(signal);
    }
    return this.#pass;
  }

  /** Takes interrupted responses for a pass. Each is a group of its own, since no other has its tokens. */
  #takeInterrupted(freeSlots: number): Sequence[][] {
    const count = this.#countInPass(this.#interrupted, freeSlots, ({ length }) => ({
      tokens: length,
      responses: 1,
    }));
    return this.#interrupted.splice(0, count).map((sequence) => [sequence]);
  }

  /** Takes waiting jobs for a pass: a group of responses for each. Drops jobs that are aborted or ask for no response. */
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
   * The first item is taken whatever its size. Three jobs of 4 responses fill 10 slots: two responses of the third stay
   * prefilled until a slot is free.
   */
  #countInPass<T>(
    items: readonly T[],
    freeSlots: number,
    sizeOf: (item: T) => { readonly tokens: number; readonly responses: number },
  ): number {
    let count = 0;
    let tokens = 0;
    let responses = 0;
    while (count < items.length && responses < freeSlots) {
      const size = sizeOf(items[count]!);
      tokens += size.tokens;
      if (count > 0 && tokens > this.#tools.passTokens) break;
      responses += size.responses;
      count++;
    }
    return count;
  }

  /**
   * Prefills groups of responses in one pass. The responses of a group have the same context.
   *
   * @returns null if there are no groups
   */
  async #runPass(groups: readonly (readonly Sequence[])[]): Promise<Pass | null> {
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
    this.#stepsSinceTurn++;
    const rows = this.#running.map((sequence) => sequence.takeStep());
    const draws = await this.#tools.decoder.step(rows);
    // From the last slot, as `#leave` asks for.
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

  /**
   * Frees a slot, and moves the response of the last slot there.
   *
   * A loop that frees slots runs from the last to the first, so that it is done with the response that moves.
   */
  #leave(slot: number): void {
    const last = this.#running.pop()!;
    const lastSlot = this.#running.length;
    this.#tools.decoder.leave(slot, lastSlot);
    if (slot < lastSlot) this.#running[slot] = last;
  }

  #report(): void {
    this.#control.onProgress?.({ tokens: this.#tokenCount, responses: this.#responseCount });
  }
}

function isAborted({ signal }: Job): boolean {
  return signal?.aborted === true;
}
