import { zeros, type Tensor } from '../tensor/tensor.ts';
import { rows } from '../tensor/tensor.ts';

/** Keys and values of one layer for one prompt, `[T, K, d]` each, as the prefill leaves them. */
export interface LayerKeysValues {
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** The sizes of a cache. */
export interface CacheShape {
  readonly layers: number;
  readonly slots: number;
  readonly kvHeads: number;
  readonly capacity: number;
  readonly headDim: number;
}

/**
 * Keys and values of running sequences: per layer one block `[slots, K, capacity, d]`, in which the
 * decode graph reads and appends in place. Sequences occupy the first slots without gaps.
 *
 * ```
 * slot 0: head 0: t0 t1 t2 … t(capacity-1) | head 1: … |   slot 1: …
 * ```
 */
export class KvCache {
  readonly shape: CacheShape;
  readonly #keys: readonly Tensor<'f32'>[];
  readonly #values: readonly Tensor<'f32'>[];

  constructor(shape: CacheShape) {
    const { layers, slots, kvHeads, capacity, headDim } = shape;
    const block = (): Tensor<'f32'> => zeros('f32', [slots, kvHeads, capacity, headDim]);
    this.shape = shape;
    this.#keys = Array.from({ length: layers }, block);
    this.#values = Array.from({ length: layers }, block);
  }

  /** The first `slots` slots of a layer's keys, `[slots, K, capacity, d]`. */
  keys(layer: number, slots: number): Tensor<'f32'> {
    return rows(this.#keys[layer]!, 0, slots);
  }

  /** The first `slots` slots of a layer's values. */
  values(layer: number, slots: number): Tensor<'f32'> {
    return rows(this.#values[layer]!, 0, slots);
  }

  /** Writes a prompt of `tokens` tokens to a slot, from position 0. */
  write(slot: number, prompt: readonly LayerKeysValues[], tokens: number): void {
    const { kvHeads, capacity, headDim } = this.shape;
    for (const [layer, { key, value }] of prompt.entries()) {
      const keys = this.#keys[layer]!.data;
      const values = this.#values[layer]!.data;
      for (let head = 0; head < kvHeads; head++) {
        let to = (slot * kvHeads + head) * capacity * headDim;
        let from = head * headDim;
        for (let t = 0; t < tokens; t++) {
          for (let i = 0; i < headDim; i++) {
            keys[to + i] = key[from + i]!;
            values[to + i] = value[from + i]!;
          }
          to += headDim;
          from += kvHeads * headDim;
        }
      }
    }
  }

  /** Copies the first `tokens` positions of slot `from` to slot `to`. */
  move(from: number, to: number, tokens: number): void {
    const { kvHeads, capacity, headDim } = this.shape;
    for (const block of [...this.#keys, ...this.#values]) {
      for (let head = 0; head < kvHeads; head++) {
        const source = (from * kvHeads + head) * capacity * headDim;
        const target = (to * kvHeads + head) * capacity * headDim;
        block.data.copyWithin(target, source, source + tokens * headDim);
      }
    }
  }
}
