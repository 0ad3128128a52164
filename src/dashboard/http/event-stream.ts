/**
 * Server-Sent Events of all runs, to every page that listens.
 *
 * The files are read once a second for all pages together, and not at all while none listens. Of a run that nobody has
 * opened only the status is read.
 */
import type { ServerResponse } from 'node:http';
import type { Event } from '../api.ts';
import type { RunView } from '../run-view.ts';
import { listingsOf, type Runs } from '../runs.ts';

/** Looks between two searches for new runs. */
const LOOKS_PER_SEARCH = 5;
/** Looks between two signs of life, which keep proxies from closing a connection. */
const LOOKS_PER_SIGN = 15;
/** Milliseconds after which a page whose connection was lost comes back. */
const RETRY_MS = 1000;
/** Bytes that may wait for a page before its connection is closed; the page connects again. */
const MOST_BEHIND = 4 * 2 ** 20;

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'x-accel-buffering': 'no',
};

export class EventStream {
  readonly #runs: Runs;
  readonly #lookMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #listeners = new Set<ServerResponse>();
  #views: readonly RunView[] = [];
  #listings = '';
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @param options.lookMs time between two looks at the files */
  constructor(
    runs: Runs,
    options: { readonly lookMs: number; readonly onError: (error: unknown) => void },
  ) {
    this.#runs = runs;
    this.#lookMs = options.lookMs;
    this.#onError = options.onError;
  }

  /** Sends events to a page until it leaves, the list of runs first. */
  async add(response: ServerResponse): Promise<void> {
    response.once('close', () => this.#listeners.delete(response));
    this.#views = await this.#runs.find();
    const runs = await listingsOf(this.#views);
    // The page may have left meanwhile, or the server have closed: nobody would take it off the list.
    if (response.destroyed || this.#isClosed) return;
    response.writeHead(200, streamHeaders);
    response.write(`retry: ${RETRY_MS}\n\n`);
    response.write(textOf({ type: 'runs', runs }));
    this.#listeners.add(response);
    this.#schedule();
  }

  /** Closes the connections of all pages. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const response of this.#listeners) response.end();
    this.#listeners.clear();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#listeners.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#look()
        .catch(this.#onError)
        .finally(() => {
          this.#timer = undefined;
          this.#schedule();
        });
    }, this.#lookMs);
  }

  async #look(): Promise<void> {
    this.#looks++;
    if (this.#looks % LOOKS_PER_SEARCH === 0) this.#views = await this.#runs.find();
    if (this.#looks % LOOKS_PER_SIGN === 0) this.#write(': \n\n');
    const runs = await listingsOf(this.#views);
    const listings = JSON.stringify(runs);
    if (listings !== this.#listings) this.#send({ type: 'runs', runs });
    this.#listings = listings;
    for (const view of this.#views.filter(({ isOpened }) => isOpened)) {
      for (const event of await view.changes()) this.#send(event);
    }
  }

  #send(event: Event): void {
    this.#write(textOf(event));
  }

  #write(text: string): void {
    for (const response of this.#listeners) {
      if (response.writableLength > MOST_BEHIND) response.destroy();
      else response.write(text);
    }
  }
}

function textOf(event: Event): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
