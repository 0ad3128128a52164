import type { Program, View, Views, Workspace } from '../device/device.ts';
import { putAll, putIndex } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { sharedByLayers } from '../model/adapters/adapter.ts';
import { cacheMoveGraph, cacheWriteGraph } from '../model/cache-graphs.ts';
import { decoderLayers } from '../model/decoder-layers.ts';
import { decodeStepGraph } from '../model/decoder/decode-step.ts';
import { distributionGraph } from '../model/heads.ts';
import { generatedRotary } from '../model/rotary.ts';
import { tensorOf, type Tensors } from '../tensor/tensor.ts';
import type { DecoderWeights } from './decoder-weights.ts';
import { inverseTemperatureOf, type Draw, type HeadOutputs } from './sampler.ts';
import {
  drawsOf,
  type Entering,
  type SampledDecoderOptions,
  type StepDecoder,
  type StepRow,
} from './step-decoder.ts';

/** Keys and values of one layer, `[slots, K, capacity, d]` each. */
interface LayerCache {
  readonly keys: View;
  readonly values: View;
}

/** The row that a slot without a sequence computes. */
const EMPTY_ROW: StepRow = {
  token: 0,
  position: 0,
  cached: 0,
  sampling: { temperature: 1, topK: -1, topP: 1 },
  uniform: 0,
};

/**
 * Decoding by graphs of fixed shapes, on any device. Every step computes every slot, those without a sequence too, and
 * the cache never leaves the device.
 */
export class GraphDecoder implements StepDecoder {
  readonly capacity: number;
  readonly slots: number;
  readonly #options: SampledDecoderOptions;
  readonly #weights: DecoderWeights;
  readonly #cache: readonly LayerCache[];
  readonly #write: Program;
  readonly #move: Program;
  readonly #layers: readonly Program[];
  readonly #distribution: Program;
  readonly #workspace: Workspace;
  readonly #owned: DisposableStack;

  constructor(options: SampledDecoderOptions) {
    const { device, config, slots, capacity } = options;
    const { text } = config;
    const { dtype, adapters } = options.weights;
    using owned = new DisposableStack();
    this.capacity = capacity;
    this.slots = slots;
    this.#options = options;
    this.#weights = owned.use(options.taken);
    const shape = [slots, text.kvHeads, capacity, text.headDim];
    const allocate = (): View => owned.use(device.allocate(dtype, shape));
    this.#cache = this.#weights.layers.map(() => ({ keys: allocate(), values: allocate() }));
    const compile = (graph: Graph): Program => owned.use(device.compile(graph));
    this.#write = compile(cacheWriteGraph(text, options, dtype));
    this.#move = compile(cacheMoveGraph(text, options, dtype));
    this.#layers = sharedByLayers(decoderLayers(text), adapters, (layer, own) =>
      compile(decodeStepGraph(layer, capacity, own, dtype)),
    );
    this.#distribution = compile(distributionGraph(text, dtype));
    this.#workspace = owned.use(device.workspace());
    this.#owned = owned.move();
  }

  /** Does nothing: what a slot held before is masked, or written over. */
  clear(): void {}

  roomFor({ length }: readonly Entering[], running: number): number {
    return Math.min(length, this.slots - running);
  }

  enter(slot: number, { prompt: { layers, start, tokens } }: Entering): void {
    this.#workspace.reset();
    const place = { slot: this.#put(slot), start: this.#put(start), tokens: this.#put(tokens) };
    for (const [i, { keys, values }] of this.#cache.entries()) {
      const { key, value } = layers[i]!;
      this.#write.run({ ...place, rows: key, cache: keys }, this.#workspace, { next: keys });
      this.#write.run({ ...place, rows: value, cache: values }, this.#workspace, { next: values });
    }
  }

  leave(slot: number, last: number): void {
    if (slot === last) return;
    this.#workspace.reset();
    const from = this.#workspace.put(tensorOf('f32', [1], [last]));
    const places = { from, to: this.#put(slot) };
    for (const cache of this.#cache.flatMap(({ keys, values }) => [keys, values])) {
      this.#move.run({ ...places, cache }, this.#workspace, { next: cache });
    }
  }

  step(sequences: readonly StepRow[]): Promise<Draw[]> {
    const { logitBias, sampler } = this.#options;
    const { layers, head } = this.#weights;
    this.#workspace.reset();
    const rows = Array.from({ length: this.slots }, (_, slot) => sequences[slot] ?? EMPTY_ROW);
    let hidden = this.#embed(rows);
    const shared = putAll(this.#workspace, this.#layerInputs(rows));
    for (const [i, { keys, values }] of this.#cache.entries()) {
      const inputs = { hidden, keys, values, ...shared, ...layers[i] };
      const into = { nextKeys: keys, nextValues: values };
      hidden = this.#layers[i]!.run(inputs, this.#workspace, into)['output']!;
    }
    const inverse = rows.map(({ sampling }) => inverseTemperatureOf(sampling));
    const inverseTemperature = this.#workspace.put(tensorOf('f32', [rows.length, 1], inverse));
    const inputs = { hidden, logitBias, inverseTemperature, ...head };
    const outputs = this.#distribution.run(inputs, this.#workspace);
    return sampler.draw(outputs as Views & HeadOutputs, drawsOf(sequences));
  }

  /** The hidden rows of the tokens, `[slots, D]`. */
  #embed(rows: readonly StepRow[]): View {
    const { device, config, weights } = this.#options;
    const ids = Int32Array.from(rows, ({ token }) => token);
    const tokens = putIndex(this.#workspace, ids);
    const hidden = this.#workspace.take(weights.dtype, [rows.length, config.text.hiddenSize]);
    device.operations.gatherRows(this.#weights.embedding, tokens, hidden);
    return hidden;
  }

  /** Inputs that all layers share: rotary angles of the tokens, and the number of tokens before each in its cache. */
  #layerInputs(rows: readonly StepRow[]): Tensors {
    const positions = rows.map(({ position }) => position);
    const { cos, sin } = generatedRotary(this.#options.config.text, positions);
    const counts = rows.map(({ cached }) => cached);
    const cached = tensorOf('f32', [rows.length], counts);
    return { 'rotary.cos': cos, 'rotary.sin': sin, cached };
  }

  #put(scalar: number): View {
    return this.#workspace.put(tensorOf('f32', [], [scalar]));
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
