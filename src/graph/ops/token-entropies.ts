import { isFloat, type ValueType } from '../ir.ts';
import { dtypeError, shapeError } from '../shape.ts';
import { blank, type NdArray } from './array.ts';
import type { OpFamily } from './op.ts';
import { tokenEntropiesGradientKernel, tokenEntropiesKernel } from './token-entropies-kernels.ts';
import { allowedLogits, allowedNumbers, columnOf, evaluateRows, logProbsBy } from './vocabulary.ts';
import type { VocabularyAttributes } from './vocabulary.ts';

/** Attributes of the entropy ops. */
export interface TokenEntropiesAttributes {
  readonly tokenEntropies: VocabularyAttributes;
  readonly tokenEntropiesGradient: VocabularyAttributes;
}

/** Entropies of the distributions of tokens. Kernels never write a probability for every token of the vocabulary. */
export const tokenEntropies: OpFamily<TokenEntropiesAttributes> = {
  /**
   * The entropy `-Σ p log p` of each row's softmax, nats.
   *
   * Input: logits `[R, V]`. Outputs, f32 `[R]`: the entropies, and the log-sum-exp of each row for backward.
   */
  tokenEntropies: {
    isCostly: true,
    infer(inputs) {
      const [logits] = inputs as [ValueType];
      if (logits.shape.length !== 2 || typeof logits.shape[1] !== 'number') {
        throw shapeError('tokenEntropies', 'wants logits [R, V], V a number', inputs);
      }
      if (!isFloat(logits.dtype)) throw dtypeError('tokenEntropies', 'wants float logits', inputs);
      const perRow: ValueType = { dtype: 'f32', shape: [logits.shape[0]!] };
      return [perRow, perRow];
    },
    emit({ inputs: [logits], outputs: [entropies, logSumExp], attributes }, onnx) {
      const wide = allowedLogits(onnx, logits!, attributes);
      const logs = onnx.inner('LogSoftmax', [wide], { axis: { int: -1 } });
      const terms = onnx.inner('Mul', [onnx.inner('Exp', [logs]), logs]);
      const last = onnx.ints([1]);
      const flat = { keepdims: { int: 0 } };
      const sums = onnx.inner('ReduceSum', [terms, last], flat);
      onnx.node('Neg', [sums], [entropies!]);
      onnx.node('ReduceLogSumExp', [wide, last], [logSumExp!], flat);
    },
    steps: ({ inputs: [logits], attributes }) => [tokenEntropiesKernel(logits!, attributes)],
    vjp({ inputs: [logits], outputs: [entropies, logSumExp], attributes }, [dy], g) {
      if (dy === undefined) return [];
      const inputs = [logits!, logSumExp!, entropies!, dy];
      const gradient = g.apply('tokenEntropiesGradient', inputs, attributes)[0]!;
      // A product of halves narrows it again, so that no wide gradient is ever in memory.
      return [g.cast(gradient, logits!.dtype)];
    },
    evaluate: ([logits], attributes) =>
      evaluateRows(logits!, attributes, (row, logSumExp) =>
        row.reduce(
          (sum, x) => sum + (x > -Infinity ? Math.exp(x - logSumExp) * (logSumExp - x) : 0),
          0,
        ),
      ),
  },
  /**
   * The gradient of logits `[R, V]`: `-dy p (log p + entropy)` at each. Inputs: the logits, both outputs of
   * `tokenEntropies` with the log-sum-exps first, and the gradient of the entropies, f32 `[R]` each.
   */
  tokenEntropiesGradient: {
    isCostly: true,
    infer: ([logits], { gradient }) => [{ dtype: gradient, shape: logits!.shape }],
    emit({ inputs: [logits, logSumExp, entropies, dy], outputs: [result], attributes }, onnx) {
      const logs = logProbsBy(onnx, logits!, logSumExp!, attributes);
      const surplus = onnx.inner('Add', [logs, columnOf(onnx, entropies!)]);
      const weighted = onnx.inner('Mul', [onnx.inner('Exp', [logs]), surplus]);
      const factor = onnx.inner('Neg', [columnOf(onnx, dy!)]);
      onnx.node('Cast', [onnx.inner('Mul', [weighted, factor])], [result!], {
        to: { dtype: attributes.gradient },
      });
    },
    steps: ({ inputs: [logits], attributes }) => [
      tokenEntropiesGradientKernel(logits!, attributes),
    ],
    evaluate([logits, logSumExp, entropies, dy], attributes): NdArray[] {
      const [, size] = logits!.shape as [number, number];
      const allowed = allowedNumbers(logits!, attributes);
      const result = blank(attributes.gradient, logits!.shape);
      for (let at = 0; at < result.data.length; at++) {
        const row = Math.floor(at / size);
        const log = allowed[at]! - logSumExp!.data[row]!;
        if (log === -Infinity) continue;
        result.data[at] = -dy!.data[row]! * Math.exp(log) * (log + entropies!.data[row]!);
      }
      return [result];
    },
  },
};
