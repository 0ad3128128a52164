import { isFloat, type Dim, type Value } from '../../ir.ts';
import { dtypeError, sameShape, shapeError } from '../../shape.ts';
import { rotaryKernel } from './attention-kernels.ts';
import { linalg } from '../linalg.ts';
import { microsoft, type None, type OpFamily } from '../op.ts';
import { reduce } from '../reduce.ts';

/** Attributes of the attention ops. */
export interface AttentionAttributes {
  /** The first `heads` heads of a row turn, or all. `inverse` turns them back, which is the transpose. */
  readonly rotary: { readonly inverse: boolean; readonly heads?: number };
  readonly attend: None;
}

/** Rotary positions and softmax attention. */
export const attention: OpFamily<AttentionAttributes> = {
  rotary: {
    infer(inputs) {
      const [x, cos, sin] = [inputs[0]!, inputs[1]!, inputs[2]!];
      const [, heads, width] = x.shape;
      if (x.shape.length !== 3 || typeof heads !== 'number' || Number(width) % 2 !== 0) {
        throw shapeError('rotary', 'wants [T, H, d] with numbers for H and d, d even', inputs);
      }
      const half = [x.shape[0]!, Number(width) / 2];
      if (!sameShape(cos.shape, half) || !sameShape(sin.shape, half)) {
        throw shapeError('rotary', 'cosines and sines are [T, d/2]', inputs);
      }
      const fits = cos.dtype === x.dtype || cos.dtype === 'f32';
      if (!isFloat(x.dtype) || !fits || sin.dtype !== cos.dtype) {
        throw dtypeError('rotary', "wants tables in the rows' float dtype or in f32", inputs);
      }
      return [{ dtype: x.dtype, shape: x.shape }];
    },
    emit({ inputs: [x, cos, sin], outputs: [y], attributes: { inverse, heads: turning } }, onnx) {
      const [, all, width] = x!.shape as [Dim, number, number];
      const heads = turning ?? all;
      // ONNX Runtime's op takes sequences. This is one, whose first token reads row 0 of the tables.
      const size = heads * width;
      const [rows, still] = [onnx.temporary(), onnx.temporary()];
      if (heads < all) {
        const sizes = onnx.ints([heads, all - heads]);
        onnx.node('Split', [x!, sizes], [rows, still], { axis: { int: 1 } });
      }
      const from = heads < all ? rows : x!;
      const sequence = onnx.inner('Reshape', [from, onnx.ints([1, -1, size])]);
      const table = (value: Value): string => onnx.cast(value, x!.dtype);
      const sines = inverse ? onnx.inner('Neg', [table(sin!)]) : table(sin!);
      const turned = onnx.temporary();
      const tables = [onnx.ints([0]), table(cos!), sines];
      onnx.node('RotaryEmbedding', [sequence, ...tables], [turned], {}, microsoft);
      const to = heads < all ? onnx.temporary() : y!;
      onnx.node('Reshape', [turned, onnx.ints([-1, heads, width])], [to]);
      if (heads < all) onnx.node('Concat', [to, still], [y!], { axis: { int: 1 } });
    },
    steps({ inputs: [x, cos], attributes: { inverse, heads: turning } }) {
      const [, heads, width] = x!.shape as [Dim, number, number];
      const [dtype, tableDType] = [x!.dtype, cos!.dtype];
      return [
        rotaryKernel({ dtype, tableDType, heads, turning: turning ?? heads, width, inverse }),
      ];
    },
    vjp({ inputs: [, cos, sin], attributes: { inverse, ...some } }, [dy], g) {
      return [dy && g.rotary(dy, cos!, sin!, { inverse: !inverse, ...some })];
    },
    evaluate([x, cos, sin], { inverse, heads: turning }) {
      const [tokens, heads, width] = x!.shape as [number, number, number];
      const half = width / 2;
      const y = { ...x!, data: x!.data.slice() };
      for (let row = 0; row < tokens * heads; row++) {
        if (row % heads >= (turning ?? heads)) continue;
        for (let j = 0; j < half; j++) {
          const at = row * width + j;
          const angle = Math.floor(row / heads) * half + j;
          const [a, b] = [x!.data[at]!, x!.data[at + half]!];
          const [c, s] = [cos!.data[angle]!, (inverse ? -1 : 1) * sin!.data[angle]!];
          y.data[at] = a * c - b * s;
          y.data[at + half] = b * c + a * s;
        }
      }
      return [y];
    },
  },
  /**
   * Softmax attention. Outputs, in the values' dtype: the mixed values, and the weights for backward. Scores may be f32.
   */
  attend: {
    isCostly: true,
    infer(inputs) {
      const [scores, values] = [inputs[0]!, inputs[1]!];
      const [lead, last] = [scores.shape.slice(0, -1), scores.shape.at(-1)];
      const batch = lead.slice(0, -1);
      const width = values.shape.at(-1)!;
      if (lead.length === 0 || !sameShape(values.shape, [...batch, last!, width])) {
        throw shapeError('attend', 'wants scores [..., M, S] and values [..., S, d]', inputs);
      }
      const { dtype } = values;
      if (!isFloat(dtype) || (scores.dtype !== dtype && scores.dtype !== 'f32')) {
        throw dtypeError('attend', "wants scores in the values' float dtype or in f32", inputs);
      }
      return [
        { dtype, shape: [...lead, width] },
        { dtype, shape: scores.shape },
      ];
    },
    /*
     * Scores are first raised to at least their row's largest less 40. Weights below e^-40 change no float32 sum, but
     * masks make some of them subnormal, and Softmax takes ten times as long for these.
     */
    emit({ inputs: [scores, values], outputs: [mixed, weights] }, onnx) {
      const [given, last] = [scores!, onnx.ints([-1])];
      // The axis of 1 comes last: ONNX Runtime takes scalars from such shapes one element at a time.
      const top = onnx.inner('ReduceMax', [given, last], { keepdims: { int: 0 } });
      const low = onnx.inner('Sub', [top, onnx.scalar(40, scores!.dtype)]);
      const floor = onnx.inner('Unsqueeze', [low, last]);
      const raised = onnx.inner('Max', [given, floor]);
      const axis = { axis: { int: -1 } };
      if (scores!.dtype === weights!.dtype) {
        onnx.node('Softmax', [raised], [weights!], axis);
      } else {
        const wide = onnx.inner('Softmax', [raised], axis);
        onnx.node('Cast', [wide], [weights!], { to: { dtype: weights!.dtype } });
      }
      onnx.node('MatMul', [weights!, values!], [mixed!]);
    },
    /*
     * With P the weights, O the mixed values and dP = dO V^T: dS = P (dP - rowsum(P dP)). That sum is rowsum(dO O),
     * which has d terms rather than S. As one more column of the product, [dO, -rowsum] [V, 1]^T, it costs no pass over
     * the scores. Halves would round the sum and lose the difference, so theirs is subtracted in f32.
     * See FlashAttention, arXiv:2205.14135, appendix B.4.
     */
    vjp({ inputs: [scores, values], outputs: [mixed, weights] }, [dy], g) {
      if (dy === undefined) return [];
      const last = dy.shape.length - 1;
      const products = g.mul(g.cast(dy, 'f32'), g.cast(mixed!, 'f32'));
      const sums = g.reduceSum(products, [last], true);
      const dValues = g.matMul(weights!, dy, { transA: true });
      if (dy.dtype !== 'f32') {
        const dWeights = g.matMul(dy, values!, { transB: true, to: 'f32' });
        const dScores = g.mul(g.sub(dWeights, sums), g.cast(weights!, 'f32'));
        return [g.cast(dScores, scores!.dtype), dValues];
      }
      const correction = g.neg(sums);
      const ones = g.expand(g.scalar(1, dy.dtype), [...values!.shape.slice(0, -1), 1]);
      const left = g.concat([dy, correction], last);
      const right = g.concat([values!, ones], last);
      const dScores = g.mul(g.matMul(left, right, { transB: true }), weights!);
      return [dScores, dValues];
    },
    evaluate([scores, values]) {
      const axis = scores!.shape.length - 1;
      const [softmax] = reduce.softmax.evaluate([scores!], { axis }, () => 0);
      const weights = { ...softmax!, dtype: values!.dtype };
      const product = { transA: false, transB: false, alpha: 1 };
      return [...linalg.matMul.evaluate([weights, values!], product, () => 0), weights];
    },
  },
};
