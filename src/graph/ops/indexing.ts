import { isFloat, type Value, type ValueType } from '../ir.ts';
import { productDim } from '../dim.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import type { GraphBuilder } from '../builder.ts';
import { CxmindError } from '../../errors.ts';
import { aroundAxis, blank, stridesOf, walk, type NdArray } from './array.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import {
  addRowsSteps,
  gatherElementsKernel,
  permuteRowsKernel,
  scatterElementsSteps,
} from './indexing-kernels.ts';
import { asNode, type None, type OpFamily } from './op.ts';

/** Attributes of the ops that read or write by index. */
export interface IndexingAttributes {
  readonly gather: { readonly axis: number };
  readonly permuteRows: {
    readonly isZeroFilled: boolean;
    readonly isGradientZeroFilled: boolean;
  };
  readonly gatherElements: { readonly axis: number };
  readonly scatterElements: { readonly axis: number };
  readonly addRows: None;
}

/** Most updates of a row that one thread of a card adds, one after the other. */
const MOST_UPDATES = 64;

function checkIndex(op: string, index: ValueType, inputs: readonly ValueType[]): void {
  if (index.dtype !== 'i64' && index.dtype !== 'i32') {
    throw dtypeError(op, 'wants an i64 or i32 index', inputs);
  }
}

function checkAlong(op: string, axis: number, inputs: readonly ValueType[]): void {
  const [data, index] = [inputs[0]!, inputs[1]!];
  const off = (type: ValueType): ValueType['shape'] => type.shape.filter((_, i) => i !== axis);
  if (data.shape.length !== index.shape.length || !sameShape(off(data), off(index))) {
    throw shapeError(op, `data and index differ off axis ${axis}`, inputs);
  }
}

/**
 * The position of an index from the front.
 *
 * @throws SHAPE_MISMATCH when it is outside of the axis
 */
function positionOf(op: string, index: number, size: number): number {
  const position = index < 0 ? index + size : index;
  if (position < 0 || position >= size) {
    throw new CxmindError('SHAPE_MISMATCH', `${op}: index ${index} of an axis of ${size}`);
  }
  return position;
}

/** Adds slices along `axis` into zeros like `x`, at an `index` of any shape. */
function scatterRows(g: GraphBuilder, x: Value, index: Value, dy: Value, axis: number): Value {
  if (axis === 0 && index.shape.length === 1) {
    return g.addRows(g.zeros(dy.dtype, x.shape), index, dy);
  }
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const count = productDim(index.shape);
  const updates = g.reshape(dy, [...before, count, ...after]);
  const spread = x.shape.map((_, i) => (i === axis ? count : 1));
  const indices = g.expand(g.reshape(index, spread), updates.shape);
  return g.scatterElements(g.zeros(dy.dtype, x.shape), indices, updates, axis);
}

function moveElements(
  op: string,
  data: NdArray,
  index: NdArray,
  axis: number,
  visit: (position: number, target: number) => void,
): void {
  const strides = stridesOf(data.shape);
  walk(index.shape, [strides], (position, [offset]) => {
    const along = Math.floor(position / sizeOf(index.shape.slice(axis + 1))) % index.shape[axis]!;
    const target = positionOf(op, index.data[position]!, data.shape[axis]!);
    visit(position, offset! + (target - along) * strides[axis]!);
  });
}

/**
 * Reading and writing by index.
 *
 * Sums over repeated indices use ScatterElements. ScatterND with reduction=add races on the CPU provider when an index
 * repeats.
 */
