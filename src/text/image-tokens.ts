/**
 * Repeats each image placeholder as often as its image has tokens.
 *
 * @param ids         a rendered prompt, one placeholder an image
 * @param placeholder id of `<|image_pad|>`
 * @param counts      tokens of each image, in order; there must be one for every placeholder
 */
export function expandPlaceholders(
  ids: readonly number[],
  placeholder: number,
  counts: readonly number[],
): Int32Array {
  const total = counts.reduce((sum, count) => sum + count, ids.length - counts.length);
  const expanded = new Int32Array(total);
  let image = 0;
  let at = 0;
  for (const id of ids) {
    const count = id === placeholder ? counts[image++]! : 1;
    expanded.fill(id, at, at + count);
    at += count;
  }
  return expanded;
}
