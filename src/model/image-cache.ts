import { createHash } from 'node:crypto';
import type { Tensor } from '../tensor/tensor.ts';
import type { Grid } from './batch.ts';

/** Bytes of embeddings that are kept. */
const BUDGET_BYTES = 256 * 2 ** 20;

/**
 * What a vision tower whose weights do not change has made of images, by their content: the ones that were asked for
 * last, as many as a budget holds.
 */
export class ImageCache {
  readonly #budgetBytes: number;
  readonly #kept = new Map<string, Float32Array>();
  #bytes = 0;

  constructor(budgetBytes = BUDGET_BYTES) {
    this.#budgetBytes = budgetBytes;
  }

  /**
   * The embeddings of an image, computed where they are not kept.
   *
   * @param patches f32 `[N, C·Pt·P·P]`
   * @param embed   gives f32 `[N / mergeSize², D]`, which is kept
   */
  async embeddings(
    patches: Tensor<'f32'>,
    grid: Grid,
    embed: () => Promise<Tensor<'f32'>>,
  ): Promise<Float32Array> {
    const key = createHash('sha256').update(grid.join()).update(patches.data).digest('base64');
    const known = this.#kept.get(key);
    const values = known ?? (await embed()).data;
    // What was asked for last stands last.
    if (known !== undefined) this.#kept.delete(key);
    else this.#bytes += values.byteLength;
    this.#kept.set(key, values);
    this.#forget();
    return values;
  }

  /** Bytes that are kept. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  #forget(): void {
    for (const [key, { byteLength }] of this.#kept) {
      if (this.#bytes <= this.#budgetBytes) return;
      this.#kept.delete(key);
      this.#bytes -= byteLength;
    }
  }
}
