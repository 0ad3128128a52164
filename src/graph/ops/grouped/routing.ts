import { productDim, quotientDim } from '../../dim.ts';
import { isFloat, type Dim, type Value, type ValueType } from '../../ir.ts';
import { dtypeError, sameShape, shapeError } from '../../shape.ts';
import type { GraphBuilder } from '../../builder.ts';
import { aroundAxis, blank } from '../array.ts';
import type { OpFamily } from '../op.ts';
import { joinRowsKernel, rowOrderKernel, spreadRowsKernel } from './routing-kernels.ts';

/**
 * Attributes of the ops that bring rows to groups and back. Each of T tokens goes to k groups, so there are N = T · k
 * rows: in the order of tokens those of a token are adjacent, in the order of groups those of a group are. The builder
 * tells what each op gives.
 */
export interface RoutingAttributes {
  readonly rowOrder: { readonly count: number };
  readonly spreadRows: { readonly perToken: number };
  readonly joinRows: { readonly perToken: number };
}

function checkOrder(op: string, inputs: readonly ValueType[], rows: Dim): void {
  const isOrder = ({ dtype, shape }: ValueType): boolean =>
    dtype === 'i64' && sameShape(shape, [rows]);
  if (!inputs.slice(1, 3).every(isOrder))
    throw shapeError(op, `wants orders of ${rows} rows`, inputs);
  if (!isFloat(inputs[0]!.dtype)) throw dtypeError(op, 'wants floats', inputs);
}

/** The indices i64 `[N]` that sort whole numbers `[N]` (argsort). Equal numbers keep their order. */
function places(g: GraphBuilder, numbers: Value): Value {
  return g.topK(g.neg(g.cast(numbers, 'f32')), numbers.shape[0]!)[1];
}

/** Rows of tokens and rows of groups. */
export const routing: OpFamily<RoutingAttributes> = {
  rowOrder: {
    isCostly: true,
    infer(inputs, { count }) {
      const [groups] = inputs as [ValueType];
      if (groups.dtype !== 'i64') throw dtypeError('rowOrder', 'wants i64 groups', inputs);
      if (groups.shape.length !== 1) throw shapeError('rowOrder', 'wants a group a row', inputs);
      const order: ValueType = { dtype: 'i64', shape: groups.shape };
      return [{ dtype: 'i64', shape: [count] }, order, order];
    },
    expand({ inputs: [groups], attributes: { count } }, g) {
      const ones = g.expand(g.scalar(1), groups!.shape);
      const sums = g.scatterElements(g.zeros('f32', [count]), groups!, ones, 0);
      const order = places(g, groups!);
      return [g.cast(sums, 'i64'), order, places(g, order)];
    },
    steps: ({ attributes: { count } }) => [rowOrderKernel(count)],
    evaluate([groups], { count }) {
      const shape = groups!.shape;
      const counts = blank('i64', [count]);
      const [order, inverse] = [blank('i64', shape), blank('i64', shape)];
      const rows = [...groups!.data.keys()];
      const sorted = rows.sort((a, b) => groups!.data[a]! - groups!.data[b]! || a - b);
      for (const [place, row] of sorted.entries()) {
        counts.data[groups!.data[row]!]! += 1;
        order.data[place] = row;
        inverse.data[row] = place;
      }
      return [counts, order, inverse];
    },
  },
  spreadRows: {
    infer(inputs, { perToken }) {
      const [tokens, ...rest] = inputs[0]!.shape;
      const rows = productDim([tokens!, perToken]);
      checkOrder('spreadRows', inputs, rows);
      return [{ dtype: inputs[0]!.dtype, shape: [rows, ...rest] }];
    },
    expand({ inputs: [x, order, inverse], outputs: [y], attributes: { perToken } }, g) {
      const [tokens, ...rest] = x!.shape;
      const repeated = g.expand(g.unsqueeze(x!, [1]), [tokens!, perToken, ...rest]);
      return [g.reorderRows(g.reshape(repeated, y!.shape), order!, inverse!)];
    },
    steps: ({ inputs: [x], attributes: { perToken } }) => [spreadRowsKernel(x!.dtype, perToken)],
    vjp: ({ inputs: [, order, inverse], attributes: { perToken } }, [dy], g) => [
      dy && g.joinRows(dy, order!, inverse!, perToken),
    ],
    evaluate([x, order], { perToken }) {
      const { inner } = aroundAxis(x!.shape, 0);
      const y = blank(x!.dtype, [order!.data.length, ...x!.shape.slice(1)]);
      order!.data.forEach((row, place) => {
        const from = Math.floor(row / perToken) * inner;
        y.data.set(x!.data.subarray(from, from + inner), place * inner);
      });
      return [y];
    },
  },
  joinRows: {
    infer(inputs, { perToken }) {
      const [rows, ...rest] = inputs[0]!.shape;
      checkOrder('joinRows', inputs, rows!);
      const tokens = quotientDim([rows!], [perToken]);
      if (tokens === undefined)
        throw shapeError('joinRows', `wants ${perToken} rows a token`, inputs);
      return [{ dtype: inputs[0]!.dtype, shape: [tokens, ...rest] }];
    },
    expand({ inputs: [x, order, inverse], outputs: [y], attributes: { perToken } }, g) {
      const [tokens, ...rest] = y!.shape;
      const rows = g.reorderRows(x!, inverse!, order!);
      return [g.reduceSum(g.reshape(rows, [tokens!, perToken, ...rest]), [1])];
    },
    steps: ({ inputs: [x], attributes: { perToken } }) => [joinRowsKernel(x!.dtype, perToken)],
    vjp: ({ inputs: [, order, inverse], attributes: { perToken } }, [dy], g) => [
      dy && g.spreadRows(dy, order!, inverse!, perToken),
    ],
    evaluate([x, , inverse], { perToken }) {
      const { inner } = aroundAxis(x!.shape, 0);
      const y = blank(x!.dtype, [x!.shape[0]! / perToken, ...x!.shape.slice(1)]);
      inverse!.data.forEach((place, row) => {
        const to = Math.floor(row / perToken) * inner;
        for (let j = 0; j < inner; j++) y.data[to + j]! += x!.data[place * inner + j]!;
      });
      return [y];
    },
  },
};
