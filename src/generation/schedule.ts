import { setImmediate as nextTurn } from 'node:timers/promises';
import type { View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import type { FinishReason } from '../finish-reason.ts';
import { packPrompts, type PromptInput } from '../model/pack.ts';
import { Rng } from '../rng.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { GenerateControl, Job } from './request.ts';
import type { Prefill } from './prefill.ts';
import type { ControlledSampler } from './controlled-sampler.ts';
import { LogitHistory } from './logit-control.ts';
import type { Draw, DrawRequest } from './sampler.ts';
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
  /** Waits for a job while none runs; false once there will be none. */
  arrival(): Promise<boolean>;
}

/** A response, by its place among the responses of its job. */
interface ResponseIndex {
  readonly job: Job;
  /** Index of its key in the request. */
  readonly sample: number;
}

/** A response whose prompt is prefilled, and that waits for a slot. */
interface QueuedResponse extends ResponseIndex, Entering {
  /** The tokens so far of a response that was interrupted; null for one that is yet to begin. */
  readonly partial: Sequence | null;
}

/** A response that has begun. */
interface Sequence extends ResponseIndex {
  /** Random stream of the response's key. */
  readonly rng: Rng;
  readonly tokens: number[];
  readonly logProbs: number[];
  /** Controls of the request and what they look at; null without any. */
  readonly history: LogitHistory | null;
  /** Version of the weights by each token; empty where the call has one version. */
  readonly versions: number[];
  /** Rotary position of the first response token. */
  readonly firstPosition: number;
  readonly promptTokens: number;
}

/**
 * The schedule of jobs by continuous batching (Orca, Yu et al., OSDI 2022).
 *
 * Every iteration admits responses to free slots, decodes one token of each running response, and finishes those that are
 * complete. A prompt is prefilled once for all its responses. The life of a response:
 *
 *     waiting ──prefill──▶ queued ──free slot──▶ running ──▶ complete
 *                             ▲                     │
 *                          prefill     renew, without its keys and values
 *                             └──── interrupted ◀───┘
 *
 * Rules:
 * - Responses of an aborted job leave at the next iteration, wherever they are, and nobody hears of them any more.
 * - A schedule that was cancelled may run on, with the same weights or, after `renew`, with others.
 * - One that is ever renewed is renewed before its first run too, so that all its tokens know their version.
 * - After any other failure a schedule is of no use. Whoever drives it answers the jobs that it had taken.
 */
export class Schedule {
  readonly #intake: Intake;
  readonly #control: GenerateControl;
  #tools: ScheduleTools;
  /** Version of the weights that decode; null in a schedule that is never renewed. */
  #version: number | null = null;
  /** Running responses by slot. Slots are filled from the first, without gaps, as in the decoder. */
  readonly #running: Sequence[] = [];
  /** Queued responses. All are of the last prefill pass, since the next one takes its memory. */
  #queue: QueuedResponse[] = [];
  /** Responses whose keys and values are computed again, from their prompts and the tokens so far. */
  #interrupted: Sequence[] = [];
  #responses = 0;
  #tokens = 0;
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
   * Queued responses are prefilled again, since the memory of a prefill pass is the device's between two calls.
   *
   * @param version version of the weights
   * @param hasCache true if the decoder still has the keys and values of what runs, perhaps of older weights; otherwise
   *   they are computed again
   */
  renew(tools: ScheduleTools, version: number, hasCache: boolean): void {
    this.#tools = tools;
    this.#version = version;
    const running = hasCache ? [] : this.#running.splice(0);
    const queued = this.#queue.splice(0).map((one) => one.partial ?? beginningOf(one));
    this.#interrupted = [...running, ...queued, ...this.#interrupted];
  }

