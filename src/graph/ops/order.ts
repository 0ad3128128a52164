import type { Dim } from '../ir.ts';
import { axisOf, dtypeError, shapeError } from '../shape.ts';
import { aroundAxis, blank } from './array.ts';
import type { OpFamily } from './op.ts';
import { topKKernel, WIDEST } from './order-kernels.ts';

/** Attributes of the ops that depend on the order of elements. */
export interface OrderAttributes {
  readonly topK: { readonly count: Dim };
  readonly cumSum: { readonly axis: number };
}

/** Sorting and running sums. No loss needs them, so they have no gradient. */
export const order: OpFamily<OrderAttributes> = {
  /** The largest elements along the last axis in falling order, and their places i64. Of equals the first wins. */
  topK: {
    isCostly: true,
    infer([x], { count }) {
      const width = x!.shape.at(-1);
      const isTooMany = typeof count === 'number' && typeof width === 'number' && count > width;
      if (width === undefined || isTooMany) {
        throw shapeError('topK', `there are no ${count} elements along the last axis`, [x!]);
      }
      if (x!.dtype === 'bool' || x!.dtype === 'u8') throw dtypeError('topK', 'wants numbers', [x!]);
      const shape = [...x!.shape.slice(0, -1), count];
      return [
        { dtype: x!.dtype, shape },
        { dtype: 'i64', shape },
      ];
    },
    emit({ inputs: [x], outputs, attributes: { count } }, onnx) {
      onnx.node('TopK', [x!, onnx.dims([count])], outputs);
    },
    steps({ inputs: [x], attributes: { count } }) {
      const width = x!.shape.at(-1);
      const isFixed = typeof width === 'number' && typeof count === 'number';
      return isFixed && width <= WIDEST && x!.dtype === 'f32'
        ? [topKKernel(width, count)]
        : undefined;
    },
    evaluate([x], { count }, sizes) {
      const kept = sizes(count)!;
      const { outer, size } = aroundAxis(x!.shape, x!.shape.length - 1);
      const shape = [...x!.shape.slice(0, -1), kept];
      const [values, places] = [blank(x!.dtype, shape), blank('i64', shape)];
      for (let row = 0; row < outer; row++) {
        const numbers = x!.data.subarray(row * size, (row + 1) * size);
        const falling = [...numbers.keys()].sort((a, b) => numbers[b]! - numbers[a]! || a - b);
        for (const [rank, place] of falling.slice(0, kept).entries()) {
          values.data[row * kept + rank] = numbers[place]!;
          places.data[row * kept + rank] = place;
        }
      }
      return [values, places];
    },
  },
  /** The running sum along an axis, each element included. */
  cumSum: {
    isCostly: true,
    infer([x], { axis }) {
      if (x!.dtype === 'bool' || x!.dtype === 'u8') {
        throw dtypeError('cumSum', 'wants numbers', [x!]);
      }
      axisOf('cumSum', axis, x!.shape.length);
      return [{ dtype: x!.dtype, shape: x!.shape }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { axis } }, onnx) {
      onnx.node('CumSum', [x!, onnx.scalar(axis, 'i64')], [y!]);
    },
    evaluate([x], { axis }) {
      const { outer, size, inner } = aroundAxis(x!.shape, axis);
      const y = { ...x!, data: x!.data.slice() };
      for (let o = 0; o < outer; o++) {
        for (let at = o * size * inner + inner; at < (o + 1) * size * inner; at++) {
          y.data[at]! += y.data[at - inner]!;
        }
      }
      return [y];
    },
  },
};
