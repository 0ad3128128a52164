import type { View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { packPrompts } from '../model/pack.ts';
import { Rng } from '../rng.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { GenerateControl, GenerationRequest, Response } from './request.ts';
import type { Prefill } from './prefill.ts';
import type { Draw, DrawRequest, Sampler } from './sampler.ts';
import type { Entering, StepDecoder } from './step-decoder.ts';

/** Parts of an engine that a schedule drives. */
export interface ScheduleTools {
  /** Most prompt tokens of a prefill pass. */
  readonly passTokens: number;
  readonly prefill: Prefill;
  readonly sampler: Sampler;
  readonly decoder: StepDecoder;
  readonly logitBias: View; // f32 [V]
}

/** A response, by its place in the results. */
interface ResponseIndex {
  /** Index of its request in the call. */
  readonly request: number;
  /** Index of its key in the request. */
  readonly sample: number;
}

/** A response whose prompt is prefilled, and that waits for a slot. */
interface QueuedResponse extends ResponseIndex, Entering {}

/** A response that is being decoded. */
interface Sequence extends ResponseIndex {
  /** Random stream of the response's key. */
  readonly rng: Rng;
  readonly tokens: number[];
  readonly logProbs: number[];
  /** Rotary position of the first response token. */
  readonly firstPosition: number;
  readonly promptTokens: number;
}

/** Decoding steps between two turns of the event loop. A turn lets messages in, a cancellation among them. */
const STEPS_PER_TURN = 16;

/**
 * The schedule of one call by continuous batching (Orca, Yu et al., OSDI 2022).
 *
 * Every iteration admits waiting responses to free slots, decodes one token of each running response, and finishes
 * those that are complete. A prompt is prefilled once for all its responses.
 */
export class Schedule {
  readonly #requests: readonly GenerationRequest[];
  readonly #control: GenerateControl;
  readonly #tools: ScheduleTools;
  readonly #results: Response[][];
  /** Running responses by slot. */
  readonly #running: Sequence[] = [];
  /** Responses to the prompts of the last prefill alone, since the next one takes its memory. */
  #queue: QueuedResponse[] = [];
  #nextRequest = 0;
  #responses = 0;
  #tokens = 0;

  constructor(
    requests: readonly GenerationRequest[],
    control: GenerateControl,
    tools: ScheduleTools,
  ) {
    this.#requests = requests;
    this.#control = control;
    this.#tools = tools;
    this.#results = requests.map(({ keys }) => new Array<Response>(keys.length));
  }

  /**
   * Runs until every request has its responses.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  async run(): Promise<Response[][]> {
    for (let step = 0; ; step++) {
      await this.#admit();
      if (this.#running.length === 0) break;
      await this.#step();
      if (step % STEPS_PER_TURN !== 0) continue;
      this.#report();
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#control.signal?.aborted === true) {
        throw new CxmindError('RUNTIME_CANCELLED', 'generation was cancelled');
      }
    }
    this.#report();
    return this.#results;
  }

  /** Fills the free slots with queued responses, and draws their first tokens. */
  async #admit(): Promise<void> {
    const { decoder, sampler } = this.#tools;
    while (this.#running.length < decoder.slots) {
      while (this.#queue.length === 0) {
        if (this.#nextRequest === this.#requests.length) return;
        await this.#prefill(decoder.slots - this.#running.length);
      }
      const room = decoder.roomFor(this.#queue, this.#running.length);
      // Some responses are running then, since otherwise there is room for one at least.
      if (room === 0) return;
      const entering = this.#queue.splice(0, room);
      const sequences = entering.map((queued) => this.#begin(queued));
      const draws = await sampler.draw(
        entering[0]!.prompt.batch.firstTokens,
        entering.map(({ prompt }, i) => ({ row: prompt.index, ...this.#drawOf(sequences[i]!) })),
      );
      for (const [i, sequence] of sequences.entries()) {
        if (this.#extend(sequence, draws[i]!)) continue;
        decoder.enter(this.#running.length, entering[i]!);
        this.#running.push(sequence);
      }
    }
  }

  /** Prefills the next prompts: enough to fill the free slots, within the token budget of a pass. */
  async #prefill(freeSlots: number): Promise<void> {
    const { prefill, logitBias, passTokens } = this.#tools;
    const first = this.#nextRequest;
    let end = first;
    let samples = 0;
    let tokens = 0;
    for (; end < this.#requests.length && samples < freeSlots; end++) {
      const { prompt, keys } = this.#requests[end]!;
      tokens += prompt.tokenIds.data.length;
      if (end > first && tokens > passTokens) break;
      samples += keys.length;
    }
    const chosen = this.#requests.slice(first, end);
    const { prompts } = await prefill.run(
      packPrompts(chosen.map(({ prompt }) => prompt)),
      chosen.map(({ sampling }) => sampling),
      logitBias,
    );
    this.#queue = chosen.flatMap(({ keys, maxTokens }, i) =>
      keys.map((_, sample) => ({ request: first + i, sample, prompt: prompts[i]!, maxTokens })),
    );
    this.#nextRequest = end;
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
          ...this.#drawOf(sequence),
        };
      }),
    );
    // From the last slot, so that a response that moves to a freed slot has had its draw.
    for (let slot = running.length - 1; slot >= 0; slot--) {
      if (this.#extend(running[slot]!, draws[slot]!)) this.#finish(slot);
    }
  }

  #begin({ request, sample, prompt: { tokens: promptTokens } }: QueuedResponse): Sequence {
    const { prompt, keys } = this.#requests[request]!;
    return {
      request,
      sample,
      rng: new Rng(keys[sample]!),
      tokens: [],
      logProbs: [],
      firstPosition: prompt.positions.data[promptTokens - 1]! + 1,
      promptTokens,
    };
  }

  /** Sampling of a response's next token. */
  #drawOf({ request, rng }: Sequence): Omit<DrawRequest, 'row'> {
    const { sampling } = this.#requests[request]!;
    return { sampling, uniform: sampling.temperature === 0 ? 0 : rng.nextUniform() };
  }

  /** Appends a draw to a response; true when that completes it. */
  #extend(sequence: Sequence, { token, logProb }: Draw): boolean {
    const { stopTokens, maxTokens } = this.#requests[sequence.request]!;
    const { tokens, logProbs } = sequence;
    tokens.push(token);
    logProbs.push(logProb);
    this.#tokens++;
    const isStopped = stopTokens.includes(token);
    if (!isStopped && tokens.length < maxTokens) return false;
    this.#results[sequence.request]![sequence.sample] = {
      tokenIds: tensorOf('i32', [tokens.length], tokens),
      logProbs: tensorOf('f32', [logProbs.length], logProbs),
      finishReason: isStopped ? 'stop' : 'length',
    };
    this.#responses++;
    return true;
  }

  /** Frees a slot, and moves the last response there. */
  #finish(slot: number): void {
    const last = this.#running.pop()!;
    this.#tools.decoder.leave(slot, this.#running.length);
    if (slot < this.#running.length) this.#running[slot] = last;
  }

  #report(): void {
    this.#control.onProgress?.({ tokens: this.#tokens, responses: this.#responses });
  }
}
