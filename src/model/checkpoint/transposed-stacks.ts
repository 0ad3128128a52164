/**
 * Stacks of experts' weights whose matrices are stored transposed.
 *
 * The hub has the weights of a layer's experts as `[E, in, out]`, and so has an arena. Transformers 5 reads them so, but
 * writes `[E, out, in]`.
 */
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { ArenaEntry } from '../weights/arena-layout.ts';
import type { StoredTensor } from './safetensors.ts';

/** Tells whether a stored tensor is a stack of matrices that fits its place only when each is transposed. */
export function isTransposed({ shape }: StoredTensor, entry: ArenaEntry): boolean {
  const [count, rows, columns] = entry.shape;
  const transposed = [count, columns, rows];
  return entry.shape.length === 3 && rows !== columns && shape.join() === transposed.join();
}

/** Transposes each matrix of all stacks if one stack was read transposed: the shape of a square one does not tell. */
export function transposeStacks(
  places: ReadonlyMap<StoredTensor, ArenaEntry>,
  tensorOf: (name: string) => Tensor<'f32'>,
): void {
  if (![...places].some(([stored, entry]) => isTransposed(stored, entry))) return;
  for (const { name, shape } of places.values()) {
    if (shape.length === 3) transposeEach(tensorOf(name));
  }
}

/** Rearranges the numbers of a stack from `[E, columns, rows]` to `[E, rows, columns]`, in place. */
function transposeEach({ shape, data }: Tensor<'f32'>): void {
  const [, rows, columns] = shape as [number, number, number];
  const size = rows * columns;
  for (let start = 0; start < sizeOf(shape); start += size) {
    const stored = data.slice(start, start + size);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        data[start + row * columns + column] = stored[column * rows + row]!;
      }
    }
  }
}
