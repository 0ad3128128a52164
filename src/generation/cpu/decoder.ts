import type { HostMemory, View } from '../../device/device.ts';
import type { ModelConfig, TextConfig } from '../../model/model-config.ts';
import { FEWEST_COLUMNS, type DecodeForm } from '../../model/decode-form.ts';
import { scoreScaleOf } from '../../model/attention.ts';
import { generatedRotary } from '../../model/rotary.ts';
import { reshaped, rows, zeros, type Tensor } from '../../tensor/tensor.ts';
import type { DecoderWeights } from '../decoder-weights.ts';
import type { ControlledSampler } from '../controlled-sampler.ts';
import { inverseTemperatureOf, type Draw, type HeadOutputs } from '../sampler.ts';
import {
  drawsOf,
  type Entering,
  type SampledDecoderOptions,
  type StepDecoder,
  type StepRow,
} from '../step-decoder.ts';
import { DecodeBlocks } from './decode-blocks.ts';
import { KvCache, type PromptKeysValues } from './kv-cache.ts';
import { StepHeads } from './step-heads.ts';

/**
 * Decoding on the CPU, block by block: a layer projects, its keys and values join the cache, it attends.
 *
 * Weights are bound once. Tensors whose shape depends on the number of running sequences or on the cache's length are
 * bound again only when those change. Some ten thousand numbers pass between two blocks, and stay in a core's cache;
 * `StepHeads` says why they are moved and rotated here rather than in a graph.
 */
export class CpuDecoder implements StepDecoder {
  readonly capacity: number;
  readonly slots: number;
  readonly #config: ModelConfig;
  readonly #host: HostMemory;
  readonly #sampler: ControlledSampler;
  readonly #weights: DecoderWeights;
  readonly #embedding: Tensor<'f32'>; // [V, D]
  readonly #cache: KvCache;
  readonly #heads: StepHeads;
  readonly #buffers: Buffers;
  readonly #blocks: Readonly<Record<DecodeForm, DecodeBlocks>>;
  #boundSlots = 0;
  #boundLength = 0;

