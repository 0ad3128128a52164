import { isFloat, type Dim } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank } from './array.ts';
import { linalg } from './linalg.ts';
import { microsoft, type None, type OpFamily } from './op.ts';
import { reduce } from './reduce.ts';

/** Attributes of the attention ops. */
export interface AttentionAttributes {
  /** `inverse` turns the other way: the transpose of the rotation. */
  readonly rotary: { readonly inverse: boolean };
  readonly attend: None;
}

/** Rotary positions and softmax attention. */
export const attention: OpFamily<AttentionAttributes> = {
  rotary: {
    cost: 'cheap',
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
      if (cos.dtype !== x.dtype || sin.dtype !== x.dtype) {
        throw dtypeError('rotary', 'wants one dtype', inputs);
      }
      return [{ dtype: x.dtype, shape: x.shape }];
    },
    emit({ inputs: [x, cos, sin], outputs: [y], attributes: { inverse } }, onnx) {
      const [, heads, width] = x!.shape as [Dim, Dim, number];
      const node = (type: string, ...inputs: string[]): string => {
        const output = onnx.temporary();
        onnx.node(type, inputs, [output]);
        return output;
      };
      // One sequence whose first token reads row 0 of the tables.
      const size = Number(heads) * width;
      const sequence = node('Reshape', onnx.name(x!), onnx.ints([1, -1, size]));
      const sines = inverse ? node('Neg', onnx.name(sin!)) : onnx.name(sin!);
      const turned = onnx.temporary();
      const tables = [onnx.ints([0]), onnx.name(cos!), sines];
      onnx.node('RotaryEmbedding', [sequence, ...tables], [turned], {}, microsoft);
      onnx.node('Reshape', [turned, onnx.ints([-1, Number(heads), width])], [onnx.name(y!)]);
    },
    vjp({ inputs: [, cos, sin], attributes: { inverse } }, [dy], g) {
      return [dy && g.rotary(dy, cos!, sin!, { inverse: !inverse })];
    },
    evaluate([x, cos, sin], { inverse }) {
      const [tokens, heads, width] = x!.shape as [number, number, number];
      const half = width / 2;
      const y = blank(x!.dtype, x!.shape);
      for (let row = 0; row < tokens * heads; row++) {
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
  /** Outputs: the mixed values, and the weights that backward reads. */
  attend: {
    cost: 'costly',
    infer(inputs) {
      const [scores, values] = [inputs[0]!, inputs[1]!];
      const [lead, last] = [scores.shape.slice(0, -1), scores.shape.at(-1)];
      const batch = lead.slice(0, -1);
      const width = values.shape.at(-1)!;
      if (lead.length === 0 || !sameShape(values.shape, [...batch, last!, width])) {
        throw shapeError('attend', 'wants scores [..., M, S] and values [..., S, d]', inputs);
      }
      if (!isFloat(scores.dtype) || values.dtype !== scores.dtype) {
        throw dtypeError('attend', 'wants one float dtype', inputs);
      }
      const { dtype } = scores;
      return [
        { dtype, shape: [...lead, width] },
        { dtype, shape: scores.shape },
      ];
    },
    /*
     * Scores are first raised to at least their row's largest less 40: weights below e^-40 change no
     * float32 sum, but where masks make them subnormal, Softmax takes ten times as long.
     */
    emit({ inputs: [scores, values], outputs: [mixed, weights] }, onnx) {
      const [top, low, floor, raised] = Array.from({ length: 4 }, () => onnx.temporary());
      // The axis of 1 comes last: ONNX Runtime takes scalars from such shapes one element at a time.
      onnx.node('ReduceMax', [onnx.name(scores!), onnx.ints([-1])], [top!], {
        keepdims: { int: 0 },
      });
      onnx.node('Sub', [top!, onnx.scalar(40, scores!.dtype)], [low!]);
      onnx.node('Unsqueeze', [low!, onnx.ints([-1])], [floor!]);
      onnx.node('Max', [onnx.name(scores!), floor!], [raised!]);
      onnx.node('Softmax', [raised!], [onnx.name(weights!)], { axis: { int: -1 } });
      onnx.node('MatMul', [onnx.name(weights!), onnx.name(values!)], [onnx.name(mixed!)]);
    },
    /*
     * With P the weights, O the mixed values and dP = dO V^T: dS = P (dP - rowsum(P dP)), and that
     * sum is rowsum(dO O), of d terms rather than S. As one more column of the product,
     * [dO, -rowsum] [V, 1]^T, it costs no pass over the scores at all.
     * See FlashAttention, arXiv:2205.14135, appendix B.4.
     */
    vjp({ inputs: [, values], outputs: [mixed, weights] }, [dy], g) {
      if (dy === undefined) return [];
      const last = dy.shape.length - 1;
      const correction = g.neg(g.reduceSum(g.mul(dy, mixed!), [last], true));
      const ones = g.expand(g.scalar(1, dy.dtype), [...values!.shape.slice(0, -1), 1]);
      const left = g.concat([dy, correction], last);
      const right = g.concat([values!, ones], last);
      const dScores = g.mul(g.matMul(left, right, { transB: true }), weights!);
      return [dScores, g.matMul(weights!, dy, { transA: true })];
    },
    evaluate([scores, values]) {
      const [weights] = reduce.softmax.evaluate(
        [scores!],
        { axis: scores!.shape.length - 1 },
        () => 0,
      );
      const product = { transA: false, transB: false, alpha: 1 };
      return [...linalg.matMul.evaluate([weights!, values!], product, () => 0), weights!];
    },
  },
};