  /** Frees what responses of aborted jobs hold. */
  #dropAborted(): void {
    const isAborted = ({ job }: ResponseIndex): boolean => job.signal?.aborted === true;
    if (this.#interrupted.some(isAborted))
      this.#interrupted = this.#interrupted.filter((one) => !isAborted(one));
    if (this.#queue.some(isAborted)) this.#queue = this.#queue.filter((one) => !isAborted(one));
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
      const sequences = entering.map((queued) => queued.partial ?? beginningOf(queued));
      // All of them are of one prefill pass, so any of them leads to its first tokens.
      const draws = await sampler.draw(
        entering[0]!.prompt.batch.firstTokens,
        entering.map(({ prompt }, i) => ({ row: prompt.index, ...takeDraw(sequences[i]!) })),
      );
      for (const [i, sequence] of sequences.entries()) {
        const isComplete = this.#append(sequence, draws[i]!);
        if (isComplete) continue;
        decoder.enter(this.#running.length, entering[i]!);
        this.#running.push(sequence);
      }
    }
  }

  /** Prefills until the queue has a response; false if none is left to queue. */
  async #fillQueue(signal: AbortSignal | undefined): Promise<boolean> {
    while (this.#queue.length === 0) {
      const freeSlots = this.#tools.decoder.slots - this.#running.length;
      if (this.#interrupted.length > 0) await this.#prefillInterrupted(freeSlots);
      else if (this.#intake.waiting.length > 0) await this.#prefill(freeSlots);
      else return false;
      if (this.#isTurnDue()) await this.#takeTurn(signal);
    }
    return true;
  }

  /** Prefills the next prompts: enough to fill the free slots, within the token budget of a pass. */
  async #prefill(freeSlots: number): Promise<void> {
    const { prefill, logitBias, passTokens } = this.#tools;
    const { waiting } = this.#intake;
    let count = 0;
    let samples = 0;
    let tokens = 0;
    for (; count < waiting.length && samples < freeSlots; count++) {
      const { prompt, keys } = waiting[count]!.request;
      tokens += prompt.tokenIds.data.length;
      if (count > 0 && tokens > passTokens) break;
      samples += keys.length;
    }
    const chosen = waiting.splice(0, count).filter(({ signal }) => signal?.aborted !== true);
    if (chosen.length === 0) return;
    const requests = chosen.map(({ request }) => request);
    const { prompts } = await prefill.run(
      packPrompts(requests.map(({ prompt }) => prompt)),
      requests.map(({ sampling }) => sampling),
      logitBias,
    );
    this.#queue = chosen.flatMap((job, i) => {
      const { keys, maxTokens } = job.request;
      const entering = { prompt: prompts[i]!, maxTokens, partial: null };
      return keys.map((_, sample) => ({ job, sample, ...entering }));
    });
  }

