import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { isLevels, type PixelValues } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Grid } from './batch.ts';

/** Bytes of embeddings that are kept. */
const BUDGET_BYTES = 256 * 2 ** 20;

/**
 * Image embeddings of a vision tower whose weights do not change, by the content of the image. The embeddings used
 * last are kept, within a bound on their bytes.
 */
export class ImageCache {
  readonly #kept: LRUCache<string, Tensor>;

  constructor(budgetBytes = BUDGET_BYTES) {
    const sizeCalculation = ({ data }: Tensor): number => data.byteLength;
    this.#kept = new LRUCache({ maxSize: budgetBytes, sizeCalculation });
  }

  /**
   * Embeddings of an image, computed if they are not kept.
   *
   * @param pixels patches of the image
   * @param embed  computes `[N / mergeSize², D]`
   */
  async embeddings(pixels: PixelValues, grid: Grid, embed: () => Promise<Tensor>): Promise<Tensor> {
    const key = keyOf(pixels, grid);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const rows = await embed();
    this.#kept.set(key, rows);
    return rows;
  }

  /** Bytes that are kept. */
  get sizeBytes(): number {
    return this.#kept.calculatedSize;
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
