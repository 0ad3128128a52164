import type { Device, Program, Recording, View, Workspace } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { NO_ADAPTERS } from '../model/adapters/adapter.ts';
import { architectureOf } from '../model/families.ts';
import { logitsGraph } from '../model/heads.ts';
import type { ModelConfig, TextConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import { textRotary } from '../model/rotary.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { takeDecoderWeights, type DecoderWeights } from './decoder-weights.ts';
import type { KernelSampler } from './kernel-sampler.ts';
import { PAGE_ROWS, PagedCache, pagesFor } from './paged-cache.ts';
import { drawBounds, inverseTemperatureOf, type Draw } from './sampler.ts';
import type { Entering, StepDecoder, StepRow } from './step-decoder.ts';

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

/** What a step is told of each row, besides its pages: f32 of one column each. */
const columns = [
  'token',
  'position',
  'length',
  'inverseTemperature',
  'uniform',
  'topK',
  'topP',
] as const;
type Column = (typeof columns)[number];
type RowNumbers = Readonly<Record<Column, number>>;

/** A row without a sequence: its draw is a greedy one, which costs least. */
const NOBODYS_NUMBERS: RowNumbers = {
  token: 0,
  position: 0,
  length: 0,
  inverseTemperature: 1,
  uniform: 0,
  topK: 1,
  topP: 1,
};

/** A step for some number of rows, recorded, and the memory that it computes in. */
interface RecordedStep extends Disposable {
  /** f32: the columns one after the other, then the rows' pages. */
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
  /** Of a sequence. */
  readonly #mostPages: number;
  readonly #owned: DisposableStack;
  readonly #constants: Readonly<Record<'cos' | 'sin', View>> & { readonly rows: View<'i32'> };
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
    const { device, config, slots, capacity } = options;
    const { text } = config;
    const { dtype, adapters } = options.weights;
    using owned = new DisposableStack();
    this.capacity = capacity;
    this.slots = slots;
    this.#options = options;
    this.#weights = owned.use(weights);
    this.#mostPages = pagesFor(capacity);
    this.#cache = owned.use(new PagedCache(device, text, dtype, pageCount(options)));
    // Generated tokens are text: their three positions are equal, so one row of angles serves.
    const { cos, sin } = textRotary(countTo([1, capacity]), text.headDim, text.ropeTheta, null);
    const put = <D extends DType>(tensor: Tensor<D>): View<D> => {
      const view = owned.use(device.allocate(tensor.dtype, tensor.shape));
      device.upload(tensor, view);
      return view;
    };
    this.#constants = { cos: put(cos), sin: put(sin), rows: put(countTo([this.slots])) };
    const compile = (graph: Graph): Program => owned.use(device.compile(graph));
    this.#enter = compile(enterGraph(text, dtype));
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
    this.#owned = owned.move();
  }

  clear(): void {
    this.#cache.clear();
  }

  roomFor(waiting: readonly Entering[], running: number): number {
    return this.#cache.roomFor(waiting.slice(0, this.slots - running));
  }

  enter(slot: number, sequence: Entering): void {
    this.#cache.enter(slot, sequence);
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
    const input = zeros('f32', step.input.shape);
    for (let slot = 0; slot < rows; slot++) {
      const sequence = sequences[slot];
      const numbers = sequence === undefined ? NOBODYS_NUMBERS : this.#numbersOf(sequence);
      for (const [i, name] of columns.entries()) input.data[i * rows + slot] = numbers[name];
      if (sequence === undefined) continue;
      const pages = this.#cache.pagesFor(slot, sequence.cached);
      input.data.set(pages, columns.length * rows + slot * this.#mostPages);
    }
    device.upload(input, step.input);
    step.recording.run();
    return sampler.read(step.drawn, sequences.length);
  }

  #numbersOf({ token, position, cached, sampling, uniform }: StepRow): RowNumbers {
    const bounds = drawBounds(sampling, this.#options.config.text.vocabSize);
    const inverseTemperature = inverseTemperatureOf(sampling);
    return { token, position, length: cached, inverseTemperature, uniform, ...bounds };
  }

  #record(rows: number): RecordedStep {
    const { device } = this.#options;
    using made = new DisposableStack();
    const input = made.use(device.allocate('f32', [rows * (columns.length + this.#mostPages)]));
    const drawn = made.use(device.allocate('f32', [rows, 2]));
    const workspace = made.use(device.workspace());
    const recording = made.use(
      device.record(() => {
        this.#queue(rows, input, drawn, workspace);
      }),
    );
    const owned = made.move();
    return { input, drawn, recording, [Symbol.dispose]: () => owned.dispose() };
  }

  #queue(count: number, input: View, drawn: View<'f32'>, workspace: Workspace): void {
    const { device, sampler } = this.#options;
    const { embedding, layers, head } = this.#weights;
    const { cos, sin, rows } = this.#constants;
    const told = Object.fromEntries(
      columns.map((name, i) => [name, device.part(input, i * count, [count, 1])]),
    ) as Record<Column, View>;
    const table = device.part(input, columns.length * count, [count, this.#mostPages]);
    workspace.reset();
    const entered = this.#enter.run({ ...told, table, embedding, cos, sin }, workspace);
    let hidden = entered['hidden']!;
    for (const [i, { keys, values }] of this.#cache.layers.entries()) {
      const inputs = { ...entered, hidden, keys, values, ...layers[i] };
      const into = { nextKeys: keys, nextValues: values };
      hidden = this.#layers[i]!.run(inputs, workspace, into)['output']!;
    }
    const { logits } = this.#logits.run({ ...told, ...head, hidden }, workspace);
    const draws = { ...told, logits: logits!, rows: device.part(rows, 0, [count]) };
    sampler.queue(draws, workspace, drawn);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/**
 * Pages for as many sequences as there may be, or as there is memory for.
 *
 * @throws DEVICE_OUT_OF_MEMORY where there is none for one
 */
function pageCount({
  device,
  config,
  weights,
  slots,
  capacity,
  memoryShare,
}: PagedDecoderOptions): number {
  const [free, pages] = [device.freeBytes(), pagesFor(capacity)];
  if (free === null) return slots * pages;
  const bytes = PagedCache.pageBytes(config.text, weights.dtype);
  // One of them is nobody's.
  const room = Math.floor((free * memoryShare) / bytes) - 1;
  if (room >= pages) return Math.min(slots * pages, room);
  throw new CxmindError(
    'DEVICE_OUT_OF_MEMORY',
    `the cache of a sequence takes ${mib(bytes * (pages + 1))} MiB, of the ${mib(free)} MiB that are free on ` +
      `${device.name} it may take ${mib(free * memoryShare)}: raise worker.rollout.gpu_memory_utilization, or lower ` +
      'data.max_prompt_length and data.max_response_length',
    { detail: { free, bytes: bytes * (pages + 1) } },
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
 * What a step begins with, from what it is told.
 *
 * Inputs: `token`, `position` and `length`, f32 `[B, 1]`, and `table`, f32 `[B, M]`, all of them whole numbers below
 * 2^24; `embedding [V, D]`; `cos` and `sin`, f32 `[P, d/2]`, the angles of all positions. Outputs: `hidden [B, D]`,
 * `rotary.cos` and `rotary.sin [B, d/2]`, `lengths i32 [B]`, `pages i32 [B, M]`.
 */
function enterGraph(text: TextConfig, dtype: FloatDType): Graph {
  const g = new GraphBuilder('enter-step');
  const index = (name: string): Value =>
    g.reshape(g.cast(g.input(name, 'f32', ['B', 1]), 'i32'), ['B']);
  const table = (name: string): Value => g.input(name, 'f32', ['P', text.headDim / 2]);
  const embedding = g.input('embedding', dtype, [text.vocabSize, text.hiddenSize]);
  g.output('hidden', g.gather(embedding, index('token')));
  const position = index('position');
  g.output('rotary.cos', g.gather(table('cos'), position));
  g.output('rotary.sin', g.gather(table('sin'), position));
  g.output('lengths', index('length'));
  g.output('pages', g.cast(g.input('table', 'f32', ['B', 'M']), 'i32'));
  return g.build();
}
