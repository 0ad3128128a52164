import { isFloat, type Dim } from '../ir.ts';
import { productDim } from '../dim.ts';
import { broadcastShapes, dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank, broadcastStrides, mapArrays, walk, type NdArray } from './array.ts';
import { asNode, microsoft, type OpFamily } from './op.ts';
import { libraryProduct } from './product-batches.ts';

/** A product's scale and result, and whether it reads its operands transposed in their last two axes. */
export interface ProductAttributes {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
  /** The result's dtype, if it is not the operands' own. f32 keeps the precision in which halves are summed. */
  readonly to?: 'f32';
}

/** Attributes of the matrix products. */
export interface LinalgAttributes {
  readonly matMul: ProductAttributes;
  readonly gemm: ProductAttributes;
}

function lastTwo(shape: readonly Dim[], transposed: boolean): [Dim, Dim] {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? [columns, rows] : [rows, columns];
}

function onnxAttributes({ transA, transB, alpha }: ProductAttributes) {
  return {
    transA: { int: Number(transA) },
    transB: { int: Number(transB) },
    alpha: { float: alpha },
  };
}

/** Alpha times the product of two batches of matrices. */
export function multiply(a: NdArray, b: NdArray, attributes: ProductAttributes): NdArray {
  const { transA, transB, alpha, to = a.dtype } = attributes;
  const [m, k] = lastTwo(a.shape, transA) as [number, number];
  const n = lastTwo(b.shape, transB)[1] as number;
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batch = broadcastShapes([batchA, batchB]) as number[];
  const result = blank(to, [...batch, m, n]);
  const [rowA, innerA] = transA ? [1, m] : [k, 1];
  const [innerB, columnB] = transB ? [1, k] : [n, 1];
  const strides = [broadcastStrides(batchA, batch), broadcastStrides(batchB, batch)];
  walk(batch, strides, (at, [offsetA, offsetB]) => {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) {
          const left = a.data[offsetA! * m * k + i * rowA + l * innerA]!;
          sum += left * b.data[offsetB! * k * n + l * innerB + j * columnB]!;
        }
        result.data[(at * m + i) * n + j] = alpha * sum;
      }
    }
  });
  return result;
}

/** Matrix products. */
export const linalg: OpFamily<LinalgAttributes> = {
  matMul: {
    isCostly: true,
    infer(inputs, { transA, transB, to }) {
      const [a, b] = [inputs[0]!, inputs[1]!];
      if (a.shape.length < 2 || b.shape.length < 2) {
        throw shapeError('matMul', 'wants matrices or batches of them', inputs);
      }
      if (!isFloat(a.dtype) || a.dtype !== b.dtype) {
        throw dtypeError('matMul', 'wants two operands of one float dtype', inputs);
      }
      const [m, k] = lastTwo(a.shape, transA);
      const [inner, n] = lastTwo(b.shape, transB);
      if (k !== inner) throw shapeError('matMul', 'inner dimensions differ', inputs);
      const batch = broadcastShapes([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
      if (batch === undefined) throw shapeError('matMul', 'batches do not broadcast', inputs);
      return [{ dtype: to ?? a.dtype, shape: [...batch, m, n] }];
    },
    emit({ inputs, outputs, attributes }, onnx) {
      const { transA, transB, alpha } = attributes;
      if (!transA && !transB && alpha === 1) onnx.node('MatMul', inputs, outputs);
      else onnx.node('FusedMatMul', inputs, outputs, onnxAttributes(attributes), microsoft);
    },
    steps: ({ attributes }) => [libraryProduct(attributes)],
    vjp({ inputs: [a, b], attributes: { transA, transB, alpha } }, [wide], g) {
      if (wide === undefined) return [];
      const dy = g.cast(wide, a!.dtype);
      const da = transA
        ? g.matMul(b!, dy, { transA: transB, transB: true, alpha })
        : g.matMul(dy, b!, { transB: !transB, alpha });
      if (b!.shape.length === 2 && a!.shape.length > 2 && !transA) {
        // One product over all rows costs less than a product for each batch and a sum.
        const [rowsA, rowsDy] = [a!, dy].map((value) =>
          g.reshape(value, [productDim(value.shape.slice(0, -1)), value.shape.at(-1)!]),
        );
        const [left, right] = transB ? [rowsDy!, rowsA!] : [rowsA!, rowsDy!];
        return [da, g.gemm(left, right, { transA: true, alpha })];
      }
      const db = transB
        ? g.matMul(dy, a!, { transA: true, transB: transA, alpha })
        : g.matMul(a!, dy, { transA: !transA, alpha });
      return [da, db];
    },
    evaluate: ([a, b], attributes) => [multiply(a!, b!, attributes)],
  },
  gemm: {
    isCostly: true,
    infer(inputs, { transA, transB, to }) {
      const [a, b, c] = [inputs[0]!, inputs[1]!, inputs[2]];
      if (a.shape.length !== 2 || b.shape.length !== 2) {
        throw shapeError('gemm', 'wants two matrices', inputs);
      }
      const dtype = to ?? a.dtype;
      if (!isFloat(a.dtype) || a.dtype !== b.dtype || (c ?? { dtype }).dtype !== dtype) {
        throw dtypeError('gemm', "wants two of one float dtype, an addend of the result's", inputs);
      }
      const [m, k] = lastTwo(a.shape, transA);
      const [inner, n] = lastTwo(b.shape, transB);
      if (k !== inner) throw shapeError('gemm', 'inner dimensions differ', inputs);
      const shape = c === undefined ? [m, n] : broadcastShapes([[m, n], c.shape]);
      if (shape?.length !== 2 || shape[0] !== m || shape[1] !== n) {
        throw shapeError('gemm', `the addend does not broadcast to [${m}, ${n}]`, inputs);
      }
      return [{ dtype, shape }];
    },
    emit: asNode('Gemm', onnxAttributes),
    steps: ({ inputs: [, , c], outputs: [y], attributes }) =>
      c === undefined || sameShape(c.shape, y!.shape) ? [libraryProduct(attributes)] : undefined,
    vjp({ inputs: [a, b, c], attributes: { transA, transB, alpha } }, [wide], g) {
      if (wide === undefined) return [];
      const dy = g.cast(wide, a!.dtype);
      const da = transA
        ? g.gemm(b!, dy, { transA: transB, transB: true, alpha })
        : g.gemm(dy, b!, { transB: !transB, alpha });
      const db = transB
        ? g.gemm(dy, a!, { transA: true, transB: transA, alpha })
        : g.gemm(a!, dy, { transA: !transA, alpha });
      return c === undefined ? [da, db] : [da, db, wide];
    },
    evaluate([a, b, c], attributes) {
      const product = multiply(a!, b!, attributes);
      return [c === undefined ? product : mapArrays(product.dtype, [product, c], (x, y) => x + y)];
    },
  },
};
