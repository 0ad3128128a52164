import type { Device, Program, View, Views, Workspace } from '../device/device.ts';
import { putAll, putIndex } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { NO_ADAPTERS, type BlockAdapters } from '../model/adapters/adapter.ts';
import { architectureOf } from '../model/families.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { cacheMoveGraph, cacheWriteGraph } from '../model/cache-graphs.ts';
import { distributionGraph } from '../model/heads.ts';
import { textRotary } from '../model/rotary.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { takeDecoderWeights, type DecoderWeights } from './decoder-weights.ts';
import { inverseTemperatureOf, type Draw, type Sampler } from './sampler.ts';
import { drawsOf, type Entering, type StepDecoder, type StepRow } from './step-decoder.ts';

/** What a decoder is made from. */
export interface DecoderOptions {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly sampler: Sampler;
  /** f32 `[V]`, added to the logits. */
  readonly logitBias: View;
  /** Sequences decoded together. */
  readonly slots: number;
  /** Most tokens of a sequence. */
  readonly capacity: number;
}

/** Keys and values of one layer, `[slots, K, capacity, d]` each. */
interface LayerCache {
  readonly keys: View & Disposable;
  readonly values: View & Disposable;
}

/**
 * Decoding by graphs of fixed shapes, on any device: every step computes every slot, those without a sequence too, and
 * the cache never leaves the device.
 */
export class GraphDecoder implements StepDecoder {
  readonly capacity: number;
  readonly #options: DecoderOptions;
  readonly slots: number;
  readonly #weights: DecoderWeights;
  readonly #cache: readonly LayerCache[];
  readonly #programs = new Map<string, Program>();
  readonly #workspace: Workspace;

  /** Takes the weights, until it is disposed. */
  static async open(options: DecoderOptions): Promise<GraphDecoder> {
    return new GraphDecoder(options, await takeDecoderWeights(options.config, options.weights));
  }

  private constructor(options: DecoderOptions, taken: DecoderWeights) {
    const { device, config, weights, slots, capacity } = options;
    const { kvHeads, headDim } = config.text;
    this.capacity = capacity;
    this.slots = slots;
    this.#options = options;
    this.#weights = taken;
    this.#workspace = device.workspace();
    const { dtype } = weights;
    const shape = [slots, kvHeads, capacity, headDim];
    this.#cache = taken.layers.map(() => ({
      keys: device.allocate(dtype, shape),
      values: device.allocate(dtype, shape),
    }));
  }

  /** Nothing to do: what a slot held before is masked, or written over. */
  clear(): void {}

  roomFor({ length }: readonly Entering[], running: number): number {
    return Math.min(length, this.slots - running);
  }

  enter(slot: number, { prompt: { batch, start, tokens } }: Entering): void {
    const { config, weights } = this.#options;
    const program = this.#program('write', () =>
      cacheWriteGraph(config.text, this.#options, weights.dtype),
    );
    this.#workspace.reset();
    const place = this.#scalars({ slot, start, tokens });
    for (const [i, { keys, values }] of this.#cache.entries()) {
      const { key, value } = batch.layers[i]!;
      program.run({ ...place, rows: key, cache: keys }, this.#workspace, { next: keys });
      program.run({ ...place, rows: value, cache: values }, this.#workspace, { next: values });
    }
  }

  leave(slot: number, last: number): void {
    if (slot !== last) this.#move(last, slot);
  }

  #move(from: number, to: number): void {
    const { config, weights } = this.#options;
    const program = this.#program('move', () =>
      cacheMoveGraph(config.text, this.#options, weights.dtype),
    );
    this.#workspace.reset();
    const places = {
      from: this.#workspace.put(tensorOf('f32', [1], [from])),
      ...this.#scalars({ to }),
    };
    for (const cache of this.#cache.flatMap(({ keys, values }) => [keys, values])) {
      program.run({ ...places, cache }, this.#workspace, { next: cache });
    }
  }

  step(sequences: readonly StepRow[]): Promise<Draw[]> {
    const { device, config, weights, sampler, slots, logitBias } = this.#options;
    const { text } = config;
    this.#workspace.reset();
    const rows = Array.from({ length: slots }, (_, slot) => sequences[slot] ?? EMPTY);
    const tokens = putIndex(
      this.#workspace,
      Int32Array.from(rows, ({ token }) => token),
    );
    let hidden: View = this.#workspace.take(weights.dtype, [slots, text.hiddenSize]);
    const { embedding, layers, head } = this.#weights;
    device.operations.gatherRows(embedding, tokens, hidden);
    // Generated tokens are text: their three positions are equal, so one row of angles serves.
    const positions = tensorOf(
      'i32',
      [1, slots],
      rows.map(({ position }) => position),
    );
    const { cos, sin } = textRotary(positions, text.headDim, text.ropeTheta, null);
    const cached = tensorOf(
      'f32',
      [slots],
      rows.map((row) => row.cached),
    );
    const shared = putAll(this.#workspace, { 'rotary.cos': cos, 'rotary.sin': sin, cached });
    for (const [i, { keys, values }] of this.#cache.entries()) {
      const inputs = { hidden, keys, values, ...shared, ...layers[i] };
      const into = { nextKeys: keys, nextValues: values };
      hidden = this.#layerProgram(i).run(inputs, this.#workspace, into)['output']!;
    }
    const inverse = rows.map(({ sampling }) => inverseTemperatureOf(sampling));
    const inverseTemperature = this.#workspace.put(tensorOf('f32', [slots, 1], inverse));
    const inputs = { hidden, logitBias, inverseTemperature, ...head };
    const distribution = this.#program('distribution', () =>
      distributionGraph(text, 'rows', weights.dtype),
    );
    const { probabilities } = distribution.run(inputs, this.#workspace);
    return sampler.draw(probabilities!, drawsOf(sequences));
  }

  #scalars(numbers: Readonly<Record<string, number>>): Views {
    return putAll(
      this.#workspace,
      Object.fromEntries(
        Object.entries(numbers).map(([name, value]) => [name, tensorOf('f32', [], [value])]),
      ),
    );
  }

  /** The program of a layer; those whose adapters are alike share one. */
  #layerProgram(layer: number): Program {
    const { config, capacity, weights } = this.#options;
    const adapters: BlockAdapters | undefined = weights.adapters?.layers[layer];
    return this.#program(`layer ${adapters?.modules.join() ?? ''}`, () =>
      architectureOf(config).decoder.decodeStep(
        config.text,
        capacity,
        adapters ?? NO_ADAPTERS,
        weights.dtype,
      ),
    );
  }

  #program(name: string, graph: () => Graph): Program {
    let program = this.#programs.get(name);
    if (program === undefined) {
      program = this.#options.device.compile(graph());
      this.#programs.set(name, program);
    }
    return program;
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) program[Symbol.dispose]();
    for (const { keys, values } of this.#cache) {
      keys[Symbol.dispose]();
      values[Symbol.dispose]();
    }
    this.#weights[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }
}

/** What a slot without a sequence computes. */
const EMPTY: StepRow = {
  token: 0,
  position: 0,
  cached: 0,
  sampling: { temperature: 1, topK: -1, topP: 1 },
  uniform: 0,
};
