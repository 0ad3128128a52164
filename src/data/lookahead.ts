/** Results that are computed before they are asked for, by item number. */
export class Lookahead<T> {
  readonly #make: (item: number) => Promise<T>;
  readonly #begun = new Map<number, Promise<T>>();

  /** @param make computes an item's result; it may be called again for an item that was taken or dropped */
  constructor(make: (item: number) => Promise<T>) {
    this.#make = make;
  }

  /**
   * Starts the items that are not started, and drops every other item that was.
   *
   * @param items items that are expected to be taken, in that order
   */
  expect(items: readonly number[]): void {
    const expected = new Set(items);
    for (const item of this.#begun.keys()) if (!expected.has(item)) this.#begun.delete(item);
    for (const item of expected) if (!this.#begun.has(item)) this.#begin(item);
  }

  /** Result of an item, expected or not. A failure is thrown here, not earlier. */
  async take(item: number): Promise<T> {
    const begun = this.#begun.get(item);
    this.#begun.delete(item);
    return begun ?? this.#make(item);
  }

  #begin(item: number): void {
    const result = this.#make(item);
    // Nobody awaits it yet. Without a handler Node would end the process for an unhandled rejection.
    result.catch(() => undefined);
    this.#begun.set(item, result);
  }
}
