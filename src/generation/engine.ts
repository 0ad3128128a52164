import { CxmindError } from '../errors.ts';
import type { Adapter } from '../model/adapter.ts';
import type { Arena } from '../model/arena.ts';
import type { PackedBatch } from '../model/batch.ts';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { scoreScaleOf } from '../model/qwen2-5-vl/decode.ts';
import { weightViews, withAdapterViews, type WeightViews } from '../model/qwen2-5-vl/weights.ts';
import type { Runtime } from '../ort/runtime.ts';
import { Rng } from '../rng.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { Decoder } from './decoder.ts';
import { KvCache } from './kv-cache.ts';
import { packPrompts, type PromptInput } from '../model/pack.ts';
import { Prefill, type PrefilledPrompt } from './prefill.ts';
import { sampleToken, type Sampling } from './sampling.ts';

/** One prompt and the responses wanted of it. */
export interface GenerationRequest {
  readonly prompt: PromptInput;
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** A response ends with, and includes, the first of these. */
  readonly stopTokens: readonly number[];
  /** The key of the random stream of each response; their number is the number of responses. */
  readonly keys: readonly (readonly [number, number])[];
}

/** One response: its tokens, and their log-probabilities under the tempered distribution they came from. */
export interface Response {
  /** i32 `[T]`. */
  readonly tokenIds: Tensor<'i32'>;
  /** f32 `[T]`. */
  readonly logProbs: Tensor<'f32'>;
  readonly finishReason: 'stop' | 'length';
}

/** What the engine may use. */
export interface EngineOptions {
  /** Sequences decoded together. */
  readonly maxSequences: number;
  /** Prompt tokens of one prefill pass; a longer prompt runs alone. */
  readonly maxPrefillTokens: number;
  /** Tokens that are never sampled: placeholders of images and videos. */
  readonly bannedTokens: readonly number[];
  /** That nobody ever changes the vision tower's weights; what it makes of images is then kept. */
  readonly isVisionFixed?: boolean;
}

/** How a call may be watched and stopped. */
export interface GenerateControl {
  readonly signal?: AbortSignal;
  /** Called from time to time with the tokens and responses made so far. */
  readonly onProgress?: (progress: { tokens: number; responses: number }) => void;
}

interface Waiting {
  readonly request: number;
  readonly sample: number;
}

interface Running {
  readonly request: number;
  readonly sample: number;
  readonly rng: Rng;
  readonly tokens: number[];
  readonly logProbs: number[];
  readonly nextPosition: number;
  readonly promptTokens: number;
}

/** Prompt tokens of a prefill pass, short prompts together: more would leave the caches of a core. */
const PASS_TOKENS = 1024;
/** Steps between two looks at the event loop, for messages and cancellation. */
const STEPS_PER_TURN = 16;
/** Cache capacities are multiples of this, so that similar calls share one cache and one session. */
const CAPACITY_STEP = 128;
/** Added to a logit before any temperature divides it; the probability is then 0 in float32. */
const BANNED_BIAS = -1e30;
/**
 * Generation with continuous batching: every prompt is prefilled once for all its responses, running
 * sequences of any length are decoded together, finished ones leave and waiting ones take their place.
 *
 * A response depends on its prompt, its sampling and its key alone: which neighbours it had and in which
 * slot it ran changes nothing but the last bits of floating point.
 */
export class GenerationEngine implements Disposable {
  readonly #runtime: Runtime;
  readonly #config: ModelConfig;
  readonly #weights: WeightViews;
  readonly #options: EngineOptions;
  readonly #prefill: Prefill;
  readonly #logitBias: Tensor<'f32'>;
  #cache: KvCache | undefined;
  #decoder: Decoder | undefined;

