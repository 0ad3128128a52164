import type { Device, View } from '../device/device.ts';
import type { PlacedAdapter } from '../model/adapters/adapter.ts';
import type { AnyArena } from '../model/weights/device-arena.ts';
import { modelWeights, type ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { biasAgainst } from '../model/heads.ts';
import { Turns } from '../turns.ts';
import { ControlledSampler } from './controlled-sampler.ts';
import { CpuDecoder } from './cpu/decoder.ts';
import { takeDecoderWeights } from './decoder-weights.ts';
import { GraphDecoder } from './graph-decoder.ts';
import { GraphSampler } from './graph-sampler.ts';
import { KernelSampler } from './kernel-sampler.ts';
import { PagedDecoder } from './paged-decoder.ts';
import { HostSampler } from './cpu/sampler.ts';
import { decoderFor, mostSequences, passTokensOn, type DecoderSize } from './limits.ts';
import { Prefill } from './prefill.ts';
import {
  lengthOf,
  type EngineOptions,
  type GenerateControl,
  type GenerationRequest,
  type Job,
  type PausableCall,
  type Response,
} from './request.ts';
import { Schedule, type Intake, type ScheduleTools } from './schedule.ts';
import { GenerationSession } from './session.ts';
import type { DecoderOptions, StepDecoder } from './step-decoder.ts';

/** Decoding steps between two turns of the event loop, in a call whose results are read at its end. */
const STEPS_PER_TURN = 16;
/** Default share of a device's free memory for the cache. */
const MEMORY_SHARE = 0.6;

/** The sampler of a device, and the decoder that goes with it. */
interface Backend {
  readonly sampler: ControlledSampler;
  readonly makeDecoder: (options: DecoderOptions) => StepDecoder;
}

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
  readonly #backend: Backend;
  /** f32 `[V]`, for heads that compute distributions. A sampler that reads plain logits bans tokens itself. */
  readonly #logitBias: View & Disposable;
  readonly #turns = new Turns();
  #decoder: StepDecoder | undefined;
  /** The work that used the decoder last. */
  #owner: object | null = null;

  /** @param adapter LoRA adapters beside the weights, or null */
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
    this.#logitBias = device.allocate('f32', [config.text.vocabSize]);
    device.upload(biasAgainst(options.bannedTokens, config.text), this.#logitBias);
    this.#backend = backendFor(device, this.#logitBias, options);
    this.#prefill = new Prefill(device, config, this.#weights, this.#logitBias, options);
  }

  /**
   * Responses to every request, in order: `result[i][j]` answers `requests[i]` with its key `j`. A call waits for
   * those before it.
   *
   * @throws RUNTIME_CANCELLED when the signal aborts
   */
  async generate(
    requests: readonly GenerationRequest[],
    control: GenerateControl = {},
  ): Promise<Response[][]> {
    const { results, intake, size } = callOf(requests);
    await this.#withDecoder(size, (tools) => new Schedule(intake, control, tools).run());
    return results;
  }

  /**
   * Prepares a call that may be paused, and go on with other weights.
   *
   * @param cache whether keys and values of older weights are kept then, or computed again
   */
  begin(
    requests: readonly GenerationRequest[],
    cache: 'keep' | 'recompute',
    control: Omit<GenerateControl, 'signal'> = {},
  ): PausableCall {
    const { results, intake, size } = callOf(requests);
    let schedule: Schedule | null = null;
    let isDone = false;
    const owner = {};
    const run: PausableCall['run'] = async (version, signal) => {
      const work = (tools: ScheduleTools, isKept: boolean): Promise<void> => {
        schedule ??= new Schedule(intake, control, tools);
        if (isKept && cache === 'recompute') tools.decoder.clear();
        schedule.switchWeights(tools, version, isKept ? cache : 'recompute');
        return schedule.run(signal);
      };
      if (!isDone) await this.#withDecoder(size, work, owner);
      isDone = true;
      return results;
    };
    return { run };
  }

  /**
   * Opens a session, in which requests join what runs. A call of `generate` waits for its end.
   *
   * @param capacity most tokens of a sequence, its prompt among them
   */
  open(capacity: number): GenerationSession {
    return new GenerationSession(capacity, (work) =>
      this.#withDecoder({ responses: Infinity, capacity }, work),
    );
  }

  /** Most sequences decoded together. */
  get maxSequences(): number {
    return mostSequences(this.#device, this.#options);
  }

  /**
   * Runs a schedule's work on a decoder of some size, after all work before.
   *
   * @param work  gets the tools, and whether the decoder is as the last work of this owner left it
   * @param owner identifies work that comes in several calls
   */
  #withDecoder(
    size: DecoderSize,
    work: (tools: ScheduleTools, isKept: boolean) => Promise<void>,
    owner: object = {},
  ): Promise<void> {
    return this.#turns.run(async () => {
      const kept = this.#owner === owner ? this.#decoder : undefined;
      const decoder = kept ?? (await this.#decoderOf(size));
      this.#owner = owner;
      const tools = {
        passTokens: passTokensOn(this.#device, this.#options),
        prefill: this.#prefill,
        sampler: this.#backend.sampler,
        decoder,
      };
      try {
        await work(tools, kept !== undefined);
      } finally {
        // A decoder with copies of the weights would hold old ones at the next call.
        if (!this.#weights.source.isInPlace) this.#closeDecoder();
      }
    });
  }

  /** Releases the decoder's weights and memory. */
  #closeDecoder(): void {
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = undefined;
  }

  /** The decoder of the last call if it is large enough, else a new one. */
  async #decoderOf(size: DecoderSize): Promise<StepDecoder> {
    const { slots, capacity } = decoderFor(this.#device, this.#options, size);
    const last = this.#decoder;
    if (last !== undefined && last.capacity >= capacity && last.slots >= slots) {
      last.clear();
      return last;
    }
    this.#closeDecoder();
    const model = { device: this.#device, config: this.#config, weights: this.#weights };
    const taken = await takeDecoderWeights(this.#config, this.#weights);
    this.#decoder = this.#backend.makeDecoder({ ...model, taken, slots, capacity });
    return this.#decoder;
  }

  [Symbol.dispose](): void {
    this.#prefill[Symbol.dispose]();
    this.#backend.sampler[Symbol.dispose]();
    this.#closeDecoder();
    this.#logitBias[Symbol.dispose]();
  }
}

/** A call's results, which its jobs fill, and the decoder that it needs. */
function callOf(requests: readonly GenerationRequest[]): {
  readonly results: Response[][];
  readonly intake: Intake;
  readonly size: DecoderSize;
} {
  const results = requests.map(({ seeds }) => new Array<Response>(seeds.length));
  const waiting = requests.map((request, i): Job => {
    const onResponse = (sample: number, response: Response): void => {
      results[i]![sample] = response;
    };
    return { request, onResponse };
  });
  const none = Promise.resolve(false);
  return {
    results,
    intake: {
      waiting,
      arrival: () => none,
      stepsPerTurn: STEPS_PER_TURN,
    },
    size: {
      responses: requests.reduce((sum, { seeds }) => sum + seeds.length, 0),
      capacity: Math.max(1, ...requests.map(lengthOf)),
    },
  };
}

/** The backend for one of three kinds of device: with kernels (CUDA), in host memory (CPU), and others (WebGPU). */
function backendFor(
  device: Device,
  logitBias: View,
  { bannedTokens, memoryShare = MEMORY_SHARE }: EngineOptions,
): Backend {
  const vocabulary = logitBias.shape[0]!;
  if (device.hasKernels) {
    const sampler = new KernelSampler(device, vocabulary, bannedTokens);
    const controlled = new ControlledSampler(device, sampler, logitBias);
    return {
      sampler: controlled,
      makeDecoder: (options) => new PagedDecoder({ ...options, sampler, controlled, memoryShare }),
    };
  }
  const { host } = device;
  const plain = host === null ? new GraphSampler(device, vocabulary) : new HostSampler();
  const sampler = new ControlledSampler(device, plain, logitBias);
  return {
    sampler,
    makeDecoder: (options) => {
      const sampled = { ...options, sampler, logitBias };
      // `CpuDecoder` computes in f32 alone. Graphs on the CPU widen other dtypes and round as other devices do.
      return host !== null && options.weights.dtype === 'f32'
        ? new CpuDecoder(sampled, host)
        : new GraphDecoder(sampled);
    },
  };
}
