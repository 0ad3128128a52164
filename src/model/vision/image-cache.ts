import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { isLevels, type Grid, type PixelValues } from '../../tensor/patch-levels.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Bytes of embeddings that are kept. */
const BUDGET_BYTES = 256 * 2 ** 20;

/**
 * Rows that a vision tower whose weights do not change makes of images, by the content of the image: embeddings, and
 * those for the decoder's layers. The rows used last are kept, within a bound on their bytes.
 */
export class ImageCache {
  readonly #kept: LRUCache<string, readonly Tensor[]>;

  constructor(budgetBytes = BUDGET_BYTES) {
    const sizeCalculation = (parts: readonly Tensor[]): number =>
      parts.reduce((sum, { data }) => sum + data.byteLength, 0);
    this.#kept = new LRUCache({ maxSize: budgetBytes, sizeCalculation });
  }

  /**
   * Rows of an image, computed if they are not kept.
   *
   * @param pixels patches of the image
   * @param embed  computes parts of `[N / mergeSize², D]` each
   */
  async rowsOf(
    pixels: PixelValues,
    grid: Grid,
    embed: () => Promise<readonly Tensor[]>,
  ): Promise<readonly Tensor[]> {
    const key = keyOf(pixels, grid);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const rows = await embed();
    this.#kept.set(key, rows);
    return rows;
  }
}

/** Hash of all that an image's embeddings depend on. */
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
