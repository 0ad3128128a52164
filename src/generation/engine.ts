import type { Device, View } from '../device/device.ts';
import type { PlacedAdapter } from '../model/adapters/adapter.ts';
import type { AnyArena } from '../model/weights/device-arena.ts';
import { modelWeights, type ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { zeros } from '../tensor/tensor.ts';
import { Turns } from '../turns.ts';
import { CpuDecoder } from './cpu/decoder.ts';
import { GraphDecoder } from './graph-decoder.ts';
import { GraphSampler } from './graph-sampler.ts';
import { KernelSampler } from './kernel-sampler.ts';
import { PagedDecoder } from './paged-decoder.ts';
import { HostSampler } from './cpu/sampler.ts';
import { Prefill } from './prefill.ts';
import type { EngineOptions, GenerateControl, GenerationRequest, Response } from './request.ts';
import type { Sampler } from './sampler.ts';
import { Schedule } from './schedule.ts';
import type { DecoderOptions, StepDecoder } from './step-decoder.ts';

/** Step of cache capacities, tokens: similar calls share one cache and its programs. */
const CAPACITY_STEP = 128;
/** Default number of sequences decoded together. A GPU reads its weights once for all of them. */
const SEQUENCES = { host: 32, card: 256 };
/** Prompt tokens of a prefill pass on the CPU: more would leave the caches of a core. */
const HOST_PASS_TOKENS = 1024;
/** Default share of a device's free memory for the cache. */
const MEMORY_SHARE = 0.6;
/** Bias of a banned token's logit, before any temperature divides it: its probability is 0 in float32. */
const BANNED_BIAS = -1e30;

/**
 * Generation of responses with continuous batching.
 *
 * Every prompt is prefilled once for all its responses. Running sequences of any length are decoded together; finished
 * ones leave, and waiting ones take their place. A response depends on its prompt, its sampling and its key alone: its
 * neighbours and its slot change nothing but the last bits of floating point. Programs compute in the dtype of the
 * weights.
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

  /** @param adapter adapters that the model has beside its weights */
  constructor(
    device: Device,
    config: ModelConfig,
    arena: AnyArena,
    options: EngineOptions,
    adapter: PlacedAdapter | null = null,
  ) {
    this.#device = device;
    this.#config = config;
    this.#options = options;
    this.#weights = modelWeights(device, config, 'policy', { arena, adapter });
    this.#sampler = samplerOf(device, config.text.vocabSize, options.bannedTokens);
    this.#prefill = new Prefill(device, config, this.#weights, this.#sampler.headGraph, options);
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
      const { maxPrefillTokens } = this.#options;
      const schedule = new Schedule(requests, control, {
        passTokens:
          this.#device.host === null
            ? maxPrefillTokens
            : Math.min(HOST_PASS_TOKENS, maxPrefillTokens),
        prefill: this.#prefill,
        sampler: this.#sampler,
        decoder: await this.#open(requests),
        logitBias: this.#logitBias,
      });
      try {
        return await schedule.run();
      } finally {
        if (!this.#weights.source.isInPlace) this.#close();
      }
    });
  }

  /** Releases the decoder's weights and memory. */
  #close(): void {
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = undefined;
  }

  async #open(requests: readonly GenerationRequest[]): Promise<StepDecoder> {
    const { hasKernels } = this.#device;
    const { maxSequences = SEQUENCES[hasKernels ? 'card' : 'host'] } = this.#options;
    const responses = requests.reduce((sum, { keys }) => sum + keys.length, 0);
    const longest = Math.max(1, ...requests.map(tokensAtMost));
    const wanted = {
      // A GPU's cache holds no more sequences than the call asks for.
      slots: hasKernels ? Math.min(maxSequences, Math.max(1, responses)) : maxSequences,
      capacity: Math.ceil(longest / CAPACITY_STEP) * CAPACITY_STEP,
    };
    // A decoder with copies of the weights may have old ones.
    const open = this.#weights.source.isInPlace ? this.#decoder : undefined;
    if (open !== undefined && open.capacity >= wanted.capacity && open.slots >= wanted.slots) {
      open.clear();
      return open;
    }
    this.#close();
    this.#decoder = await this.#opened({
      device: this.#device,
      config: this.#config,
      weights: this.#weights,
      ...wanted,
    });
    return this.#decoder;
  }

  #opened(shared: DecoderOptions): Promise<StepDecoder> {
    const [sampler, { host }] = [this.#sampler, this.#device];
    if (sampler instanceof KernelSampler) {
      const { memoryShare = MEMORY_SHARE } = this.#options;
      return PagedDecoder.open({ ...shared, sampler, memoryShare });
    }
    const options = { ...shared, sampler, logitBias: this.#logitBias };
    // The CPU has no arithmetic in half precision; its graphs widen and round, and give what other devices compute.
    const isGraph = host === null || this.#weights.dtype !== 'f32';
    return isGraph ? GraphDecoder.open(options) : CpuDecoder.open(options, host);
  }

  [Symbol.dispose](): void {
    this.#prefill[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    this.#close();
    this.#logitBias[Symbol.dispose]();
  }
}

function samplerOf(device: Device, vocabulary: number, banned: readonly number[]): Sampler {
  if (device.hasKernels) return new KernelSampler(device, vocabulary, banned);
  return device.host === null ? new GraphSampler(device, vocabulary) : new HostSampler();
}

/** The longest length of a sequence, or its highest position where a video's frames are further apart. */
function tokensAtMost({ prompt, maxTokens }: GenerationRequest): number {
  const tokens = prompt.tokenIds.data.length;
  return Math.max(tokens, prompt.positions.data[tokens - 1]! + 1) + maxTokens;
}
