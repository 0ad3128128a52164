/** A queue that gives its items back in order: a ring that grows, at constant cost for an item. */
export class Fifo<T> {
  #ring: (T | undefined)[] = new Array<undefined>(8).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = item;
  }

  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  shift(): T | undefined {
    const item = this.#ring[this.#head];
    if (this.#length === 0) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return item;
  }

  clear(): void {
    this.#ring = new Array<undefined>(8).fill(undefined);
    this.#head = this.#length = 0;
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (let i = 0; i < this.#length; i++) {
      yield this.#ring[(this.#head + i) & (this.#ring.length - 1)]!;
    }
  }

  #grow(): void {
    const items = [...this];
    this.#ring = [...items, ...new Array<undefined>(items.length).fill(undefined)];
    this.#head = 0;
  }
}
