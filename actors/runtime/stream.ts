import type { CxmindError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';

/** Items an actor may be ahead of who reads its stream, where nothing else is said. */
export const defaultWindow = 16;

/** The reader's end of a stream: items that came and are not read, never more than its window. */
export class StreamInbox {
  readonly window: number;
  readonly #onCredit: (count: number) => void;
  readonly #items: Body[] = [];
  #end: { readonly error: CxmindError | undefined } | undefined;
  #wake: (() => void) | undefined;
  #creditsDue = 0;

  /** @param onCredit called, with how many, when items were read and as many more may come */
  constructor(window: number, onCredit: (count: number) => void) {
    this.window = window;
    this.#onCredit = onCredit;
  }

  push(item: Body): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** No more items come, because of the error if there is one; those that came are still read before it is thrown. */
  end(error?: CxmindError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Each item once, in order. For one reader. */
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

/** The sender's end of a stream: how many items the reader has room for. */
export class StreamOutlet {
  #credits: number;
  #wake: (() => void) | undefined;

  constructor(window: number) {
    this.#credits = window;
  }

  /** The reader has room for so many more. */
  credit(count: number): void {
    this.#credits += count;
    this.#wake?.();
  }

  /**
   * Resolves when there is room for an item, and takes that room.
   *
   * @throws the signal's reason, once it is aborted
   */
  async room(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#credits <= 0) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const wake = (): void => resolve(undefined);
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
      await promise;
      signal.removeEventListener('abort', wake);
      signal.throwIfAborted();
    }
    this.#credits--;
  }
}
