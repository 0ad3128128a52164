/**
 * The decoder's cache in pages (PagedAttention of vLLM, arXiv:2309.06180), without swapping: a sequence begins only
 * when there are pages for its longest continuation.
 */
import type { Device, View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import type { TextConfig } from '../model/model-config.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import type { PrefilledPrompt } from './prefill.ts';
import type { Entering } from './step-decoder.ts';

/** Tokens of a page: few are wasted in a sequence's last page, and tables of pages stay short. */
export const PAGE_ROWS = 64;

/** Keys and values of one layer, `[N, R, K, d]` each. */
interface LayerPages {
  readonly keys: View & Disposable;
  readonly values: View & Disposable;
}

/** The full pages of a prompt, which its responses share. */
interface SharedPages {
  readonly pages: readonly number[];
  readers: number;
}

/** The pages of a sequence, its shared pages first. */
interface SequencePages {
  readonly prompt: PrefilledPrompt;
  readonly pages: number[];
  readonly mostPages: number;
}

/**
 * A cache of keys and values in pages, which sequences take as they grow.
 *
 * The full pages of a prompt exist once for all its responses. Page 0 belongs to no sequence: rows without one write
 * there.
 */
export class PagedCache implements Disposable {
  readonly layers: readonly LayerPages[];
  readonly #device: Device;
  readonly #rowSize: number;
  readonly #prompts = new Map<PrefilledPrompt, SharedPages>();
  /** Pages of each sequence, by slot. */
  readonly #sequences: SequencePages[] = [];
  readonly #pageCount: number;
  #free: number[] = [];
  /** Free pages that running sequences may still take. */
  #promised = 0;

  /** @param pages number of pages besides page 0 */
  constructor(
    device: Device,
    { layers, kvHeads, headDim }: TextConfig,
    dtype: FloatDType,
    pages: number,
  ) {
    this.#device = device;
    this.#rowSize = kvHeads * headDim;
    this.#pageCount = pages + 1;
    const shape = [this.#pageCount, PAGE_ROWS, kvHeads, headDim];
    this.layers = Array.from({ length: layers }, () => ({
      keys: device.allocate(dtype, shape),
      values: device.allocate(dtype, shape),
    }));
    this.clear();
  }

  /** Size of a page in all layers together, in bytes. */
  static pageBytes({ layers, kvHeads, headDim }: TextConfig, dtype: FloatDType): number {
    return layers * 2 * PAGE_ROWS * kvHeads * headDim * bytesPerElement(dtype);
  }

  clear(): void {
    this.#prompts.clear();
    this.#sequences.length = 0;
    this.#promised = 0;
    // Pages are taken from the end, so the lowest comes first.
    this.#free = Array.from({ length: this.#pageCount - 1 }, (_, i) => this.#pageCount - 1 - i);
  }

  /** Counts the waiting sequences, from the first on, that have room however long all sequences become. */
  roomFor(waiting: readonly Entering[]): number {
    const shared = new Set(this.#prompts.keys());
    let left = this.#free.length - this.#promised;
    for (const [i, { prompt, maxTokens }] of waiting.entries()) {
      left -= pagesFor(prompt.tokens + maxTokens);
      if (shared.has(prompt)) left += wholePages(prompt);
      if (left < 0) return i;
      shared.add(prompt);
    }
    return waiting.length;
  }

  /** Begins a sequence. */
  enter(slot: number, { prompt, maxTokens }: Entering): void {
    const shared = this.#prompts.get(prompt) ?? this.#share(prompt);
    shared.readers++;
    const pages = [...shared.pages];
    const whole = pages.length * PAGE_ROWS;
    if (whole < prompt.tokens) {
      pages.push(this.#take());
      this.#copy(prompt, whole, pages.at(-1)!, prompt.tokens - whole);
    }
    const mostPages = pagesFor(prompt.tokens + maxTokens);
    this.#promised += mostPages - pages.length;
    this.#sequences[slot] = { prompt, pages, mostPages };
  }

  /** Ends a sequence; that of the last slot takes its place. */
  leave(slot: number, last: number): void {
    const { prompt, pages, mostPages } = this.#sequences[slot]!;
    const shared = this.#prompts.get(prompt)!;
    this.#promised -= mostPages - pages.length;
    this.#free.push(...pages.slice(shared.pages.length));
    if (--shared.readers === 0) {
      this.#free.push(...shared.pages);
      this.#prompts.delete(prompt);
    }
    this.#sequences[slot] = this.#sequences[last]!;
    this.#sequences.length = last;
  }

  /** The pages of a sequence, with room for a token after the cached ones. */
  pagesFor(slot: number, cached: number): readonly number[] {
    const { pages } = this.#sequences[slot]!;
    for (; pages.length * PAGE_ROWS <= cached; this.#promised--) pages.push(this.#take());
    return pages;
  }

  [Symbol.dispose](): void {
    for (const { keys, values } of this.layers) {
      keys[Symbol.dispose]();
      values[Symbol.dispose]();
    }
  }

  #share(prompt: PrefilledPrompt): SharedPages {
    const pages = Array.from({ length: wholePages(prompt) }, () => this.#take());
    for (let first = 0, end = 1; first < pages.length; first = end, end++) {
      while (end < pages.length && pages[end] === pages[end - 1]! + 1) end++;
      this.#copy(prompt, first * PAGE_ROWS, pages[first]!, (end - first) * PAGE_ROWS);
    }
    const shared = { pages, readers: 0 };
    this.#prompts.set(prompt, shared);
    return shared;
  }

  #take(): number {
    const page = this.#free.pop();
    if (page === undefined) throw new CxmindError('INTERNAL', 'the cache has no page left');
    return page;
  }

  /** Copies tokens of a prompt to consecutive pages, from the beginning of the first. */
  #copy(prompt: PrefilledPrompt, from: number, page: number, count: number): void {
    const size = count * this.#rowSize;
    const rows = (view: View, row: number): View =>
      this.#device.part(view, row * this.#rowSize, [size]);
    for (const [i, { keys, values }] of this.layers.entries()) {
      const { key, value } = prompt.layers[i]!;
      const { operations } = this.#device;
      operations.copy(rows(key, prompt.start + from), rows(keys, page * PAGE_ROWS));
      operations.copy(rows(value, prompt.start + from), rows(values, page * PAGE_ROWS));
    }
  }
}

/** Number of pages that hold a number of tokens. */
export function pagesFor(tokens: number): number {
  return Math.ceil(tokens / PAGE_ROWS);
}

/** Number of full pages of a prompt. */
function wholePages({ tokens }: PrefilledPrompt): number {
  return Math.floor(tokens / PAGE_ROWS);
}
