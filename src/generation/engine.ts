import type { Device, View } from '../device/device.ts';
import type { Adapter } from '../model/adapter.ts';
import type { Arena } from '../model/arena.ts';
import { modelWeights, type ModelWeights } from '../model/model-weights.ts';
import type { PromptInput } from '../model/pack.ts';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { policyModules } from '../model/qwen2-5-vl/weights.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import { Turns } from '../turns.ts';
import { CpuDecoder } from './cpu/decoder.ts';
import { HostSampler } from './cpu/sampler.ts';
import { Prefill } from './prefill.ts';
import type { Sampler, Sampling } from './sampler.ts';
import { Schedule } from './schedule.ts';
import type { StepDecoder } from './step-decoder.ts';

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

/** Cache capacities are multiples of this, so that similar calls share one cache and its programs. */
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
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #options: EngineOptions;
  readonly #prefill: Prefill;
  readonly #sampler: Sampler;
  readonly #logitBias: View & Disposable;
  readonly #turns = new Turns();
  #decoder: StepDecoder | undefined;

  /** @param adapter what the model computes beside its weights */
  constructor(
    device: Device,
    config: ModelConfig,
    arena: Arena,
    options: EngineOptions,
    adapter: Adapter | null = null,
  ) {
    this.#device = device;
    this.#config = config;
    this.#options = options;
    const modules = policyModules(config);
    this.#weights = modelWeights(device, { config, modules, arena, adapter });
    this.#prefill = new Prefill(device, config, this.#weights, options);
    this.#sampler = new HostSampler(device.host!);
    this.#logitBias = device.allocate('f32', [config.text.vocabSize]);
    const bias = zeros('f32', [config.text.vocabSize]);
    for (const token of options.bannedTokens) bias.data[token] = BANNED_BIAS;
    device.upload(bias, this.#logitBias);
  }

  /**
   * Responses to every request, in order: `result[i][j]` answers `requests[i]` with its key `j`. A call waits for
   * those before it.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  generate(
    requests: readonly GenerationRequest[],
    control: GenerateControl = {},
  ): Promise<Response[][]> {
    return this.#turns.run(async () => {
      const longest = Math.max(0, ...requests.map(tokensAtMost));
      const schedule = new Schedule(requests, control, {
        ...this.#options,
        prefill: this.#prefill,
        sampler: this.#sampler,
        decoder: await this.#open(longest),
        logitBias: this.#logitBias,
      });
      return schedule.run();
    });
  }

  async #open(wanted: number): Promise<StepDecoder> {
    if (this.#decoder !== undefined && this.#decoder.capacity >= wanted) {
      this.#decoder.clear();
      return this.#decoder;
    }
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = await CpuDecoder.open({
      device: this.#device,
      host: this.#device.host!,
      config: this.#config,
      weights: this.#weights,
      logitBias: this.#logitBias,
      slots: this.#options.maxSequences,
      capacity: Math.ceil(Math.max(1, wanted) / CAPACITY_STEP) * CAPACITY_STEP,
    });
    return this.#decoder;
  }

  [Symbol.dispose](): void {
    this.#prefill[Symbol.dispose]();
    this.#decoder?.[Symbol.dispose]();
    this.#logitBias[Symbol.dispose]();
  }
}

function tokensAtMost({ prompt, maxTokens }: GenerationRequest): number {
  return prompt.tokenIds.data.length + maxTokens;
}
