/** Flow control of streams: the reader gives the sender credit for as many items as it has room for. */
import { addAbortListener } from 'node:events';
import type { CxmindError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';

/** Default window: the number of items by which an actor may be ahead of its reader. */
export const defaultWindow = 16;

/**
 * Reader's end of a stream. It holds items that came and are not read, at most `window` of them, which are few enough for
 * a plain array.
 */
export class StreamInbox {
  readonly window: number;
  readonly #onCredit: (count: number) => void;
  readonly #items: Body[] = [];
  #end: { readonly error: CxmindError | undefined } | undefined;
  #wake: (() => void) | undefined;
  #creditsDue = 0;

  /** @param onCredit called with the number of items that were read, so that as many more may come */
  constructor(window: number, onCredit: (count: number) => void) {
    this.window = window;
    this.#onCredit = onCredit;
  }

  push(item: Body): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** Ends the stream, with an error if there is one. Items that came are still read before it is thrown. */
  end(error?: CxmindError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Reads each item once, in order. There may be one reader. */
  async *read(): AsyncGenerator<Body, void, undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
        this.#giveCredit();
      } else if (this.#end === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      } else if (this.#end.error === undefined) {
        return;
      } else {
        throw this.#end.error;
      }
    }
  }

  #giveCredit(): void {
    if (++this.#creditsDue < this.window / 2 || this.#end !== undefined) return;
    this.#onCredit(this.#creditsDue);
    this.#creditsDue = 0;
  }
}

/** Sender's end of a stream. It counts the items that the reader has room for. */
export class StreamOutlet {
  #credits: number;
  #wake: (() => void) | undefined;

  constructor(window: number) {
    this.#credits = window;
  }

  /** Adds to the items that the reader has room for. */
  credit(count: number): void {
    this.#credits += count;
    this.#wake?.();
  }

  /**
   * Waits until there is room for an item, and takes that room.
   *
   * @throws the signal's reason, once it is aborted
   */
  async room(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#credits <= 0) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#wake = () => resolve(undefined);
      using _ = addAbortListener(signal, this.#wake);
      await promise;
      signal.throwIfAborted();
    }
    this.#credits--;
  }
}
