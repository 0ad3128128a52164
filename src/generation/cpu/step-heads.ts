import type { TextConfig } from '../../model/model-config.ts';
import type { RotaryTable } from '../../model/rotary.ts';
import { zeros, type Tensor } from '../../tensor/tensor.ts';

/**
 * Takes the joined projections of a decoding step's tokens apart: queries are rotated into a buffer for attention, keys
 * are rotated and values copied into the cache.
 *
 * This is JavaScript and not a graph, because keys and values are moved here anyway, and nine small operators over some
 * ten thousand numbers took several times as long.
 */
export class StepHeads {
  /** f32 `[slots, H, d + 1]`, rotated; the last feature is 1, for the bias that keys of the cache have. */
  readonly query: Tensor<'f32'>;
  /** f32 `[slots, (H + 2K)·d]`, for a graph to write. */
  readonly projected: Tensor<'f32'>;
  readonly #config: TextConfig;
  readonly #rotary: RotaryTable;
  #positions: readonly number[] = [];

  /** @param rotary angles of every position a token may have */
  constructor(config: TextConfig, slots: number, rotary: RotaryTable) {
    const { heads, kvHeads, headDim } = config;
    this.#config = config;
    this.#rotary = rotary;
    this.query = zeros('f32', [slots, heads, headDim + 1]);
    for (let last = headDim; last < this.query.data.length; last += headDim + 1) {
      this.query.data[last] = 1;
    }
    this.projected = zeros('f32', [slots, (heads + 2 * kvHeads) * headDim]);
  }

  /** Begins a step with the rotary position of each sequence's token. */
  begin(positions: readonly number[]): void {
    this.#positions = positions;
  }

  /** Writes `query` from `projected`. */
  putQueries(): void {
    const { heads, headDim } = this.#config;
    for (let slot = 0; slot < this.#positions.length; slot++) {
      for (let head = 0; head < heads; head++) {
        this.#rotate(slot, head, this.query.data, (slot * heads + head) * (headDim + 1));
      }
    }
  }

  /** Writes the `d` features of a sequence's key to `target`, from `at` on. */
  putKey(slot: number, head: number, target: Float32Array, at: number): void {
    this.#rotate(slot, this.#config.heads + head, target, at);
  }

  /** Writes the `d` features of a sequence's value to `target`, from `at` on. */
  putValue(slot: number, head: number, target: Float32Array, at: number): void {
    const { heads, kvHeads, headDim } = this.#config;
    const from = this.#start(slot, heads + kvHeads + head);
    const { data } = this.projected;
    for (let i = 0; i < headDim; i++) target[at + i] = data[from + i]!;
  }

  /** Writes a head of a sequence, with features `i` and `i + d/2` rotated by its token's angle `i`. */
  #rotate(slot: number, head: number, target: Float32Array, at: number): void {
    const half = this.#config.headDim / 2;
    const { data } = this.projected;
    const cos = this.#rotary.cos.data;
    const sin = this.#rotary.sin.data;
    const angles = this.#positions[slot]! * half;
    const first = this.#start(slot, head);
    for (let i = 0; i < half; i++) {
      const a = data[first + i]!;
      const b = data[first + half + i]!;
      const c = cos[angles + i]!;
      const s = sin[angles + i]!;
      target[at + i] = a * c - b * s;
      target[at + half + i] = b * c + a * s;
    }
  }

  /** Index in `projected` of a sequence's head. */
  #start(slot: number, head: number): number {
    const { heads, kvHeads, headDim } = this.#config;
    return (slot * (heads + 2 * kvHeads) + head) * headDim;
  }
}
