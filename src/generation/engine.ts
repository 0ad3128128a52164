import type { Device, View } from '../device/device.ts';
import type { PlacedAdapter } from '../model/adapter.ts';
import type { AnyArena } from '../model/device-arena.ts';
import { modelWeights, type ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { modelModules } from '../model/parameters.ts';
import { zeros } from '../tensor/tensor.ts';
import { Turns } from '../turns.ts';
import { CpuDecoder } from './cpu/decoder.ts';
import { GraphDecoder } from './graph-decoder.ts';
import { GraphSampler } from './graph-sampler.ts';
import { HostSampler } from './cpu/sampler.ts';
import { Prefill } from './prefill.ts';
import type { EngineOptions, GenerateControl, GenerationRequest, Response } from './request.ts';
import type { Sampler } from './sampler.ts';
import { Schedule } from './schedule.ts';
import type { StepDecoder } from './step-decoder.ts';

/** Cache capacities are multiples of this, so that similar calls share one cache and its programs. */
const CAPACITY_STEP = 128;
/** Added to a logit before any temperature divides it; the probability is then 0 in float32. */
const BANNED_BIAS = -1e30;

/**
 * Generation with continuous batching: every prompt is prefilled once for all its responses, running
 * sequences of any length are decoded together, finished ones leave and waiting ones take their place.
 *
 * A response depends on its prompt, its sampling and its key alone: which neighbours it had and in which
 * slot it ran changes nothing but the last bits of floating point. It computes in the dtype of its weights.
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
    arena: AnyArena,
    options: EngineOptions,
    adapter: PlacedAdapter | null = null,
  ) {
    this.#device = device;
    this.#config = config;
    this.#options = options;
    const modules = modelModules(config, 'policy');
    this.#weights = modelWeights(device, { config, modules, arena, adapter });
    this.#prefill = new Prefill(device, config, this.#weights, options);
    this.#sampler =
      device.host === null ? new GraphSampler(device, config.text.vocabSize) : new HostSampler();
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
    const { host } = this.#device;
    // Elsewhere than on the host a decoder has copies of the weights, which may have changed since.
    if (host !== null && this.#decoder !== undefined && this.#decoder.capacity >= wanted) {
      this.#decoder.clear();
      return this.#decoder;
    }
    this.#decoder?.[Symbol.dispose]();
    const options = {
      device: this.#device,
      config: this.#config,
      weights: this.#weights,
      logitBias: this.#logitBias,
      slots: this.#options.maxSequences,
      capacity: Math.ceil(Math.max(1, wanted) / CAPACITY_STEP) * CAPACITY_STEP,
    };
    // The processor computes nothing in halves; as graphs, it widens and rounds what every other device computes.
    const isGraph = host === null || this.#weights.dtype !== 'f32';
    this.#decoder = isGraph
      ? await GraphDecoder.open(options)
      : await CpuDecoder.open(options, host);
    return this.#decoder;
  }

  [Symbol.dispose](): void {
    this.#prefill[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    this.#decoder?.[Symbol.dispose]();
    this.#logitBias[Symbol.dispose]();
  }
}

function tokensAtMost({ prompt, maxTokens }: GenerationRequest): number {
  return prompt.tokenIds.data.length + maxTokens;
}
