import type { ValueType } from '../ir.ts';
import { cTypes } from '../kernel-prelude.ts';
import type { Kernel } from '../kernel.ts';
import {
  bansIn,
  blockPerRow,
  logitOf,
  packOf,
  PART_THREADS,
  ROW_THREADS,
  threadPerPack,
} from './vocabulary-kernels.ts';
import type { VocabularyAttributes } from './vocabulary.ts';

/** The kernel of `tokenLogProbs`. A block finds the largest logit of a row and its sum of exponentials in one pass. */
export function tokenLogProbsKernel(
  { dtype, shape }: ValueType,
  attributes: VocabularyAttributes,
): Kernel {
  const vocabulary = shape[1] as number;
  const [pack, element] = [packOf(vocabulary), cTypes[dtype]];
  const logit = logitOf(attributes);
  const entry = `token_log_probs_${dtype}_${vocabulary}${bansIn(attributes)}`;
  const source = `
extern "C" __global__ void __launch_bounds__(${ROW_THREADS}) ${entry}(
    const ${element}* logits, const i64* targets, float* logProbs, float* logSumExp) {
  typedef Pack<${element}, ${pack}> Some;
  const ${element}* row = logits + blockIdx.x * (i64)${vocabulary};
  float largest = -INFINITY, sum = 0;
  for (int v = threadIdx.x * ${pack}; v < ${vocabulary}; v += ${ROW_THREADS * pack}) {
    const Some some = *(const Some*)(row + v);
    float top = largest;
    for (int i = 0; i < ${pack}; i++) top = fmaxf(top, ${logit});
    if (top == -INFINITY) continue;
    sum *= expf(largest - top);
    for (int i = 0; i < ${pack}; i++) sum += expf(${logit} - top);
    largest = top;
  }
  const float top = blockReduce<Max>(largest);
  const float total = top + logf(blockReduce<Sum>(largest == -INFINITY ? 0 : sum * expf(largest - top)));
  if (threadIdx.x == 0) {
    const i64 target = targets[blockIdx.x];
    logProbs[blockIdx.x] = toFloat(row[target < 0 ? target + ${vocabulary} : target]) - total;
    logSumExp[blockIdx.x] = total;
  }
}`;
  return { entry, source, launch: blockPerRow };
}

/** The kernel of the gradient: dy (t - p) for each logit, with p its probability, and t 1 for the token and else 0. */
export function tokenLogProbsGradientKernel(
  { dtype, shape }: ValueType,
  attributes: VocabularyAttributes,
): Kernel {
  const vocabulary = shape[1] as number;
  const { gradient: to } = attributes;
  const logit = logitOf(attributes);
  const pack = packOf(vocabulary);
  const [element, result] = [cTypes[dtype], cTypes[to]];
  const entry = `token_log_probs_gradient_${dtype}_${to}_${vocabulary}${bansIn(attributes)}`;
  const source = `
extern "C" __global__ void __launch_bounds__(${PART_THREADS}) ${entry}(
    const ${element}* logits, const i64* targets, const float* logSumExp, const float* gradient, ${result}* y) {
  const int v = (blockIdx.y * ${PART_THREADS} + threadIdx.x) * ${pack};
  if (v >= ${vocabulary}) return;
  const i64 row = blockIdx.x, at = row * ${vocabulary} + v;
  const i64 target = targets[row] < 0 ? targets[row] + ${vocabulary} : targets[row];
  const float total = logSumExp[row], factor = gradient[row];
  const Pack<${element}, ${pack}> some = *(const Pack<${element}, ${pack}>*)(logits + at);
  Pack<${result}, ${pack}> out;
  for (int i = 0; i < ${pack}; i++) {
    const float probability = expf(${logit} - total);
    out.at[i] = fromFloat<${result}>(factor * ((v + i == target ? 1.f : 0.f) - probability));
  }
  *(Pack<${result}, ${pack}>*)(y + at) = out;
}`;
  return { entry, source, launch: threadPerPack(vocabulary) };
}
