import { scoreScaleOf } from '../../model/attention.ts';
import type { TextConfig } from '../../model/model-config.ts';
import { rows, zeros, type Tensor } from '../../tensor/tensor.ts';
import type { StepHeads } from './step-heads.ts';

/** Keys and values of one layer for one prompt, `[T, K, d]` each, as the prefill leaves them. */
export interface PromptKeysValues {
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** The sizes of a cache. */
interface CacheShape extends Pick<TextConfig, 'layers' | 'kvHeads' | 'headDim'> {
  readonly slots: number;
  /** Most tokens of a sequence. */
  readonly capacity: number;
}

/** Tokens by which the length grows: enough for moving the cache to cost little per token. */
const LENGTH_STEP = 32;
/** Score of an empty position, relative to the first token's: e^-40 of its weight changes no float32 sum. */
const EMPTY_SCORE = -40;

/**
 * Keys and values of running sequences, which attention reads up to one `length` for all of them.
 * Sequences occupy the first slots without gaps.
 *
 * A key has one feature more than a head: a bias of its score, because the last feature of every query is 1. At
 * positions without a token the bias is `EMPTY_SCORE`, and the rest of the key is the first token's. So sequences of
 * different lengths need no mask. No weight is far enough below the largest to be subnormal, which would slow softmax.
 *
 * ```
 *                     length
 * slot 0: head 0: t0 t1 t2 … empty … | head 1: … |   slot 1: …          unused
 * '------------------------- slots · K · length -------------------'------------'
 * ```
 */
export class KvCache {
  readonly #shape: CacheShape;
  readonly #keys: readonly Tensor<'f32'>[];
  readonly #values: readonly Tensor<'f32'>[];
  #length = 0;

  constructor(shape: CacheShape) {
    const { layers, slots, kvHeads, capacity, headDim } = shape;
    const positions = slots * kvHeads * capacity;
    const block = (width: number): Tensor<'f32'>[] => {
      const all = zeros('f32', [layers * positions, width]);
      return Array.from({ length: layers }, (_, i) =>
        rows(all, i * positions, (i + 1) * positions),
      );
    };
    this.#shape = shape;
    this.#keys = block(headDim + 1);
    this.#values = block(headDim);
  }

