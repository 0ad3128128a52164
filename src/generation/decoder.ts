import type { ModelConfig, TextConfig } from '../model/qwen2-5-vl/config.ts';
import { FEWEST_COLUMNS, type DecodeForm } from '../model/qwen2-5-vl/decode.ts';
import { textRotary } from '../model/qwen2-5-vl/rotary.ts';
import type { WeightViews } from '../model/qwen2-5-vl/weights.ts';
import type { Runtime } from '../ort/runtime.ts';
import { gatherColumns, gatherRows } from '../tensor/rows.ts';
import { reshaped, rows, tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { DecodeBlocks } from './decode-blocks.ts';
import type { KvCache } from './kv-cache.ts';
import { StepHeads } from './step-heads.ts';

/** One sequence's share of a decoding step. */
export interface StepRow {
  readonly token: number;
  /** Rotary position of the token. */
  readonly position: number;
  /** Tokens in the cache before this one. */
  readonly cached: number;
  readonly temperature: number;
}

/**
 * One decoding step of the text model, block by block: a layer projects, its keys and values join the
 * cache, it attends. Weights are bound once; what depends on the number of running sequences or the
 * cache's length is bound again only when those change.
 */
export class Decoder implements Disposable {
  readonly #config: ModelConfig;
  readonly #weights: WeightViews;
  readonly #cache: KvCache;
  readonly #heads: StepHeads;
  readonly #buffers: Buffers;
  readonly #blocks: Readonly<Record<DecodeForm, DecodeBlocks>>;
  #boundSlots = 0;
  #boundLength = 0;

  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: WeightViews,
    {
      cache,
      logitBias,
      positions,
    }: { cache: KvCache; logitBias: Tensor<'f32'>; positions: number },
  ) {
    const { headDim, ropeTheta } = config.text;
    this.#config = config;
    this.#weights = weights;
    this.#cache = cache;
    // Generated tokens are text: their three positions are equal, so one row of angles serves.
    const every = tensorOf(
      'i32',
      [1, positions],
      Int32Array.from({ length: positions }, (_, i) => i),
    );
    const rotary = textRotary(every, headDim, ropeTheta, null);
    this.#heads = new StepHeads(config.text, cache.shape.slots, rotary);
    this.#buffers = new Buffers(config.text, cache.shape.slots);
    const blocks = (form: DecodeForm): DecodeBlocks =>
      new DecodeBlocks(runtime, config.text, form, weights, logitBias);
    this.#blocks = { rows: blocks('rows'), columns: blocks('columns') };
  }

  /** Feeds one token of each sequence, slot by slot; returns the next tokens' distributions `[B, V]`. */
  step(sequences: readonly StepRow[]): Tensor<'f32'> {
    const count = sequences.length;
    const form = count < FEWEST_COLUMNS ? 'rows' : 'columns';
    const { project, attend, distribution } = this.#blocks[form].open();
    const cached = sequences.map((sequence) => sequence.cached);
    this.#cache.reserve(Math.max(...cached) + 1, count);
    if (count !== this.#boundSlots || this.#cache.length !== this.#boundLength) {
      this.#bind(form, count);
    }
    const buffers = this.#buffers;
    const heads = this.#heads;
    const tokens = sequences.map(({ token }) => token);
    const gather = form === 'rows' ? gatherRows : gatherColumns;
    gather(this.#weights.embedding, tokens, buffers.hidden(0, form, count));
    for (const [slot, { temperature }] of sequences.entries()) {
      buffers.inverseTemperature.data[slot] = temperature === 0 ? 1 : 1 / temperature;
    }
    heads.begin(sequences.map(({ position }) => position));
    for (const layer of project.keys()) {
      project[layer]!.run();
      heads.putQueries();
      this.#cache.append(layer, heads, cached);
      attend[layer]!.run();
    }
    distribution.run();
    return rows(buffers.probabilities, 0, count);
  }

  #bind(form: DecodeForm, count: number): void {
    const { headDim, heads, kvHeads, layers } = this.#config.text;
    const { project, attend, distribution } = this.#blocks[form].open();
    const buffers = this.#buffers;
    const first = (tensor: Tensor<'f32'>): Tensor<'f32'> => rows(tensor, 0, count);
    const { query, projected } = this.#heads;
    const joined = first(projected);
    const grouped = reshaped(first(query), [count * kvHeads, heads / kvHeads, headDim + 1]);
    const hidden = [buffers.hidden(0, form, count), buffers.hidden(1, form, count)] as const;
    for (let layer = 0; layer < layers; layer++) {
      const [from, to] = [hidden[layer % 2]!, hidden[(layer + 1) % 2]!];
      project[layer]!.input('hidden', from).output('projected', joined);
      attend[layer]!.input('hidden', from)
        .input('query', grouped)
        .input('keys', this.#cache.keys(layer, count))
        .input('values', this.#cache.values(layer, count))
        .output('output', to);
    }
    distribution
      .input('hidden', hidden[layers % 2]!)
      .input('inverseTemperature', first(buffers.inverseTemperature))
      .output('probabilities', first(buffers.probabilities));
    this.#boundSlots = count;
    this.#boundLength = this.#cache.length;
  }

  [Symbol.dispose](): void {
    for (const blocks of Object.values(this.#blocks)) blocks[Symbol.dispose]();
  }
}

/** What passes between the blocks of a step, for up to `slots` sequences. */
class Buffers {
  readonly inverseTemperature: Tensor<'f32'>;
  readonly probabilities: Tensor<'f32'>;
  readonly #hidden: readonly [Tensor<'f32'>, Tensor<'f32'>];
  readonly #config: TextConfig;

  constructor(config: TextConfig, slots: number) {
    const { hiddenSize, vocabSize } = config;
    this.#config = config;
    this.#hidden = [zeros('f32', [slots, hiddenSize]), zeros('f32', [slots, hiddenSize])];
    this.inverseTemperature = zeros('f32', [slots, 1]);
    this.probabilities = zeros('f32', [slots, vocabSize]);
  }

  /** One of two buffers of hidden states, in a form. */
  hidden(which: 0 | 1, form: DecodeForm, count: number): Tensor<'f32'> {
    const part = rows(this.#hidden[which], 0, count);
    return form === 'rows' ? part : reshaped(part, [this.#config.hiddenSize, count]);
  }
}
