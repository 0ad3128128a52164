/** Some elements of a flat array, from `start` to before `end`. */
export interface Slice {
  readonly start: number;
  readonly end: number;
  readonly length: number;
}

/** A flat array of so many elements cut into slices of `most`, the last one shorter. */
export function* slices(length: number, most: number): Iterable<Slice> {
  for (let start = 0; start < length; start += most) {
    const end = Math.min(length, start + most);
    yield { start, end, length: end - start };
  }
}
