import { isFloat, type Dim } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank, type NdArray } from './array.ts';
import { linalg } from './linalg.ts';
import { microsoft, type None, type OpFamily } from './op.ts';
import { reduce } from './reduce.ts';

/** Attributes of the attention ops. */
export interface AttentionAttributes {
  /** `inverse` turns the other way: the transpose of the rotation. */
  readonly rotary: { readonly inverse: boolean };
  readonly attend: None;
  readonly groupQueryAttention: {
    readonly numHeads: number;
    readonly kvNumHeads: number;
    readonly scale: number;
    /** Length of the key-value buffers after the op; that of the buffers before it when in place. */
    readonly presentLength: Dim;
  };
}

/** Rotary positions and attention over a key-value cache. */
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
      const [top, floor, raised] = [onnx.temporary(), onnx.temporary(), onnx.temporary()];
      onnx.node('ReduceMax', [onnx.name(scores!), onnx.ints([-1])], [top]);
      onnx.node('Sub', [top, onnx.scalar(40, scores!.dtype)], [floor]);
      onnx.node('Max', [onnx.name(scores!), floor], [raised]);
      onnx.node('Softmax', [raised], [onnx.name(weights!)], { axis: { int: -1 } });
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
  groupQueryAttention: {
    cost: 'costly',
    infer(inputs, { numHeads, kvNumHeads, presentLength }) {
      const [query, key, value, pastKey, pastValue] = inputs;
      const sizes = [query, key, value].map((input) => input!.shape[2]);
      const width = Number(sizes[0]) / numHeads;
      const fits =
        [query, key, value].every((input) => input!.shape.length === 3) &&
        sizes[1] === kvNumHeads * width &&
        sizes[2] === kvNumHeads * width &&
        Number.isInteger(numHeads / kvNumHeads) &&
        [pastKey, pastValue].every(
          (past) =>
            past!.shape.length === 4 && past!.shape[1] === kvNumHeads && past!.shape[3] === width,
        );
      if (!fits) {
        const wanted = `query [B, S, ${numHeads}*d], key and value [B, S, ${kvNumHeads}*d], past [B, ${kvNumHeads}, P, d]`;
        throw shapeError('groupQueryAttention', `wants ${wanted}`, inputs);
      }
      if (inputs[5]!.dtype !== 'i32' || inputs[6]!.dtype !== 'i32') {
        throw dtypeError('groupQueryAttention', 'wants lengths in i32', inputs);
      }
      const present = {
        dtype: key!.dtype,
        shape: [pastKey!.shape[0]!, kvNumHeads, presentLength, width],
      };
      return [{ dtype: query!.dtype, shape: query!.shape }, present, present];
    },
    emit({ inputs, outputs, attributes: { numHeads, kvNumHeads, scale } }, onnx) {
      onnx.node(
        'GroupQueryAttention',
        inputs.map((value) => onnx.name(value)),
        outputs.map((value) => onnx.name(value)),
        {
          num_heads: { int: numHeads },
          kv_num_heads: { int: kvNumHeads },
          scale: { float: scale },
          do_rotary: { int: 0 },
        },
        microsoft,
      );
    },
    evaluate(
      [query, key, value, pastKey, pastValue, seqlens],
      { numHeads, kvNumHeads, scale, presentLength },
      sizes,
    ) {
      const [batch, steps, width] = query!.shape as [number, number, number];
      const size = width / numHeads;
      const pastLength = pastKey!.shape[2]!;
      const longest = Math.max(...seqlens!.data) + 1;
      const length = sizes(presentLength) ?? Math.max(pastLength, longest);
      const append = (past: NdArray, fresh: NdArray): NdArray => {
        const present = blank(past.dtype, [batch, kvNumHeads, length, size]);
        for (let b = 0; b < batch; b++) {
          const start = Math.max(0, seqlens!.data[b]! + 1 - steps);
          for (let h = 0; h < kvNumHeads; h++) {
            const to = (b * kvNumHeads + h) * length;
            const from = (b * kvNumHeads + h) * pastLength * size;
            present.data.set(past.data.subarray(from, from + start * size), to * size);
            for (let s = 0; s < steps && start + s < length; s++) {
              const row = ((b * steps + s) * kvNumHeads + h) * size;
              present.data.set(fresh.data.subarray(row, row + size), (to + start + s) * size);
            }
          }
        }
        return present;
      };
      const [keys, values] = [append(pastKey!, key!), append(pastValue!, value!)];
      const output = blank(query!.dtype, query!.shape);
      for (let b = 0; b < batch; b++) {
        const start = Math.max(0, seqlens!.data[b]! + 1 - steps);
        for (let h = 0; h < numHeads; h++) {
          const rows = (b * kvNumHeads + Math.floor((h * kvNumHeads) / numHeads)) * length;
          for (let s = 0; s < steps; s++) {
            const at = (b * steps + s) * width + h * size;
            const q = query!.data.subarray(at, at + size);
            const scores = Array.from(
              { length: Math.min(length, start + s + 1) },
              (_, t) =>
                q.reduce((sum, x, j) => sum + x * keys.data[(rows + t) * size + j]!, 0) * scale,
            );
            const top = Math.max(...scores);
            const weights = scores.map((score) => Math.exp(score - top));
            const total = weights.reduce((sum, weight) => sum + weight, 0);
            weights.forEach((weight, t) => {
              for (let j = 0; j < size; j++) {
                output.data[at + j]! += (weight / total) * values.data[(rows + t) * size + j]!;
              }
            });
          }
        }
      }
      return [output, keys, values];
    },
  },
};