  constructor(options: SampledDecoderOptions, host: HostMemory) {
    const { config, sampler, slots, capacity, taken } = options;
    const { layers, kvHeads, headDim } = config.text;
    this.capacity = capacity;
    this.slots = slots;
    this.#config = config;
    this.#host = host;
    this.#sampler = sampler;
    this.#weights = taken;
    this.#embedding = host.tensor(taken.embedding) as Tensor<'f32'>;
    const scoreScale = scoreScaleOf(config.text);
    this.#cache = new KvCache({ layers, slots, kvHeads, capacity, headDim, scoreScale });
    this.#heads = new StepHeads(config.text, slots, generatedRotary(config.text, capacity));
    this.#buffers = new Buffers(config.text, slots);
    this.#blocks = {
      rows: new DecodeBlocks(options, 'rows'),
      columns: new DecodeBlocks(options, 'columns'),
    };
  }

  clear(): void {
    this.#cache.clear();
  }

  roomFor({ length }: readonly Entering[], running: number): number {
    return Math.min(length, this.slots - running);
  }

  enter(slot: number, { prompt: { batch, start, tokens } }: Entering): void {
    const part = (view: View): Float32Array =>
      rows(this.#host.tensor(view), start, start + tokens).data as Float32Array;
    const layers = batch.layers.map(({ key, value }): PromptKeysValues => ({
      key: part(key),
      value: part(value),
    }));
    this.#cache.write(slot, layers, tokens);
  }

  leave(slot: number, last: number): void {
    if (slot !== last) this.#cache.move(last, slot);
  }

  step(sequences: readonly StepRow[]): Promise<Draw[]> {
    const count = sequences.length;
    const form = count < FEWEST_COLUMNS ? 'rows' : 'columns';
    const { project, attend, distribution } = this.#blocks[form].open();
    const cached = sequences.map((sequence) => sequence.cached);
    this.#cache.fit(Math.max(...cached) + 1, count);
    if (count !== this.#boundSlots || this.#cache.length !== this.#boundLength) {
      this.#bind(form, count);
    }
    const buffers = this.#buffers;
    const heads = this.#heads;
    const tokens = sequences.map(({ token }) => token);
    const gather = form === 'rows' ? gatherRows : gatherColumns;
    gather(this.#embedding, tokens, buffers.hidden(0, form, count));
    for (const [slot, { sampling }] of sequences.entries()) {
      buffers.inverseTemperature.data[slot] = inverseTemperatureOf(sampling);
    }
    heads.begin(sequences.map(({ position }) => position));
    for (const layer of project.keys()) {
      project[layer]!.run();
      heads.putQueries();
      this.#cache.append(layer, heads, cached);
      attend[layer]!.run();
    }
    distribution.run();
    return this.#sampler.draw(this.#headOutputs(count), drawsOf(sequences));
  }

  #headOutputs(count: number): HeadOutputs {
    const { probabilities, logits } = this.#buffers;
    const view = (tensor: Tensor): View => this.#host.view(rows(tensor, 0, count));
    return { probabilities: view(probabilities), logits: view(logits) };
  }

  #bind(form: DecodeForm, count: number): void {
    const { headDim, heads, kvHeads, layers } = this.#config.text;
    const { project, attend, distribution } = this.#blocks[form].open();
    const buffers = this.#buffers;
    const first = (tensor: Tensor<'f32'>): Tensor<'f32'> => rows(tensor, 0, count);
    const view = (tensor: Tensor): View => this.#host.view(tensor);
    const { query, projected } = this.#heads;
    const joined = view(first(projected));
    const groups = [count * kvHeads, heads / kvHeads, headDim + 1];
    const grouped = view(reshaped(first(query), groups));
    const hidden = [0, 1].map((which) => view(buffers.hidden(which as 0 | 1, form, count)));
    for (let layer = 0; layer < layers; layer++) {
      const [from, to] = [hidden[layer % 2]!, hidden[(layer + 1) % 2]!];
      project[layer]!.input('hidden', from).output('projected', joined);
      attend[layer]!.input('hidden', from)
        .input('query', grouped)
        .input('keys', view(this.#cache.keys(layer, count)))
        .input('values', view(this.#cache.values(layer, count)))
        .output('output', to);
    }
    distribution
      .input('hidden', hidden[layers % 2]!)
      .input('inverseTemperature', view(first(buffers.inverseTemperature)))
      .output('probabilities', view(first(buffers.probabilities)))
      .output('logits', view(first(buffers.logits)));
    this.#boundSlots = count;
    this.#boundLength = this.#cache.length;
  }

  [Symbol.dispose](): void {
    for (const blocks of Object.values(this.#blocks)) blocks[Symbol.dispose]();
    this.#weights[Symbol.dispose]();
  }
}

/** Tensors between the blocks of a step, for up to `slots` sequences. */
class Buffers {
  readonly inverseTemperature: Tensor<'f32'>;
  readonly probabilities: Tensor<'f32'>;
  readonly logits: Tensor<'f32'>;
  readonly #hidden: readonly [Tensor<'f32'>, Tensor<'f32'>];
  readonly #config: TextConfig;

  constructor(config: TextConfig, slots: number) {
    const { hiddenSize, vocabSize } = config;
    this.#config = config;
    this.#hidden = [zeros('f32', [slots, hiddenSize]), zeros('f32', [slots, hiddenSize])];
    this.inverseTemperature = zeros('f32', [slots, 1]);
    this.probabilities = zeros('f32', [slots, vocabSize]);
    this.logits = zeros('f32', [slots, vocabSize]);
  }

  /** One of two buffers of hidden states, in a form. */
  hidden(which: 0 | 1, form: DecodeForm, count: number): Tensor<'f32'> {
    const part = rows(this.#hidden[which], 0, count);
    return form === 'rows' ? part : reshaped(part, [this.#config.hiddenSize, count]);
  }
}

/** Copies rows `index[i]` of `source [R, n]` to rows `i` of `target [index.length, n]`. */
function gatherRows(source: Tensor<'f32'>, index: readonly number[], target: Tensor<'f32'>): void {
  const width = target.data.length / index.length;
  for (const [i, row] of index.entries()) {
    const start = row * width;
    target.data.set(source.data.subarray(start, start + width), i * width);
  }
}

/** Copies rows `index[i]` of `source [R, n]` to columns `i` of `target [n, index.length]`. */
function gatherColumns(
  source: Tensor<'f32'>,
  index: readonly number[],
  target: Tensor<'f32'>,
): void {
  const count = index.length;
  const width = target.data.length / count;
  const from = source.data;
  const to = target.data;
  // Writes run from first to last: a write costs more than a read where another core read last.
  const starts = Int32Array.from(index, (row) => row * width);
  for (let j = 0, at = 0; j < width; j++) {
    for (let i = 0; i < count; i++, at++) to[at] = from[starts[i]! + j]!;
  }
}