  /** Prefills interrupted responses, each with its prompt and its tokens so far. */
  async #prefillInterrupted(freeSlots: number): Promise<void> {
    const { prefill, logitBias, passTokens } = this.#tools;
    let count = 0;
    for (let tokens = 0; count < Math.min(freeSlots, this.#interrupted.length); count++) {
      const { promptTokens, tokens: more } = this.#interrupted[count]!;
      tokens += promptTokens + more.length;
      if (count > 0 && tokens > passTokens) break;
    }
    const chosen = this.#interrupted.splice(0, count);
    const { prompts } = await prefill.run(
      packPrompts(chosen.map(({ job, tokens }) => withTokens(job.request.prompt, tokens))),
      chosen.map(({ job }) => job.request.sampling),
      logitBias,
    );
    this.#queue = chosen.map((partial, i) => ({
      job: partial.job,
      sample: partial.sample,
      prompt: prompts[i]!,
      partial,
      maxTokens: partial.job.request.maxTokens - partial.tokens.length,
    }));
  }

  /** Decodes one token of every running response, and frees the slots of those that are complete. */
  async #step(): Promise<void> {
    const running = [...this.#running];
    const draws = await this.#tools.decoder.step(
      running.map((sequence) => {
        const { tokens, firstPosition, promptTokens } = sequence;
        // The last token is not in the cache yet.
        const cached = tokens.length - 1;
        return {
          token: tokens.at(-1)!,
          position: firstPosition + cached,
          cached: promptTokens + cached,
          ...takeDraw(sequence),
        };
      }),
    );
    // From the last slot, so that a response that moves to a freed slot has had its draw.
    for (let slot = running.length - 1; slot >= 0; slot--) {
      const isComplete = this.#append(running[slot]!, draws[slot]!);
      if (isComplete) this.#leave(slot);
    }
  }

  /** Appends a draw to a response, and hands the response to its job once it is complete; true then. */
  #append(sequence: Sequence, draw: Draw): boolean {
    const { job, sample, tokens, logProbs, versions, history } = sequence;
    tokens.push(draw.token);
    logProbs.push(draw.logProb);
    history?.add(draw.token);
    if (this.#version !== null) versions.push(this.#version);
    this.#tokens++;
    const isEnded = job.onToken?.(sample, draw) === true;
    const finishReason = finishReasonOf(sequence, isEnded);
    if (finishReason === null) return false;
    this.#finish(sequence, finishReason);
    return true;
  }

  /** Hands a complete response to its job. */
  #finish({ job, sample, tokens, logProbs, versions }: Sequence, finishReason: FinishReason): void {
    this.#responses++;
    job.onResponse(sample, {
      tokenIds: tensorOf('i32', [tokens.length], tokens),
      logProbs: tensorOf('f32', [logProbs.length], logProbs),
      ...(this.#version !== null && {
        policyVersions: tensorOf('i32', [versions.length], versions),
      }),
      finishReason,
    });
  }

  /** Frees a slot, and moves the last response there. */
  #leave(slot: number): void {
    const last = this.#running.pop()!;
    this.#tools.decoder.leave(slot, this.#running.length);
    if (slot < this.#running.length) this.#running[slot] = last;
  }

  #report(): void {
    this.#control.onProgress?.({ tokens: this.#tokens, responses: this.#responses });
  }
}

/** A response before its first token. */
function beginningOf({ job, sample, prompt: { tokens: promptTokens } }: QueuedResponse): Sequence {
  const { prompt, keys, controls } = job.request;
  return {
    job,
    sample,
    rng: new Rng(keys[sample]!),
    tokens: [],
    logProbs: [],
    history: controls === undefined ? null : new LogitHistory(controls, prompt.tokenIds.data),
    versions: [],
    // Behind a prompt the positions of all axes go on together, so the first axis tells.
    firstPosition: prompt.positions.data[promptTokens - 1]! + 1,
    promptTokens,
  };
}

/** Draws a response's next random number, and says how its next token is sampled. */
function takeDraw({ job, rng, history }: Sequence): Omit<DrawRequest, 'row'> {
  const { sampling } = job.request;
  const uniform = sampling.temperature === 0 ? 0 : rng.nextUniform();
  return { sampling, uniform, edit: history?.next() ?? null };
}

/**
 * Reason why a response ends with its last token; null where it goes on.
 *
 * @param isEnded true if the job wants no more of it
 */
function finishReasonOf({ job, tokens, history }: Sequence, isEnded: boolean): FinishReason | null {
  const { stopTokens, maxTokens } = job.request;
  // Bad words forbid all that the grammar allows next, so nothing may follow.
  if (history?.isDeadEnd === true) return 'content_filter';
  if (isEnded || stopTokens.includes(tokens.at(-1)!)) return 'stop';
  return tokens.length < maxTokens ? null : 'length';
}

/** A prompt with tokens of a response behind it, at the positions that follow. */
function withTokens(prompt: PromptInput, tokens: readonly number[]): PromptInput {
  const { tokenIds, positions } = prompt;
  const length = tokenIds.data.length;
  const axes = positions.shape[0]!;
  const next = positions.data[length - 1]! + 1;
  const rows = Array.from({ length: axes }, (_, axis) => [
    ...positions.data.subarray(axis * length, (axis + 1) * length),
    ...tokens.map((_, i) => next + i),
  ]);
  const whole = length + tokens.length;
  return {
    ...prompt,
    tokenIds: tensorOf('i32', [whole], [...tokenIds.data, ...tokens]),
    positions: tensorOf('i32', [axes, whole], rows.flat()),
  };
}
