import type { Dim } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank, type NdArray } from './array.ts';
import { microsoft, type OpFamily } from './op.ts';

/** Attributes of the attention ops. */
export interface AttentionAttributes {
  /** `inverse` turns the other way: the transpose of the rotation. */
  readonly rotary: { readonly inverse: boolean };
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
      const width = x.shape.at(-1);
      if (x.shape.length !== 3 || typeof width !== 'number' || width % 2 !== 0) {
        throw shapeError('rotary', 'wants [T, H, d] with d even', inputs);
      }
      const half = [x.shape[0]!, width / 2];
      if (!sameShape(cos.shape, half) || !sameShape(sin.shape, half)) {
        throw shapeError('rotary', 'cosines and sines are [T, d/2]', inputs);
      }
      if (cos.dtype !== x.dtype || sin.dtype !== x.dtype) {
        throw dtypeError('rotary', 'wants one dtype', inputs);
      }
      return [{ dtype: x.dtype, shape: x.shape }];
    },
    emit({ inputs: [x, cos, sin], outputs: [y], attributes: { inverse } }, onnx) {
      const half = (x!.shape[2] as number) / 2;
      const node = (type: string, ...inputs: string[]): string => {
        const output = onnx.temporary();
        onnx.node(type, inputs, [output]);
        return output;
      };
      const axis = onnx.ints([1]);
      const [c, s] = [cos!, sin!].map((value) => node('Unsqueeze', onnx.name(value), axis));
      const [first, second] = [onnx.temporary(), onnx.temporary()];
      onnx.node('Split', [onnx.name(x!), onnx.ints([half, half])], [first, second], {
        axis: { int: 2 },
      });
      const [left, right] = inverse ? ['Add', 'Sub'] : ['Sub', 'Add'];
      const low = node(left, node('Mul', first, c!), node('Mul', second, s!));
      const high = node(right, node('Mul', second, c!), node('Mul', first, s!));
      onnx.node('Concat', [low, high], [onnx.name(y!)], { axis: { int: 2 } });
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