  /** Bytes that are in use where the first `slots` slots have sequences of up to `tokens` tokens. */
  static bytesInUse(
    { layers, kvHeads, capacity, headDim }: Omit<CacheShape, 'slots'>,
    slots: number,
    tokens: number,
  ): number {
    const rows = layers * slots * kvHeads * lengthFor(tokens, capacity);
    return rows * (2 * headDim + 1) * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Positions of every sequence that attention reads, empty ones among them. */
  get length(): number {
    return this.#length;
  }

  /** Forgets every sequence. */
  clear(): void {
    this.#length = 0;
  }

  /**
   * Makes room for the first `slots` slots, whose longest sequence has `tokens` tokens. Room of which half or more would
   * be empty is given up: one long sequence must not slow all that come after it.
   */
  fit(tokens: number, slots: number): void {
    const length = lengthFor(tokens, this.#shape.capacity);
    if (length > this.#length || 2 * length <= this.#length) this.#resize(length, slots);
  }

  /** Lays the first `slots` slots out anew, each with `to` positions. */
  #resize(to: number, slots: number): void {
    const from = this.#length;
    const kept = Math.min(from, to);
    const groups = slots * this.#shape.kvHeads;
    this.#length = to;
    for (const block of [...this.#keys, ...this.#values]) {
      const width = block.shape[1]!;
      for (let i = 1; i < groups; i++) {
        // In the order in which nothing is overwritten before it was moved.
        const group = to > from ? groups - i : i;
        const start = group * from * width;
        block.data.copyWithin(group * to * width, start, start + kept * width);
      }
    }
    if (to > from) for (let slot = 0; slot < slots; slot++) this.#empty(slot, from);
  }

  /** The first `slots` slots of a layer's keys, `[slots · K, length, d + 1]`. */
  keys(layer: number, slots: number): Tensor<'f32'> {
    return this.#view(this.#keys[layer]!, slots);
  }

  /** The first `slots` slots of a layer's values, `[slots · K, length, d]`. */
  values(layer: number, slots: number): Tensor<'f32'> {
    return this.#view(this.#values[layer]!, slots);
  }

  /** Writes a prompt of `tokens` tokens to the first free slot, from position 0. */
  write(slot: number, prompt: readonly PromptKeysValues[], tokens: number): void {
    // Never less: the sequences before it may be longer.
    this.fit(Math.max(tokens, this.#length), slot);
    const { kvHeads, headDim } = this.#shape;
    for (const [layer, { key, value }] of prompt.entries()) {
      const keys = this.#keys[layer]!.data;
      const values = this.#values[layer]!.data;
      for (let head = 0; head < kvHeads; head++) {
        const first = (slot * kvHeads + head) * this.#length;
        for (let t = 0; t < tokens; t++) {
          const from = (t * kvHeads + head) * headDim;
          const keyAt = (first + t) * (headDim + 1);
          const valueAt = (first + t) * headDim;
          for (let i = 0; i < headDim; i++) {
            keys[keyAt + i] = key[from + i]!;
            values[valueAt + i] = value[from + i]!;
          }
          keys[keyAt + headDim] = 0;
        }
      }
    }
    this.#empty(slot, tokens);
  }

  /** Writes one token of each of the first sequences, the one of slot `i` to `positions[i]`. */
  append(
    layer: number,
    step: Pick<StepHeads, 'putKey' | 'putValue'>,
    positions: readonly number[],
  ): void {
    const { kvHeads, headDim } = this.#shape;
    const keys = this.#keys[layer]!.data;
    const values = this.#values[layer]!.data;
    for (let slot = 0; slot < positions.length; slot++) {
      for (let head = 0; head < kvHeads; head++) {
        const row = (slot * kvHeads + head) * this.#length + positions[slot]!;
        const keyAt = row * (headDim + 1);
        step.putKey(slot, head, keys, keyAt);
        keys[keyAt + headDim] = 0;
        step.putValue(slot, head, values, row * headDim);
      }
    }
  }

  /** Copies slot `from` to slot `to`. */
  move(from: number, to: number): void {
    const slotRows = this.#shape.kvHeads * this.#length;
    for (const block of [...this.#keys, ...this.#values]) {
      const size = slotRows * block.shape[1]!;
      block.data.copyWithin(to * size, from * size, (from + 1) * size);
    }
  }

  /** Marks the positions of a slot from `start` on as holding no token. */
  #empty(slot: number, start: number): void {
    const { kvHeads, headDim } = this.#shape;
    const width = headDim + 1;
    for (const { data } of this.#keys) {
      for (let head = 0; head < kvHeads; head++) {
        const first = (slot * kvHeads + head) * this.#length * width;
        const end = first + this.#length * width;
        const from = first + start * width;
        if (from === end) continue;
        data.copyWithin(from, first, first + headDim);
        data[from + headDim] = EMPTY_SCORE / scoreScaleOf(this.#shape);
        // Each copy doubles what is filled.
        for (let at = from + width; at < end; at += at - from)
          data.copyWithin(at, from, Math.min(at, from + end - at));
      }
    }
  }

  #view({ data, shape }: Tensor<'f32'>, slots: number): Tensor<'f32'> {
    const groups = slots * this.#shape.kvHeads;
    const width = shape[1]!;
    return {
      dtype: 'f32',
      shape: [groups, this.#length, width],
      data: data.subarray(0, groups * this.#length * width),
    };
  }
}

/** Length that a cache gives every sequence if the longest one has this number of tokens. */
export function lengthFor(tokens: number, capacity: number): number {
  return Math.min(capacity, Math.ceil(tokens / LENGTH_STEP) * LENGTH_STEP);
}
