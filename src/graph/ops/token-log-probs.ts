import { isFloat, type ValueType } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank, type NdArray } from './array.ts';
import type { OpFamily } from './op.ts';
import { tokenLogProbsGradientKernel, tokenLogProbsKernel } from './token-log-probs-kernels.ts';
import { allowedLogits, allowedNumbers, columnOf, evaluateRows, logProbsBy } from './vocabulary.ts';
import type { VocabularyAttributes } from './vocabulary.ts';

/** Attributes of the log-probability ops. */
export interface TokenLogProbsAttributes {
  readonly tokenLogProbs: VocabularyAttributes;
  readonly tokenLogProbsGradient: VocabularyAttributes;
}

/** Log-probabilities of given tokens. Kernels never write one for every token of the vocabulary. */
export const tokenLogProbs: OpFamily<TokenLogProbsAttributes> = {
  /**
   * The log-probability of one token of each row.
   *
   * Inputs: logits `[R, V]`, and a token for each row, i64 `[R, 1]`. Outputs, f32 `[R]`: the tokens' log-probabilities,
   * and the log-sum-exp of each row for backward.
   */
  tokenLogProbs: {
    isCostly: true,
    infer(inputs) {
      const [logits, targets] = inputs as [ValueType, ValueType];
      const isWide = logits.shape.length === 2 && typeof logits.shape[1] === 'number';
      if (!isWide || !sameShape(targets.shape, [logits.shape[0]!, 1])) {
        throw shapeError('tokenLogProbs', 'wants logits [R, V], V a number, and [R, 1]', inputs);
      }
      if (!isFloat(logits.dtype) || targets.dtype !== 'i64') {
        throw dtypeError('tokenLogProbs', 'wants float logits and i64 tokens', inputs);
      }
      const perRow: ValueType = { dtype: 'f32', shape: [logits.shape[0]!] };
      return [perRow, perRow];
    },
    emit({ inputs: [logits, targets], outputs: [logProbs, logSumExp], attributes }, onnx) {
      const wide = allowedLogits(onnx, logits!, attributes);
      const all = onnx.inner('LogSoftmax', [wide], { axis: { int: -1 } });
      const axis = { axis: { int: 1 } };
      const ofToken = onnx.inner('GatherElements', [all, targets!], axis);
      const logit = onnx.inner('GatherElements', [wide, targets!], axis);
      const flat = onnx.ints([-1]);
      onnx.node('Reshape', [ofToken, flat], [logProbs!]);
      const total = onnx.inner('Sub', [logit, ofToken]);
      onnx.node('Reshape', [total, flat], [logSumExp!]);
    },
    steps: ({ inputs: [logits], attributes }) => [tokenLogProbsKernel(logits!, attributes)],
    vjp({ inputs: [logits, targets], outputs: [, logSumExp], attributes }, [dy], g) {
      if (dy === undefined) return [];
      const inputs = [logits!, targets!, logSumExp!, dy];
      const gradient = g.apply('tokenLogProbsGradient', inputs, attributes)[0]!;
      // A product of halves narrows it again, so that no wide gradient is ever in memory.
      return [g.cast(gradient, logits!.dtype)];
    },
    evaluate: ([logits, targets], attributes) =>
      evaluateRows(
        logits!,
        attributes,
        (row, logSumExp, index) => row.at(targets!.data[index]!)! - logSumExp,
      ),
  },
  /**
   * The gradient of logits `[R, V]`. Inputs: those of `tokenLogProbs`, its log-sum-exps, and its result's gradient `[R]`.
   */
  tokenLogProbsGradient: {
    isCostly: true,
    infer: ([logits], { gradient }) => [{ dtype: gradient, shape: logits!.shape }],
    emit({ inputs: [logits, targets, logSumExp, dy], outputs: [result], attributes }, onnx) {
      const logs = logProbsBy(onnx, logits!, logSumExp!, attributes);
      const factor = columnOf(onnx, dy!);
      const weighted = onnx.inner('Mul', [onnx.inner('Exp', [logs]), factor]);
      const parts = [onnx.inner('Neg', [weighted]), targets!, factor];
      const scatter = { axis: { int: 1 }, reduction: { text: 'add' } };
      const wide = onnx.inner('ScatterElements', parts, scatter);
      onnx.node('Cast', [wide], [result!], { to: { dtype: attributes.gradient } });
    },
    steps: ({ inputs: [logits], attributes }) => [tokenLogProbsGradientKernel(logits!, attributes)],
    evaluate([logits, targets, logSumExp, dy], attributes): NdArray[] {
      const [, size] = logits!.shape as [number, number];
      const allowed = allowedNumbers(logits!, attributes);
      const result = blank(attributes.gradient, logits!.shape);
      for (let at = 0; at < result.data.length; at++) {
        const [row, token] = [Math.floor(at / size), at % size];
        const target = (targets!.data[row]! + size) % size;
        const probability = Math.exp(allowed[at]! - logSumExp!.data[row]!);
        result.data[at] = dy!.data[row]! * (Number(token === target) - probability);
      }
      return [result];
    },
  },
};
