import { sizeOf } from '../../tensor/tensor.ts';
import type { DType } from '../../tensor/dtype.ts';
import { cTypes } from '../kernel-prelude.ts';
import { launchByItem, scalarsOf, type Kernel, type Shapes } from '../kernel.ts';

/**
 * The kernel of `split` and `concat`: copies a tensor to its parts along an axis, or parts to their whole.
 *
 * ONNX Runtime's own kernels copy tables to the card from memory that they free afterwards. A recorded run would read
 * that memory again.
 */
export function partsKernel(
  way: 'split' | 'concat',
  dtype: DType,
  count: number,
  axis: number,
): Kernel {
  const entry = `${way}_${dtype}_${count}`;
  const type = cTypes[dtype];
  const isSplit = way === 'split';
  const parts = Array.from({ length: count }, (_, i) => i);
  const names = (prefix: string, isConstant: boolean): string =>
    parts.map((i) => `${isConstant ? 'const ' : ''}${type} *${prefix}${i}`).join(', ');
  const whole = isSplit ? `const ${type} *whole` : `${type} *whole`;
  const copies = parts.map((i) => {
    const part = `part${i}[row * width${i} + column]`;
    const copy = isSplit ? `${part} = whole[at]` : `whole[at] = ${part}`;
    return `  if (column < width${i}) { ${copy}; return; }\n  column -= width${i};`;
  });
  return {
    entry,
    source: `
extern "C" __global__ void ${entry}(${isSplit ? `${whole}, ${names('part', false)}` : `${names('part', true)}, ${whole}`},
    i64 size, i64 width, ${parts.map((i) => `i64 width${i}`).join(', ')}) {
  const i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const i64 row = at / width;
  i64 column = at % width;
${copies.join('\n')}
}`,
    launch: (inputs: Shapes, outputs: Shapes) => {
      const [[joined], pieces] = isSplit ? [inputs, outputs] : [outputs, inputs];
      const widthOf = (shape: readonly number[]): number => sizeOf(shape.slice(axis));
      const size = sizeOf(joined!);
      const widths = [widthOf(joined!), ...pieces.map(widthOf)];
      return launchByItem(size, THREADS, scalarsOf('i64', [size, ...widths]));
    },
  };
}

const THREADS = 256;