export const indexing: OpFamily<IndexingAttributes> = {
  gather: {
    isCostly: true,
    infer(inputs, { axis }) {
      const [x, index] = [inputs[0]!, inputs[1]!];
      checkIndex('gather', index, inputs);
      const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)];
      return [{ dtype: x.dtype, shape }];
    },
    emit: asNode('Gather', ({ axis }) => ({ axis: { int: axis } })),
    vjp({ inputs: [x, index], attributes: { axis } }, [dy], g) {
      return [dy && scatterRows(g, x!, index!, dy, axis)];
    },
    evaluate([x, index], { axis }) {
      const { outer, size, inner } = aroundAxis(x!.shape, axis);
      const shape = [...x!.shape.slice(0, axis), ...index!.shape, ...x!.shape.slice(axis + 1)];
      const result = blank(x!.dtype, shape);
      const count = index!.data.length;
      for (let o = 0; o < outer; o++) {
        for (let k = 0; k < count; k++) {
          const from = (o * size + positionOf('gather', index!.data[k]!, size)) * inner;
          result.data.set(x!.data.subarray(from, from + inner), (o * count + k) * inner);
        }
      }
      return [result];
    },
  },
  permuteRows: {
    infer(inputs) {
      const [x, index, inverse] = [inputs[0]!, inputs[1]!, inputs[2]!];
      checkIndex('permuteRows', index, inputs);
      checkIndex('permuteRows', inverse, inputs);
      if (x.shape.length === 0 || index.shape.length !== 1 || inverse.shape.length !== 1) {
        throw shapeError('permuteRows', 'wants rows and two index vectors', inputs);
      }
      if (inverse.shape[0] !== x.shape[0]) {
        throw shapeError('permuteRows', 'the inverse has one entry per row', inputs);
      }
      return [{ dtype: x.dtype, shape: [index.shape[0]!, ...x.shape.slice(1)] }];
    },
    emit({ inputs: [x, index], outputs: [y], attributes: { isZeroFilled } }, onnx) {
      // -1 reads the last row, and a factor of 0 clears it. A copy of x with a zero row would cost more.
      const [from, to] = [index!, y!];
      const rows = isZeroFilled ? onnx.temporary() : to;
      onnx.node('Gather', [x!, from], [rows], { axis: { int: 0 } });
      if (!isZeroFilled) return;
      const isRow = onnx.inner('GreaterOrEqual', [from, onnx.scalar(0, index!.dtype)]);
      const column = onnx.ints([-1, ...x!.shape.slice(1).map(() => 1)]);
      const factor = onnx.inner('Reshape', [onnx.cast(isRow, x!.dtype), column]);
      onnx.node('Mul', [rows, factor], [to]);
    },
    steps: ({ inputs: [x, index], attributes: { isZeroFilled } }) => [
      permuteRowsKernel(x!.dtype, index!.dtype, isZeroFilled),
    ],
    vjp({ inputs: [, index, inverse], attributes }, [dy], g) {
      const swapped = {
        isZeroFilled: attributes.isGradientZeroFilled,
        isGradientZeroFilled: attributes.isZeroFilled,
      };
      return [dy && g.permuteRows(dy, inverse!, index!, swapped)];
    },
    evaluate([x, index], { isZeroFilled }) {
      const { size, inner } = aroundAxis(x!.shape, 0);
      const result = blank(x!.dtype, [index!.data.length, ...x!.shape.slice(1)]);
      index!.data.forEach((row, k) => {
        if (row < 0 && isZeroFilled) return;
        const from = positionOf('permuteRows', row, size) * inner;
        result.data.set(x!.data.subarray(from, from + inner), k * inner);
      });
      return [result];
    },
  },
  gatherElements: {
    isCostly: true,
    infer(inputs, { axis }) {
      checkIndex('gatherElements', inputs[1]!, inputs);
      checkAlong('gatherElements', axis, inputs);
      return [{ dtype: inputs[0]!.dtype, shape: inputs[1]!.shape }];
    },
    emit: asNode('GatherElements', ({ axis }) => ({ axis: { int: axis } })),
    steps: ({ inputs: [x, index], attributes: { axis } }) =>
      axis === x!.shape.length - 1 ? [gatherElementsKernel(x!.dtype, index!.dtype)] : undefined,
    vjp({ inputs: [x, index], attributes: { axis } }, [dy], g) {
      if (dy === undefined) return [];
      return [g.scatterElements(g.zeros(dy.dtype, x!.shape), index!, dy, axis)];
    },
    evaluate([x, index], { axis }) {
      const result = blank(x!.dtype, index!.shape);
      moveElements('gatherElements', x!, index!, axis, (position, target) => {
        result.data[position] = x!.data[target]!;
      });
      return [result];
    },
  },
  scatterElements: {
    isCostly: true,
    infer(inputs, { axis }) {
      const [data, index, updates] = [inputs[0]!, inputs[1]!, inputs[2]!];
      checkIndex('scatterElements', index, inputs);
      checkAlong('scatterElements', axis, inputs);
      if (!sameShape(index.shape, updates.shape)) {
        throw shapeError('scatterElements', 'index and updates differ in shape', inputs);
      }
      if (data.dtype !== updates.dtype) {
        throw dtypeError('scatterElements', 'data and updates differ in dtype', inputs);
      }
      return [{ dtype: data.dtype, shape: data.shape }];
    },
    emit: asNode('ScatterElements', ({ axis }) => ({
      axis: { int: axis },
      reduction: { text: 'add' },
    })),
    steps({ inputs: [data, index], attributes: { axis } }) {
      const count = index!.shape.at(-1);
      const isFew = typeof count === 'number' && count <= MOST_UPDATES;
      const isOfRows = axis === data!.shape.length - 1 && isFew && isFloat(data!.dtype);
      return isOfRows ? scatterElementsSteps(data!.dtype, index!.dtype) : undefined;
    },
    vjp({ inputs: [, index], attributes: { axis } }, [dy], g) {
      return dy === undefined ? [] : [dy, undefined, g.gatherElements(dy, index!, axis)];
    },
    evaluate([data, index, updates], { axis }) {
      const result = { ...data!, data: data!.data.slice() };
      moveElements('scatterElements', result, index!, axis, (position, target) => {
        result.data[target]! += updates!.data[position]!;
      });
      return [result];
    },
  },
  addRows: {
    isCostly: true,
    infer(inputs) {
      const [data, index, rows] = [inputs[0]!, inputs[1]!, inputs[2]!];
      checkIndex('addRows', index, inputs);
      const [count] = index.shape;
      const isFit = index.shape.length === 1 && data.shape.length > 0;
      if (!isFit || !sameShape(rows.shape, [count!, ...data.shape.slice(1)])) {
        throw shapeError('addRows', 'wants [R, ...], an index [N] and rows [N, ...]', inputs);
      }
      if (data.dtype !== rows.dtype || !isFloat(data.dtype)) {
        throw dtypeError('addRows', 'wants data and rows of one float dtype', inputs);
      }
      return [{ dtype: data.dtype, shape: data.shape }];
    },
    expand({ inputs: [data, index, rows] }, g) {
      const column = [index!.shape[0]!, ...rows!.shape.slice(1).map(() => 1)];
      const at = g.expand(g.reshape(index!, column), rows!.shape);
      return [g.scatterElements(data!, at, rows!, 0)];
    },
    steps: ({ inputs: [data, index] }) => addRowsSteps(data!.dtype, index!.dtype),
    vjp: ({ inputs: [, index] }, [dy], g) =>
      dy === undefined ? [] : [dy, undefined, g.gather(dy, index!)],
    evaluate([data, index, rows]) {
      const { size, inner } = aroundAxis(data!.shape, 0);
      const result = { ...data!, data: data!.data.slice() };
      index!.data.forEach((row, k) => {
        const start = positionOf('addRows', row, size) * inner;
        for (let j = 0; j < inner; j++) result.data[start + j]! += rows!.data[k * inner + j]!;
      });
      return [result];
    },
  },
};
