import type { Program, Recording, View, Views, Workspace } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { sharedByLayers } from '../model/adapters/adapter.ts';
import { decoderLayers, type Layer } from '../model/decoder-layers.ts';
import { pagedStepGraph } from '../model/decoder/paged-step.ts';
import { logitsGraph } from '../model/heads.ts';
import type { TextConfig } from '../model/model-config.ts';
import { generatedRotary } from '../model/rotary.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import type { DecoderWeights } from './decoder-weights.ts';
import type { ControlledSampler } from './controlled-sampler.ts';
import type { KernelSampler } from './kernel-sampler.ts';
import { PAGE_ROWS, PagedCache, pagesFor } from './paged-cache.ts';
import { drawBounds, inverseTemperatureOf, type Draw } from './sampler.ts';
import {
  drawsOf,
  type DecoderOptions,
  type Entering,
  type StepDecoder,
  type StepRow,
} from './step-decoder.ts';

/** Options of a decoder with a paged cache. */
export interface PagedDecoderOptions extends DecoderOptions {
  readonly sampler: KernelSampler;
  /** Draws where logits are changed first. */
  readonly controlled: ControlledSampler;
  /** Share of the free memory that the cache may take. */
  readonly memoryShare: number;
}

/** Numbers that a step gets for each row, besides its pages: one f32 column each. */
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

/** The row of a slot without a sequence. Its draw is greedy, which costs least. */
const EMPTY_ROW: RowNumbers = {
  token: 0,
  position: 0,
  length: 0,
  inverseTemperature: 1,
  uniform: 0,
  topK: 1,
  topP: 1,
};

/** A recorded step for some number of rows, and the memory that it computes in. */
interface RecordedStep extends Disposable {
  /** f32: the columns one after the other, then the rows' pages. */
  readonly input: View;
  /** f32 `[rows, 2]`, tokens and log-probabilities. */
  readonly drawn: View<'f32'>;
  /** f32 `[rows, V]` */
  readonly logits: View;
  readonly recording: Recording;
}

/**
 * Decoding on a device with kernels, over a cache in pages.
 *
 * A step is recorded once for every power of two of sequences. Running it takes one small upload, one call that queues
 * all of it, the draws included, and one small download.
 */
export class PagedDecoder implements StepDecoder {
  readonly capacity: number;
  readonly slots: number;
  readonly #options: PagedDecoderOptions;
  readonly #weights: DecoderWeights;
  readonly #cache: PagedCache;
  /** Most pages of a sequence. */
  readonly #mostPages: number;
  readonly #constants: Readonly<Record<'cos' | 'sin', View>> & { readonly rows: View<'i32'> };
  readonly #enter: Program;
  readonly #layers: readonly Program[];
  readonly #logits: Program;
  readonly #steps = new Map<number, RecordedStep>();
  readonly #owned: DisposableStack;

