import type { Device, Program, Recording, View, Views, Workspace } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { NO_ADAPTERS } from '../model/adapter.ts';
import { architectureOf } from '../model/families.ts';
import { logitsGraph } from '../model/heads.ts';
import type { ModelConfig, TextConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import { textRotary } from '../model/rotary.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { tensorOf, zeros, type Tensor, type Tensors } from '../tensor/tensor.ts';
import { takeDecoderWeights, type DecoderWeights } from './decoder-weights.ts';
import type { KernelSampler } from './kernel-sampler.ts';
import { NOBODYS_PAGE, PAGE_ROWS, PagedCache } from './paged-cache.ts';
import type { PrefilledPrompt } from './prefill.ts';
import { drawBounds, inverseTemperatureOf, type Draw } from './sampler.ts';
import type { StepDecoder, StepRow } from './step-decoder.ts';

/** What a decoder with a paged cache is made from. */
export interface PagedDecoderOptions {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly sampler: KernelSampler;
  /** Most sequences. */
  readonly slots: number;
  /** Most tokens of a sequence. */
  readonly capacity: number;
  /** The share of free memory that the cache may take. */
  readonly memoryShare: number;
}

/** Numbers of a row of a step's input before its pages; see `enterGraph`. */
const ROW_NUMBERS = 7;
/** What a row without a sequence has there: a greedy draw, which costs least. */
const NOBODYS_NUMBERS = [0, 0, 0, 1, 0, 1, 1];

/** A step for some number of rows, recorded, and the memory that it computes in. */
interface RecordedStep extends Disposable {
  /** f32 `[rows, 7 + pages]` */
  readonly input: View;
  /** f32 `[rows, 2]`, tokens and log-probabilities. */
  readonly drawn: View<'f32'>;
  readonly recording: Recording;
}

/**
 * Decoding on a device with kernels, over a cache in pages. A step is recorded once for every power of two of sequences:
 * one small upload, one call that queues all of it, the draws included, and one small download.
 */
export class PagedDecoder implements StepDecoder {
  readonly capacity: number;
  readonly slots: number;
  readonly #options: PagedDecoderOptions;
  readonly #weights: DecoderWeights;
  readonly #cache: PagedCache;
  readonly #owned = new DisposableStack();
  readonly #constants: Views;
  readonly #enter: Program;
  readonly #layers: readonly Program[];
  readonly #logits: Program;
  readonly #steps = new Map<number, RecordedStep>();

  /**
   * Takes the weights, until it is disposed.
   *
   * @throws DEVICE_OUT_OF_MEMORY where the cache has no room for one sequence
   */
  static async open(options: PagedDecoderOptions): Promise<PagedDecoder> {
    return new PagedDecoder(options, await takeDecoderWeights(options.config, options.weights));
  }

  private constructor(options: PagedDecoderOptions, weights: DecoderWeights) {
    const { device, config, capacity } = options;
    const { text } = config;
    const { dtype, adapters } = options.weights;
    const owned = this.#owned;
    this.capacity = capacity;
    this.#options = options;
    this.#weights = owned.use(weights);
    const pages = Math.ceil(capacity / PAGE_ROWS);
    this.slots = slotsOf(options, pages);
    this.#cache = owned.use(new PagedCache(device, text, dtype, this.slots * pages));
    this.#constants = this.#put({
      // Generated tokens are text: their three positions are equal, so one row of angles serves.
      ...textRotary(countTo([1, capacity]), text.headDim, text.ropeTheta, null),
      rows: countTo([this.slots]),
    });
    const compile = (graph: Graph): Program => owned.use(device.compile(graph));
    this.#enter = compile(enterGraph(text, pages, dtype));
    const programs = new Map<string, Program>();
    this.#layers = weights.layers.map((_, i) => {
      const own = adapters?.layers[i];
      const name = own?.modules.join() ?? '';
      const { pagedStep } = architectureOf(config).decoder;
      const program =
        programs.get(name) ?? compile(pagedStep(text, PAGE_ROWS, own ?? NO_ADAPTERS, dtype));
      programs.set(name, program);
      return program;
    });
    this.#logits = compile(logitsGraph(text, dtype));
  }

  clear(): void {
    this.#cache.clear();
  }

  write(slot: number, prompt: PrefilledPrompt): void {
    this.#cache.write(slot, prompt);
  }

  leave(slot: number, last: number): void {
    this.#cache.leave(slot, last);
  }

  async step(sequences: readonly StepRow[]): Promise<Draw[]> {
    const { device, sampler } = this.#options;
    const rows = Math.min(this.slots, 2 ** Math.ceil(Math.log2(sequences.length)));
    let step = this.#steps.get(rows);
    if (step === undefined) {
      step = this.#owned.use(this.#record(rows));
      this.#steps.set(rows, step);
    }
    const width = step.input.shape[1]!;
    const input = zeros('f32', [rows, width]);
    input.data.fill(NOBODYS_PAGE);
    for (let slot = 0; slot < rows; slot++) {
      input.data.set(this.#numbersOf(slot, sequences[slot]), slot * width);
    }
    device.upload(input, step.input);
    step.recording.run();
    return sampler.read(step.drawn, sequences.length);
  }

  #numbersOf(slot: number, row: StepRow | undefined): readonly number[] {
    if (row === undefined) return NOBODYS_NUMBERS;
    const { token, position, cached, sampling, uniform } = row;
    const { topK, topP } = drawBounds(sampling, this.#options.config.text.vocabSize);
    const drawn = [inverseTemperatureOf(sampling), uniform, topK, topP];
    return [token, position, cached, ...drawn, ...this.#cache.pagesFor(slot, cached)];
  }

  #record(rows: number): RecordedStep {
    const { device } = this.#options;
    using made = new DisposableStack();
    const pages = Math.ceil(this.capacity / PAGE_ROWS);
    const input = made.use(device.allocate('f32', [rows, ROW_NUMBERS + pages]));
    const drawn = made.use(device.allocate('f32', [rows, 2]));
    const workspace = made.use(device.workspace());
    const recording = made.use(
      device.record(() => {
        this.#queue(input, drawn, workspace);
      }),
    );
    const owned = made.move();
    return { input, drawn, recording, [Symbol.dispose]: () => owned.dispose() };
  }

  #queue(input: View, drawn: View<'f32'>, workspace: Workspace): void {
    const { device, sampler } = this.#options;
    const { embedding, layers, head } = this.#weights;
    const { cos, sin, rows } = this.#constants;
    workspace.reset();
    const entered = this.#enter.run({ input, embedding, cos: cos!, sin: sin! }, workspace);
    const { uniform, topK, topP, inverseTemperature } = entered;
    let hidden = entered['hidden']!;
    for (const [i, { keys, values }] of this.#cache.layers.entries()) {
      const inputs = { ...entered, hidden, keys, values, ...layers[i] };
      const into = { nextKeys: keys, nextValues: values };
      hidden = this.#layers[i]!.run(inputs, workspace, into)['output']!;
    }
    const { logits } = this.#logits.run(
      { hidden, inverseTemperature: inverseTemperature!, ...head },
      workspace,
    );
    const draws = {
      logits: logits!,
      rows: device.part(rows as View<'i32'>, 0, [input.shape[0]!]),
      uniform: uniform!,
      topK: topK!,
      topP: topP!,
    };
    sampler.queue(draws, workspace, drawn);
  }

  #put(tensors: Tensors): Views {
    const { device } = this.#options;
    return Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => {
        const view = this.#owned.use(device.allocate(tensor.dtype, tensor.shape));
        device.upload(tensor, view);
        return [name, view];
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/**
 * How many sequences there is room for.
 *
 * @throws DEVICE_OUT_OF_MEMORY where there is none for one
 */
function slotsOf(
  { device, config, weights, slots, memoryShare }: PagedDecoderOptions,
  pages: number,
): number {
  const free = device.freeBytes();
  if (free === null) return slots;
  const bytes = pages * PagedCache.pageBytes(config.text, weights.dtype);
  const room = Math.floor((free * memoryShare) / bytes);
  if (room > 0) return Math.min(slots, room);
  throw new CxmindError(
    'DEVICE_OUT_OF_MEMORY',
    `a sequence's cache takes ${mib(bytes)} MiB, and of the ${mib(free)} MiB that are free on ${device.name} it may take ` +
      `${mib(free * memoryShare)}: raise worker.rollout.gpu_memory_utilization, or lower data.max_prompt_length and ` +
      'data.max_response_length',
    { detail: { free, bytes } },
  );
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** 0, 1, … in a shape. */
function countTo(shape: readonly number[]): Tensor<'i32'> {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensorOf('i32', shape, [...Array(count).keys()]);
}

/**
 * What a step begins with, from one upload.
 *
 * Inputs: `input f32 [B, 7 + M]`, of each row its token, the token's position, the tokens before it, its inverse
 * temperature, uniform number, topK and topP, and its pages, all of them whole numbers below 2^24 or f32; `embedding
 * [V, D]`; `cos` and `sin`, f32 tables of the angles of all positions. Outputs: each of them as the programs of a step
 * take it, and `hidden [B, D]`.
 */
function enterGraph(text: TextConfig, pages: number, dtype: FloatDType): Graph {
  const g = new GraphBuilder('enter-step');
  const input = g.input('input', 'f32', ['B', ROW_NUMBERS + pages]);
  const embedding = g.input('embedding', dtype, [text.vocabSize, text.hiddenSize]);
  const table = (name: string): Value => g.input(name, 'f32', ['P', text.headDim / 2]);
  const widths = [...NOBODYS_NUMBERS.map(() => 1), pages];
  const columns = g.split(input, widths, 1);
  const index = (column: number): Value => g.reshape(g.cast(columns[column]!, 'i32'), ['B']);
  g.output('hidden', g.gather(embedding, index(0)));
  g.output('rotary.cos', g.gather(table('cos'), index(1)));
  g.output('rotary.sin', g.gather(table('sin'), index(1)));
  g.output('lengths', index(2));
  g.output('inverseTemperature', columns[3]!);
  g.output('uniform', columns[4]!);
  g.output('topK', columns[5]!);
  g.output('topP', columns[6]!);
  g.output('pages', g.cast(columns[7]!, 'i32'));
  return g.build();
}
