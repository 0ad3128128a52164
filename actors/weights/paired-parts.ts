import type { Arena } from '../../src/model/weights/arena.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { slices } from '../../src/tensor/slices.ts';

/** Elements of a part: few enough that messages do not wait for them, and that both sides may lie in files. */
const PART = 2 ** 22;

/**
 * Parts of two arenas of one layout. Each pair leaves the memory, where it lies in a file, when the next is asked for.
 */
export function* pairedParts(
  one: Arena,
  other: Arena,
): Generator<readonly [Float32Array, Float32Array]> {
  for (const { start, end } of slices(one.data.length, PART)) {
    const pair = [one.data.subarray(start, end), other.data.subarray(start, end)] as const;
    yield pair;
    for (const part of pair) letGo(part);
  }
}
