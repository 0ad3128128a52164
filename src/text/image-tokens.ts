/**
 * Repeats each placeholder once for each token of its image or video.
 *
 * @param ids         tokens of a rendered prompt, one placeholder for each image or video
 * @param placeholder id of `<|image_pad|>` or `<|video_pad|>`
 * @param counts      tokens of each image or video, in order, one for each placeholder
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
