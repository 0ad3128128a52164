import { isFloat } from '../ir.ts';
import { productDim } from '../dim.ts';
import { dtypeError, shapeError } from '../shape.ts';
import { blank } from './array.ts';
import type { OpFamily } from './op.ts';

/** Attributes of the normalisations. */
export interface NormAttributes {
  readonly rmsNorm: { readonly epsilon: number };
}

/** Normalisations. */
export const norm: OpFamily<NormAttributes> = {
  /** Root mean square norm. Outputs: the scaled rows, and the reciprocal root mean square `[..., 1]` for backward. */
  rmsNorm: {
    isCostly: true,
    infer(inputs) {
      const [x, weight] = [inputs[0]!, inputs[1]!];
      if (weight.shape.length !== 1 || weight.shape[0] !== x.shape.at(-1)) {
        throw shapeError('rmsNorm', 'the weight has one entry per feature', inputs);
      }
      if (!isFloat(x.dtype) || x.dtype !== weight.dtype) {
        throw dtypeError('rmsNorm', 'wants rows and weight of one float dtype', inputs);
      }
      return [
        { dtype: x.dtype, shape: x.shape },
        { dtype: 'f32', shape: [...x.shape.slice(0, -1), 1] },
      ];
    },
    emit({ inputs, outputs, attributes: { epsilon } }, onnx) {
      const read = outputs.filter((value, i) => i === 0 || onnx.isRead(value));
      const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
      onnx.node('SimplifiedLayerNormalization', inputs, read, attributes);
    },
    /*
     * With r the reciprocal root mean square, y = x r w and p = dy x:
     *   dw_j = sum_t p_tj r_t,   dx = dy w r - x r^3 mean_j(p_j w_j).
     * The two sums are matrix products of p: each reads p once and writes little.
     */
    vjp({ inputs: [rows, weights], outputs: [, inverse] }, [gradient], g) {
      if (gradient === undefined) return [];
      const { dtype } = rows!;
      const dy = g.cast(gradient, 'f32');
      const x = g.cast(rows!, 'f32');
      const weight = g.cast(weights!, 'f32');
      const r = inverse!;
      const width = x.shape.at(-1)!;
      const p = g.reshape(g.mul(dy, x), [productDim(x.shape.slice(0, -1)), width]);
      const column = g.reshape(r, [p.shape[0]!, 1]);
      const dot = g.gemm(p, g.reshape(weight, [width, 1]));
      const dw = g.reshape(g.gemm(column, p, { transA: true }), [width]);
      const mean = g.div(g.reshape(dot, r.shape), g.size(x, [x.shape.length - 1], 'f32'));
      const pull = g.mul(g.mul(g.mul(r, r), r), mean);
      const dx = g.sub(g.mul(g.mul(dy, weight), r), g.mul(x, pull));
      return [g.cast(dx, dtype), g.cast(dw, dtype)];
    },
    substitutes({ inputs: [x, weight], outputs: [, inverse] }, g) {
      const y = g.mul(g.mul(g.cast(x!, 'f32'), inverse!), g.cast(weight!, 'f32'));
      return [g.cast(y, x!.dtype)];
    },
    evaluate([x, weight], { epsilon }) {
      const width = weight!.data.length;
      const y = blank(x!.dtype, x!.shape);
      const inverse = blank('f32', [...x!.shape.slice(0, -1), 1]);
      for (let row = 0; row < inverse.data.length; row++) {
        let squares = 0;
        for (let j = 0; j < width; j++) squares += x!.data[row * width + j]! ** 2;
        const r = 1 / Math.sqrt(squares / width + epsilon);
        inverse.data[row] = r;
        for (let j = 0; j < width; j++) {
          y.data[row * width + j] = x!.data[row * width + j]! * r * weight!.data[j]!;
        }
      }
      return [y, inverse];
    },
  },
};
