import type { FloatDType } from '../../../tensor/dtype.ts';
import { isFloat, type Dim, type Value, type ValueType } from '../../ir.ts';
import { dtypeError, sameShape, shapeError } from '../../shape.ts';
import { blank, mapArrays, type NdArray } from '../array.ts';
import { groupedOuterProductKernel, groupedProductKernel } from './grouped-kernels.ts';
import { multiply } from '../linalg.ts';
import type { Emitter, NodeArg, None, OpFamily } from '../op.ts';

/**
 * Attributes of the products of groups of rows.
 *
 * Rows of one group stand together, groups in order. The input `counts i64 [E]` has the number of rows of each group,
 * which may be 0; their sum is the number of rows. The builder tells what each op gives.
 */
export interface GroupedAttributes {
  readonly groupedProduct: { readonly transB: boolean };
  readonly groupedOuterProduct: None;
}

function checkRows(op: string, counts: ValueType, inputs: readonly ValueType[]): number {
  const [groups] = counts.shape;
  if (counts.dtype !== 'i64') throw dtypeError(op, 'wants i64 counts', inputs);
  if (counts.shape.length !== 1 || typeof groups !== 'number') {
    throw shapeError(op, 'wants a count for each of a fixed number of groups', inputs);
  }
  return groups;
}

/** The rows of each group, as names of ONNX values. */
function splitRows(onnx: Emitter, rows: NodeArg, counts: Value, groups: number): string[] {
  const parts = Array.from({ length: groups }, () => onnx.temporary());
  onnx.node('Split', [rows, counts], parts, { axis: { int: 0 } });
  return parts;
}

/** The rows of each group, as parts of an array. */
function groupsOf(rows: NdArray, counts: NdArray): NdArray[] {
  const width = rows.shape[1]!;
  let start = 0;
  return [...counts.data].map((count) => {
    const data = rows.data.subarray(start * width, (start + count) * width);
    start += count;
    return { ...rows, shape: [count, width], data };
  });
}

/** Products of rows by the weight of their group, and the gradients of these weights. */
export const grouped: OpFamily<GroupedAttributes> = {
  groupedProduct: {
    isCostly: true,
    infer(inputs, { transB }) {
      const [x, counts, ...weights] = inputs as [ValueType, ValueType, ...ValueType[]];
      const groups = checkRows('groupedProduct', counts, inputs);
      const shape = weights[0]?.shape ?? [];
      const [inner, out] = (transB ? shape.toReversed() : shape) as [Dim, Dim];
      const isOne = weights.every((weight) => sameShape(weight.shape, shape));
      if (weights.length !== groups || !isOne || shape.length !== 2) {
        throw shapeError('groupedProduct', `wants ${groups} matrices of one shape`, inputs);
      }
      if (x.shape.length !== 2 || x.shape[1] !== inner) {
        throw shapeError('groupedProduct', 'inner dimensions differ', inputs);
      }
      if (!isFloat(x.dtype) || weights.some(({ dtype }) => dtype !== x.dtype)) {
        throw dtypeError('groupedProduct', 'wants operands of one float dtype', inputs);
      }
      return [{ dtype: x.dtype, shape: [x.shape[0]!, out] }];
    },
    emit({ inputs: [x, counts, ...weights], outputs: [y], attributes: { transB } }, onnx) {
      const parts = splitRows(onnx, x!, counts!, weights.length);
      const products = weights.map((weight, group) =>
        onnx.inner('Gemm', [parts[group]!, weight], {
          transB: { int: Number(transB) },
        }),
      );
      onnx.node('Concat', products, [y!], { axis: { int: 0 } });
    },
    steps: ({ inputs: [x, , ...weights], attributes: { transB } }) => [
      groupedProductKernel(x!.dtype as FloatDType, weights.length, transB),
    ],
    vjp({ inputs: [x, counts, ...weights], attributes: { transB } }, [dy], g) {
      if (dy === undefined) return [];
      const [left, right] = transB ? [dy, x!] : [x!, dy];
      return [
        g.groupedProduct(dy, counts!, weights, { transB: !transB }),
        undefined,
        ...g.groupedOuterProduct(left, right, counts!),
      ];
    },
    evaluate([x, counts, ...weights], { transB }) {
      const out = weights[0]!.shape[transB ? 0 : 1]!;
      const y = blank(x!.dtype, [x!.shape[0]!, out]);
      let at = 0;
      for (const [group, rows] of groupsOf(x!, counts!).entries()) {
        const product = multiply(rows, weights[group]!, { transA: false, transB, alpha: 1 });
        y.data.set(product.data, at);
        at += product.data.length;
      }
      return [y];
    },
  },
  groupedOuterProduct: {
    isCostly: true,
    infer(inputs) {
      const [a, b, counts] = [inputs[0]!, inputs[1]!, inputs[2]!];
      const addends = inputs.slice(3);
      const groups = checkRows('groupedOuterProduct', counts, inputs);
      if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[0] !== b.shape[0]) {
        throw shapeError('groupedOuterProduct', 'wants two matrices of as many rows', inputs);
      }
      if (!isFloat(a.dtype) || a.dtype !== b.dtype) {
        throw dtypeError('groupedOuterProduct', 'wants operands of one float dtype', inputs);
      }
      const shape = [a.shape[1]!, b.shape[1]!];
      const isAddend = (one: ValueType): boolean =>
        one.dtype === 'f32' && sameShape(one.shape, shape);
      if (addends.length > 0 && (addends.length !== groups || !addends.every(isAddend))) {
        throw shapeError('groupedOuterProduct', `wants ${groups} addends, f32`, inputs);
      }
      const dtype = addends.length > 0 ? 'f32' : a.dtype;
      return Array.from({ length: groups }, () => ({ dtype, shape }));
    },
    emit({ inputs: [a, b, counts, ...addends], outputs }, onnx) {
      const { dtype } = outputs[0]!;
      const [left, right] = [a!, b!].map((rows) =>
        splitRows(onnx, onnx.cast(rows, dtype), counts!, outputs.length),
      );
      for (const [group, output] of outputs.entries()) {
        const operands = [left![group]!, right![group]!];
        const addend = addends[group] === undefined ? [] : [addends[group]];
        onnx.node('Gemm', [...operands, ...addend], [output], { transA: { int: 1 } });
      }
    },
    steps: ({ inputs: [a, , , ...addends], outputs }) => [
      groupedOuterProductKernel(a!.dtype as FloatDType, outputs.length, addends.length > 0),
    ],
    evaluate([a, b, counts, ...addends]) {
      const right = groupsOf(b!, counts!);
      return groupsOf(a!, counts!).map((rows, group) => {
        const addend = addends[group];
        const product = multiply(rows, right[group]!, { transA: true, transB: false, alpha: 1 });
        return addend === undefined
          ? product
          : mapArrays('f32', [product, addend], (x, y) => x + y);
      });
    },
  },
};
