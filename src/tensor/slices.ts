/** A range of elements of a flat array, from `start` to before `end`. */
export interface Slice {
  readonly start: number;
  readonly end: number;
  readonly length: number;
}

/** Cuts a flat array into slices of `most` elements, the last one shorter. */
export function* slices(length: number, most: number): Iterable<Slice> {
  for (let start = 0; start < length; start += most) {
    const end = Math.min(length, start + most);
    yield { start, end, length: end - start };
  }
}