  /** @throws DEVICE_OUT_OF_MEMORY where the cache has no room for one sequence */
  constructor(options: PagedDecoderOptions) {
    const { device, config, slots, capacity } = options;
    const { text } = config;
    const { dtype, adapters } = options.weights;
    using owned = new DisposableStack();
    this.capacity = capacity;
    this.slots = slots;
    this.#options = options;
    this.#weights = owned.use(options.taken);
    this.#mostPages = pagesFor(capacity);
    this.#cache = owned.use(new PagedCache(device, text, dtype, pageCount(options)));
    const { cos, sin } = generatedRotary(text, [...Array(capacity).keys()]);
    const put = <D extends DType>(tensor: Tensor<D>): View<D> => {
      const view = owned.use(device.allocate(tensor.dtype, tensor.shape));
      device.upload(tensor, view);
      return view;
    };
    const rows = tensorOf('i32', [slots], [...Array(slots).keys()]);
    this.#constants = { cos: put(cos), sin: put(sin), rows: put(rows) };
    const compile = (graph: Graph): Program => owned.use(device.compile(graph));
    this.#enter = compile(enterGraph(text, dtype));
    const stepsOf = (some: readonly Layer<TextConfig>[], isLast: boolean): Program[] =>
      sharedByLayers(some, adapters, (layer, own) =>
        compile(pagedStepGraph(layer, PAGE_ROWS, isLast, own, dtype)),
      );
    const layers = decoderLayers(text);
    this.#layers = [...stepsOf(layers.slice(0, -1), false), ...stepsOf(layers.slice(-1), true)];
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
    const { device, sampler, controlled } = this.#options;
    const rows = Math.min(this.slots, 2 ** Math.ceil(Math.log2(sequences.length)));
    let step = this.#steps.get(rows);
    if (step === undefined) {
      step = this.#owned.use(this.#record(rows));
      this.#steps.set(rows, step);
    }
    const input = zeros('f32', step.input.shape);
    for (let slot = 0; slot < rows; slot++) {
      const sequence = sequences[slot];
      const numbers = sequence === undefined ? EMPTY_ROW : this.#numbersOf(sequence);
      for (const [i, name] of columns.entries()) input.data[i * rows + slot] = numbers[name];
      if (sequence === undefined) continue;
      const pages = this.#cache.pagesFor(slot, sequence.cached);
      input.data.set(pages, columns.length * rows + slot * this.#mostPages);
    }
    device.upload(input, step.input);
    step.recording.run();
    // If logits are changed, the tokens are drawn again after the recorded draws, which cost little.
    if (sequences.some(({ edit }) => edit != null)) {
      return controlled.draw({ logits: step.logits }, drawsOf(sequences));
    }
    return sampler.read(step.drawn, sequences.length);
  }

  #numbersOf({ token, position, cached, sampling, uniform }: StepRow): RowNumbers {
    const bounds = drawBounds(sampling, this.#options.config.text.vocabSize);
    const inverseTemperature = inverseTemperatureOf(sampling);
    return { token, position, length: cached, inverseTemperature, uniform, ...bounds };
  }

  #record(rows: number): RecordedStep {
    const { device, config } = this.#options;
    using made = new DisposableStack();
    const input = made.use(device.allocate('f32', [rows * (columns.length + this.#mostPages)]));
    const drawn = made.use(device.allocate('f32', [rows, 2]));
    const logits = made.use(device.allocate('f32', [rows, config.text.vocabSize]));
    const workspace = made.use(device.workspace());
    const recording = made.use(
      device.record(() => {
        this.#queue(rows, { input, drawn, logits }, workspace);
      }),
    );
    const owned = made.move();
    return { input, drawn, logits, recording, [Symbol.dispose]: () => owned.dispose() };
  }

  #queue(
    count: number,
    { input, drawn, logits }: Pick<RecordedStep, 'input' | 'drawn' | 'logits'>,
    workspace: Workspace,
  ): void {
    const { device, sampler } = this.#options;
    const { embedding, layers, head } = this.#weights;
    const { cos, sin, rows: slots } = this.#constants;
    const given = Object.fromEntries(
      columns.map((name, i) => [name, device.part(input, i * count, [count, 1])]),
    ) as Record<Column, View>;
    const table = device.part(input, columns.length * count, [count, this.#mostPages]);
    workspace.reset();
    const norms = layers.map(({ inputNorm }) => inputNorm!);
    const start = { ...given, table, embedding, cos, sin, inputNorm: norms[0]! };
    const { hidden, normed, ...entered } = this.#enter.run(start, workspace);
    let rows: Views = { hidden: hidden!, normed: normed! };
    for (const [i, { keys, values }] of this.#cache.layers.entries()) {
      const nextNorm = norms[i + 1];
      const inputs = {
        ...entered,
        ...rows,
        keys,
        values,
        ...layers[i],
        ...(nextNorm && { nextNorm }),
      };
      const into = { nextKeys: keys, nextValues: values };
      const { output, nextNormed } = this.#layers[i]!.run(inputs, workspace, into);
      rows = { hidden: output!, ...(nextNormed && { normed: nextNormed }) };
    }
    this.#logits.run({ ...given, ...head, ...rows }, workspace, { logits });
    const draws = { ...given, logits, rows: device.part(slots, 0, [count]) };
    sampler.queue(draws, workspace, drawn);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/**
 * Number of pages: enough for every slot, or as many as there is memory for.
 *
 * @throws DEVICE_OUT_OF_MEMORY where a single sequence has no room
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
  // One page belongs to no sequence.
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

/**
 * The beginning of a step: embeddings, rotary angles and indices of the rows.
 *
 * Inputs: `token`, `position` and `length`, f32 `[B, 1]`, and `table`, f32 `[B, M]`, all of them whole numbers below
 * 2^24; `embedding [V, D]`; `cos` and `sin`, f32 `[P, d/2]`, the angles of all positions; `inputNorm [D]` of the first
 * layer. Outputs: `hidden [B, D]`, and `normed [B, D]`, these rows after that norm; `rotary.cos` and `rotary.sin
 * [B, d/2]`, `lengths i32 [B]`, `pages i32 [B, M]`.
 */
function enterGraph(text: TextConfig, dtype: FloatDType): Graph {
  const g = new GraphBuilder('enter-step');
  const index = (name: string): Value =>
    g.reshape(g.cast(g.input(name, 'f32', ['B', 1]), 'i32'), ['B']);
  const table = (name: string): Value => g.input(name, 'f32', ['P', text.headDim / 2]);
  const embedding = g.input('embedding', dtype, [text.vocabSize, text.hiddenSize]);
  const norm = g.input('inputNorm', dtype, [text.hiddenSize]);
  const hidden = g.gather(embedding, index('token'));
  g.output('hidden', hidden);
  g.output('normed', g.rmsNorm(hidden, norm, text.rmsNormEps));
  const position = index('position');
  g.output('rotary.cos', g.gather(table('cos'), position));
  g.output('rotary.sin', g.gather(table('sin'), position));
  g.output('lengths', index('length'));
  g.output('pages', g.cast(g.input('table', 'f32', ['B', 'M']), 'i32'));
  return g.build();
}
