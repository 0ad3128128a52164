interface Extent {
  start: number;
  count: number;
}

/** Free runs of a row of units. The first run that fits is taken, so that low units are used again and again. */
export class Extents {
  /** Runs in order, no two of which touch. */
  readonly #free: Extent[];

  constructor(count: number) {
    this.#free = [{ start: 0, count }];
  }

  /** Takes `count` adjacent units and returns the first; undefined when no run is that long. */
  take(count: number): number | undefined {
    const at = this.#free.findIndex((extent) => extent.count >= count);
    const extent = this.#free[at];
    if (extent === undefined) return undefined;
    const { start } = extent;
    extent.start += count;
    extent.count -= count;
    if (extent.count === 0) this.#free.splice(at, 1);
    return start;
  }

  /** Takes these very units, which must be free. */
  takeAt(start: number, count: number): void {
    const at = this.#free.findIndex((extent) => start < extent.start + extent.count);
    const extent = this.#free[at]!;
    const before = { start: extent.start, count: start - extent.start };
    const after = {
      start: start + count,
      count: extent.start + extent.count - start - count,
    };
    this.#free.splice(at, 1, ...[before, after].filter((part) => part.count > 0));
  }

  /** Gives units back. */
  give(start: number, count: number): void {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#free[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    const before = this.#free[low - 1];
    const after = this.#free[low];
    const joinsBefore = before !== undefined && before.start + before.count === start;
    const joinsAfter = after?.start === start + count;
    if (joinsBefore) {
      before.count += count + (joinsAfter ? after.count : 0);
      if (joinsAfter) this.#free.splice(low, 1);
    } else if (joinsAfter) {
      after.start = start;
      after.count += count;
    } else {
      this.#free.splice(low, 0, { start, count });
    }
  }
}
