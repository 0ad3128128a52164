import type { HostMemory, View } from '../../device/device.ts';
import { FEWEST_COLUMNS, type DecodeForm } from '../../model/decode-form.ts';
import { generatedRotary } from '../../model/rotary.ts';
import { reshaped, rows, zeros, type Tensor } from '../../tensor/tensor.ts';
import { inverseTemperatureOf, type Draw } from '../sampler.ts';
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
  readonly #options: SampledDecoderOptions;
  readonly #host: HostMemory;
  readonly #embedding: Tensor<'f32'>; // [V, D]
  readonly #cache: KvCache;
  readonly #heads: StepHeads;
  readonly #blocks: Readonly<Record<DecodeForm, DecodeBlocks>>;
  /** Hidden states before and after a layer, in turns. */
  readonly #hidden: readonly [Tensor<'f32'>, Tensor<'f32'>]; // [slots, D]
  readonly #inverseTemperature: Tensor<'f32'>; // [slots, 1]
  readonly #probabilities: Tensor<'f32'>; // [slots, V]
  readonly #logits: Tensor<'f32'>; // [slots, V]
  #boundSlots = 0;
  #boundLength = 0;

  constructor(options: SampledDecoderOptions, host: HostMemory) {
    const { slots, capacity, taken } = options;
    const { text } = options.config;
    this.capacity = capacity;
    this.slots = slots;
    this.#options = options;
    this.#host = host;
    this.#embedding = host.tensor(taken.embedding) as Tensor<'f32'>;
    this.#cache = new KvCache({ ...text, slots, capacity });
    const rotary = generatedRotary(text, [...Array(capacity).keys()]);
    this.#heads = new StepHeads(text, slots, rotary);
    this.#blocks = {
      rows: new DecodeBlocks(options, 'rows'),
      columns: new DecodeBlocks(options, 'columns'),
    };
    const buffer = (width: number): Tensor<'f32'> => zeros('f32', [slots, width]);
    this.#hidden = [buffer(text.hiddenSize), buffer(text.hiddenSize)];
    this.#inverseTemperature = buffer(1);
    this.#probabilities = buffer(text.vocabSize);
    this.#logits = buffer(text.vocabSize);
  }

  clear(): void {
    this.#cache.clear();
  }

  roomFor({ length }: readonly Entering[], running: number): number {
    return Math.min(length, this.slots - running);
  }

  enter(slot: number, { prompt: { layers, start, tokens } }: Entering): void {
    const part = (view: View): Float32Array =>
      rows(this.#host.tensor(view), start, start + tokens).data as Float32Array;
    const own = layers.map(({ key, value }): PromptKeysValues => ({
      key: part(key),
      value: part(value),
    }));
    this.#cache.write(slot, own, tokens);
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
    const heads = this.#heads;
    const tokens = sequences.map(({ token }) => token);
    const gather = form === 'rows' ? gatherRows : gatherColumns;
    gather(this.#embedding, tokens, this.#hiddenIn(form, count, 0));
    for (const [slot, { sampling }] of sequences.entries()) {
      this.#inverseTemperature.data[slot] = inverseTemperatureOf(sampling);
    }
    heads.begin(sequences.map(({ position }) => position));
    for (const layer of project.keys()) {
      project[layer]!.run();
      heads.putQueries();
      this.#cache.append(layer, heads, cached);
      attend[layer]!.run();
    }
    distribution.run();
    const first = (tensor: Tensor): View => this.#host.view(rows(tensor, 0, count));
    const outputs = { probabilities: first(this.#probabilities), logits: first(this.#logits) };
    return this.#options.sampler.draw(outputs, drawsOf(sequences));
  }

  /** One of the two buffers of hidden states, in a form. */
  #hiddenIn(form: DecodeForm, count: number, which: 0 | 1): Tensor<'f32'> {
    const part = rows(this.#hidden[which], 0, count);
    return form === 'rows' ? part : reshaped(part, part.shape.toReversed());
  }

  #bind(form: DecodeForm, count: number): void {
    const { headDim, heads, kvHeads, layers } = this.#options.config.text;
    const { project, attend, distribution } = this.#blocks[form].open();
    const first = (tensor: Tensor<'f32'>): Tensor<'f32'> => rows(tensor, 0, count);
    const view = (tensor: Tensor): View => this.#host.view(tensor);
    const { query, projected } = this.#heads;
    const joined = view(first(projected));
    const groups = [count * kvHeads, heads / kvHeads, headDim + 1];
    const grouped = view(reshaped(first(query), groups));
    const hidden = ([0, 1] as const).map((which) => view(this.#hiddenIn(form, count, which)));
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
      .input('inverseTemperature', view(first(this.#inverseTemperature)))
      .output('probabilities', view(first(this.#probabilities)))
      .output('logits', view(first(this.#logits)));
    this.#boundSlots = count;
    this.#boundLength = this.#cache.length;
  }

  [Symbol.dispose](): void {
    for (const blocks of Object.values(this.#blocks)) blocks[Symbol.dispose]();
    this.#options.taken[Symbol.dispose]();
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
