import { patchBytes } from '../tensor/patch-levels.ts';
import type { DatasetRow } from './row.ts';
import type { PromptSample } from './prompt-sample.ts';

/** Samples by row, within a bound on the bytes of their pixels and tokens; the least recently used go first. */
export class SampleCache {
  readonly #maxBytes: number;
  readonly #samples = new Map<DatasetRow, PromptSample>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(row: DatasetRow): PromptSample | undefined {
    const sample = this.#samples.get(row);
    if (sample === undefined) return undefined;
    this.#samples.delete(row);
    this.#samples.set(row, sample);
    return sample;
  }

  set(row: DatasetRow, sample: PromptSample): void {
    const replaced = this.#samples.get(row);
    if (replaced !== undefined) this.#drop(row, replaced);
    this.#samples.set(row, sample);
    this.#bytes += bytesOf(sample);
    for (const [oldest, dropped] of this.#samples) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest, dropped);
    }
  }

  #drop(row: DatasetRow, sample: PromptSample): void {
    this.#samples.delete(row);
    this.#bytes -= bytesOf(sample);
  }
}

function bytesOf({ tokenIds, positions, pixelValues }: PromptSample): number {
  return (
    tokenIds.byteLength +
    positions.data.byteLength +
    (pixelValues === null ? 0 : patchBytes(pixelValues))
  );
}
