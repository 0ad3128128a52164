/** Work that is begun before it is asked for. */
export class Lookahead<T> {
  readonly #make: (item: number) => Promise<T>;
  readonly #begun = new Map<number, Promise<T>>();

  /** @param make may be called again for an item that was taken or given up */
  constructor(make: (item: number) => Promise<T>) {
    this.#make = make;
  }

  /**
   * Begins with the items that are not begun yet, and gives up the others that were: their results are dropped.
   *
   * @param items those that are expected to be taken, in that order
   */
  expect(items: readonly number[]): void {
    const expected = new Set(items);
    for (const item of this.#begun.keys()) if (!expected.has(item)) this.#begun.delete(item);
    for (const item of expected) if (!this.#begun.has(item)) this.#begin(item);
  }

  /** The result of an item, expected or not; a failure is told here and not before. */
  async take(item: number): Promise<T> {
    const begun = this.#begun.get(item);
    this.#begun.delete(item);
    return begun ?? this.#make(item);
  }

  #begin(item: number): void {
    const result = this.#make(item);
    // Nobody waits for it yet, which is no reason to end the process.
    result.catch(() => undefined);
    this.#begun.set(item, result);
  }
}
