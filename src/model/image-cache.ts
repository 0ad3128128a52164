import { createHash } from 'node:crypto';
import { isLevels, type PixelValues } from '../tensor/patch-levels.ts';
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
  readonly #kept = new Map<string, Tensor>();
  #bytes = 0;

  constructor(budgetBytes = BUDGET_BYTES) {
    this.#budgetBytes = budgetBytes;
  }

  /**
   * The embeddings of an image, computed where they are not kept.
   *
   * @param pixels of its patches
   * @param embed   gives `[N / mergeSize², D]`, which is kept
   */
  async embeddings(pixels: PixelValues, grid: Grid, embed: () => Promise<Tensor>): Promise<Tensor> {
    const key = keyOf(pixels, grid);
    const known = this.#kept.get(key);
    const rows = known ?? (await embed());
    // What was asked for last stands last.
    if (known !== undefined) this.#kept.delete(key);
    else this.#bytes += rows.data.byteLength;
    this.#kept.set(key, rows);
    this.#forget();
    return rows;
  }

  /** Bytes that are kept. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  #forget(): void {
    for (const [key, { data }] of this.#kept) {
      if (this.#bytes <= this.#budgetBytes) return;
      this.#kept.delete(key);
      this.#bytes -= data.byteLength;
    }
  }
}

/** A hash of all that an image's embeddings depend on. */
function keyOf(pixels: PixelValues, grid: Grid): string {
  const hash = createHash('sha256').update(grid.join());
  if (isLevels(pixels)) {
    const { levels, values, frames } = pixels;
    hash.update(` ${levels.shape.join()} ${frames} `).update(values.data).update(levels.data);
  } else {
    hash.update(pixels.data);
  }
  return hash.digest('base64');
}
