import { encode } from '../graph/encode.ts';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { decodeGraph } from '../model/qwen2-5-vl/decode.ts';
import { textRotary, type RotaryTable } from '../model/qwen2-5-vl/rotary.ts';
import type { WeightViews } from '../model/qwen2-5-vl/weights.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Binding } from '../ort/binding.ts';
import type { Session } from '../ort/session.ts';
import { gatherRows } from '../tensor/rows.ts';
import { rows, tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import type { KvCache } from './kv-cache.ts';

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
 * The whole-model decoding step. Weights are bound once; what depends on the number of running
 * sequences is bound again only when that number changes.
 */
export class Decoder implements Disposable {
  readonly #config: ModelConfig;
  readonly #weights: WeightViews;
  readonly #session: Session;
  readonly #binding: Binding;
  readonly #cache: KvCache;
  readonly #rotary: RotaryTable;
  readonly #longest = zeros('i32', [1]);
  readonly #hidden: Tensor<'f32'>;
  readonly #cos: Tensor<'f32'>;
  readonly #sin: Tensor<'f32'>;
  readonly #lastIndex: Tensor<'i32'>;
  readonly #inverseTemperature: Tensor<'f32'>;
  readonly #probabilities: Tensor<'f32'>;
  #bound = 0;

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
    const { slots } = cache.shape;
    const { headDim, hiddenSize, vocabSize, ropeTheta } = config.text;
    this.#config = config;
    this.#weights = weights;
    this.#cache = cache;
    // Generated tokens are text: their three positions are equal, so one row of angles serves.
    const every = tensorOf(
      'i32',
      [1, positions],
      Int32Array.from({ length: positions }, (_, i) => i),
    );
    this.#rotary = textRotary(every, headDim, ropeTheta, null);
    this.#hidden = zeros('f32', [slots, hiddenSize]);
    this.#cos = zeros('f32', [slots, headDim / 2]);
    this.#sin = zeros('f32', [slots, headDim / 2]);
    this.#lastIndex = zeros('i32', [slots]);
    this.#inverseTemperature = zeros('f32', [slots, 1]);
    this.#probabilities = zeros('f32', [slots, vocabSize]);
    this.#session = runtime.compile(encode(decodeGraph(config.text)), { name: 'decode' });
    this.#binding = this.#session.bind();
    this.#bindWeights(logitBias);
  }

  /** Feeds one token of each sequence, slot by slot; returns the next tokens' distributions `[B, V]`. */
  step(sequences: readonly StepRow[]): Tensor<'f32'> {
    const count = sequences.length;
    if (count !== this.#bound) this.#bindSlots(count);
    let longest = 0;
    for (const [slot, { cached, temperature }] of sequences.entries()) {
      this.#lastIndex.data[slot] = cached;
      this.#inverseTemperature.data[slot] = temperature === 0 ? 1 : 1 / temperature;
      longest = Math.max(longest, cached + 1);
    }
    this.#longest.data[0] = longest;
    const positions = sequences.map(({ position }) => position);
    gatherRows(
      this.#weights.embedding,
      sequences.map(({ token }) => token),
      this.#hidden,
    );
    gatherRows(this.#rotary.cos, positions, this.#cos);
    gatherRows(this.#rotary.sin, positions, this.#sin);
    this.#binding.run();
    return rows(this.#probabilities, 0, count);
  }

  #bindWeights(logitBias: Tensor<'f32'>): void {
    for (const [layer, views] of this.#weights.layers.entries()) {
      for (const [name, tensor] of Object.entries(views)) {
        this.#binding.input(`${layer}.${name}`, tensor);
      }
    }
    for (const [name, tensor] of Object.entries(this.#weights.head))
      this.#binding.input(name, tensor);
    this.#binding.input('logitBias', logitBias);
    this.#binding.input('longest', this.#longest);
  }

  #bindSlots(count: number): void {
    this.#bound = count;
    const binding = this.#binding;
    binding.input('hidden', rows(this.#hidden, 0, count));
    binding.input('rotary.cos', rows(this.#cos, 0, count));
    binding.input('rotary.sin', rows(this.#sin, 0, count));
    binding.input('lastIndex', rows(this.#lastIndex, 0, count));
    binding.input('inverseTemperature', rows(this.#inverseTemperature, 0, count));
    binding.output('probabilities', rows(this.#probabilities, 0, count));
    for (let layer = 0; layer < this.#config.text.layers; layer++) {
      const keys = this.#cache.keys(layer, count);
      const values = this.#cache.values(layer, count);
      binding.input(`past.key.${layer}`, keys).output(`present.key.${layer}`, keys);
      binding.input(`past.value.${layer}`, values).output(`present.value.${layer}`, values);
    }
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
    this.#session[Symbol.dispose]();
  }
}