  /** @param adapter what the model computes beside its weights */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    arena: Arena,
    options: EngineOptions,
    adapter: Adapter | null = null,
  ) {
    this.#runtime = runtime;
    this.#config = config;
    const weights = weightViews(arena, config);
    this.#weights = adapter === null ? weights : withAdapterViews(weights, adapter, config);
    this.#options = options;
    this.#prefill = new Prefill(runtime, config, this.#weights, options);
    this.#logitBias = zeros('f32', [config.text.vocabSize]);
    for (const token of options.bannedTokens) this.#logitBias.data[token] = BANNED_BIAS;
  }

  /**
   * Responses to every request, in order: `result[i][j]` answers `requests[i]` with its key `j`.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  async generate(
    requests: readonly GenerationRequest[],
    control: GenerateControl = {},
  ): Promise<Response[][]> {
    const results = requests.map((request) => new Array<Response>(request.keys.length));
    const capacity = Math.max(
      0,
      ...requests.map((r) => r.prompt.tokenIds.data.length + r.maxTokens),
    );
    const { cache, decoder } = this.#open(capacity);
    const prefilled = new Map<number, PrefilledPrompt>();
    const waiting: Waiting[] = [];
    const running: Running[] = [];
    let nextRequest = 0;
    let responses = 0;
    let tokens = 0;

    const finish = (sequence: Running, finishReason: 'stop' | 'length'): void => {
      results[sequence.request]![sequence.sample] = {
        tokenIds: tensorOf('i32', [sequence.tokens.length], sequence.tokens),
        logProbs: tensorOf('f32', [sequence.logProbs.length], sequence.logProbs),
        finishReason,
      };
      responses++;
    };
    /** Appends a draw; true when the response is complete. */
    const extend = (sequence: Running, distribution: Float32Array): boolean => {
      const request = requests[sequence.request]!;
      const { token, logProb } = sampleToken(distribution, request.sampling, sequence.rng);
      sequence.tokens.push(token);
      sequence.logProbs.push(logProb);
      tokens++;
      const stopped = request.stopTokens.includes(token);
      if (!stopped && sequence.tokens.length < request.maxTokens) return false;
      finish(sequence, stopped ? 'stop' : 'length');
      return true;
    };
    const admit = (): void => {
      while (running.length < this.#options.maxSequences) {
        if (waiting.length === 0) {
          if (nextRequest === requests.length) return;
          const free = this.#options.maxSequences - running.length;
          const chosen = this.#chooseForPrefill(requests, nextRequest, free);
          for (const [i, prompt] of this.#runPrefill(requests, chosen).entries()) {
            prefilled.set(chosen[i]!, prompt);
          }
          for (const request of chosen) {
            for (const sample of requests[request]!.keys.keys()) waiting.push({ request, sample });
          }
          nextRequest += chosen.length;
          continue;
        }
        const { request, sample } = waiting.shift()!;
        const prompt = prefilled.get(request)!;
        const sequence = start(requests[request]!, request, sample);
        if (!extend(sequence, prompt.firstToken)) {
          cache.write(running.length, prompt.layers, prompt.tokens);
          running.push(sequence);
        }
        if (sample === requests[request]!.keys.length - 1) prefilled.delete(request);
      }
    };
    const leave = (slot: number): void => {
      const last = running.pop()!;
      if (slot === running.length) return;
      cache.move(running.length, slot);
      running[slot] = last;
    };

    for (let step = 0; ; step++) {
      admit();
      if (running.length === 0) break;
      const distributions = decoder.step(
        running.map((sequence) => ({
          token: sequence.tokens.at(-1)!,
          position: sequence.nextPosition + sequence.tokens.length - 1,
          cached: sequence.promptTokens + sequence.tokens.length - 1,
          temperature: requests[sequence.request]!.sampling.temperature,
        })),
      );
      const width = this.#config.text.vocabSize;
      for (let slot = running.length - 1; slot >= 0; slot--) {
        const row = distributions.data.subarray(slot * width, (slot + 1) * width);
        if (extend(running[slot]!, row)) leave(slot);
      }
      if (step % STEPS_PER_TURN === 0) {
        control.onProgress?.({ tokens, responses });
        await new Promise((resolve) => setImmediate(resolve));
        if (control.signal?.aborted === true) {
          throw new CxmindError('RUNTIME_CANCELLED', 'generation was cancelled');
        }
      }
    }
    control.onProgress?.({ tokens, responses });
    return results;
  }

  /** The next requests whose responses fill the free slots, within the prefill's token budget. */
  #chooseForPrefill(
    requests: readonly GenerationRequest[],
    first: number,
    freeSlots: number,
  ): number[] {
    const chosen: number[] = [];
    const most = Math.min(PASS_TOKENS, this.#options.maxPrefillTokens);
    let samples = 0;
    let tokens = 0;
    for (let i = first; i < requests.length && samples < freeSlots; i++) {
      const { prompt, keys } = requests[i]!;
      tokens += prompt.tokenIds.data.length;
      if (chosen.length > 0 && tokens > most) break;
      chosen.push(i);
      samples += keys.length;
    }
    return chosen;
  }

  #runPrefill(
    requests: readonly GenerationRequest[],
    chosen: readonly number[],
  ): PrefilledPrompt[] {
    const batch: PackedBatch = packPrompts(chosen.map((i) => requests[i]!.prompt));
    const temperatures = chosen.map((i) => requests[i]!.sampling.temperature);
    return this.#prefill.run(batch, temperatures, this.#logitBias);
  }

  #open(wanted: number): { cache: KvCache; decoder: Decoder } {
    if (this.#cache !== undefined && this.#decoder !== undefined) {
      if (this.#cache.shape.capacity >= wanted) {
        this.#cache.clear();
        return { cache: this.#cache, decoder: this.#decoder };
      }
      this.#decoder[Symbol.dispose]();
    }
    const capacity = Math.ceil(Math.max(1, wanted) / CAPACITY_STEP) * CAPACITY_STEP;
    const { layers, kvHeads, headDim } = this.#config.text;
    const slots = this.#options.maxSequences;
    const scoreScale = scoreScaleOf(this.#config.text);
    this.#cache = new KvCache({ layers, slots, kvHeads, capacity, headDim, scoreScale });
    this.#decoder = new Decoder(this.#runtime, this.#config, this.#weights, {
      cache: this.#cache,
      logitBias: this.#logitBias,
      positions: capacity,
    });
    return { cache: this.#cache, decoder: this.#decoder };
  }

  [Symbol.dispose](): void {
    this.#prefill[Symbol.dispose]();
    this.#decoder?.[Symbol.dispose]();
  }
}

function start(request: GenerationRequest, index: number, sample: number): Running {
  const { prompt, keys } = request;
  const promptTokens = prompt.tokenIds.data.length;
  return {
    request: index,
    sample,
    rng: new Rng(keys[sample]!),
    tokens: [],
    logProbs: [],
    nextPosition: prompt.positions.data[promptTokens - 1]! + 1,
    promptTokens,
  };
}
