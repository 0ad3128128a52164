/** Samples of a step, which are fetched a page at a time when they come into sight. */
import type { SampleKind, SampleListing, SamplePage } from '../../api-samples.ts';
import { get, type Query } from '../client.ts';
import { tellError } from '../toasts.ts';

const PAGE = 100;
/** Most pages that are kept; the least recently used one is dropped first. */
const MAX_PAGES = 50;

export class SamplePages {
  readonly #path: string;
  readonly #query: Query;
  readonly #signal: AbortSignal;
  readonly #arrived: () => void;
  /** Pages by number; null for a page that is being fetched. */
  readonly #pages = new Map<number, readonly SampleListing[] | null>();

  /** @param arrived is called when a page has been fetched */
  constructor(
    { run, kind, step }: { readonly run: string; readonly kind: SampleKind; readonly step: number },
    signal: AbortSignal,
    arrived: () => void,
  ) {
    this.#path = `runs/${run}/samples/page`;
    this.#query = { kind, step, count: PAGE };
    this.#signal = signal;
    this.#arrived = arrived;
  }

  /** A sample by its row; null while its page is being fetched. */
  row(index: number): SampleListing | null {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
  }

  /** Fetches the pages that are missing of the rows from `first` to `last`. */
  need(first: number, last: number): void {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
      const found = this.#pages.get(page);
      if (found === undefined) void this.#fetch(page);
      else {
        this.#pages.delete(page);
        this.#pages.set(page, found);
      }
    }
  }

  async #fetch(page: number): Promise<void> {
    this.#pages.set(page, null);
    const query = { ...this.#query, start: page * PAGE };
    try {
      const { samples } = await get<SamplePage>(this.#path, query, this.#signal);
      this.#pages.set(page, samples);
      const oldest = this.#pages.keys().next().value;
      if (this.#pages.size > MAX_PAGES && oldest !== undefined) this.#pages.delete(oldest);
      this.#arrived();
    } catch (error) {
      this.#pages.delete(page);
      if (!this.#signal.aborted) tellError(error);
    }
  }
}
