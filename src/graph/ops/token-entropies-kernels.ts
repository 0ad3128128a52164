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

/**
 * The kernel of `tokenEntropies`. A block finds the largest logit of a row and two sums in one pass: of `e^d` and of
 * `d e^d`, with d the distance of a logit to the largest so far. The entropy is `log Σ e^d - Σ d e^d / Σ e^d`.
 */
export function tokenEntropiesKernel(
  { dtype, shape }: ValueType,
  attributes: VocabularyAttributes,
): Kernel {
  const vocabulary = shape[1] as number;
  const [pack, element] = [packOf(vocabulary), cTypes[dtype]];
  const logit = logitOf(attributes);
  const entry = `token_entropies_${dtype}_${vocabulary}${bansIn(attributes)}`;
  const source = `
extern "C" __global__ void __launch_bounds__(${ROW_THREADS}) ${entry}(
    const ${element}* logits, float* entropies, float* logSumExp) {
  typedef Pack<${element}, ${pack}> Some;
  const ${element}* row = logits + blockIdx.x * (i64)${vocabulary};
  float largest = -INFINITY, sum = 0, weighted = 0;
  for (int v = threadIdx.x * ${pack}; v < ${vocabulary}; v += ${ROW_THREADS * pack}) {
    const Some some = *(const Some*)(row + v);
    float top = largest;
    for (int i = 0; i < ${pack}; i++) top = fmaxf(top, ${logit});
    if (top == -INFINITY) continue;
    if (largest > -INFINITY) {
      const float shift = largest - top, scale = expf(shift);
      weighted = scale * (weighted + shift * sum);
      sum *= scale;
    }
    for (int i = 0; i < ${pack}; i++) {
      const float distance = ${logit} - top, term = expf(distance);
      sum += term;
      if (term > 0) weighted += distance * term;
    }
    largest = top;
  }
  const float top = blockReduce<Max>(largest);
  const float shift = largest == -INFINITY ? 0 : largest - top;
  const float scale = largest == -INFINITY ? 0 : expf(shift);
  const float all = blockReduce<Sum>(scale * sum);
  const float mean = blockReduce<Sum>(scale * (weighted + shift * sum)) / all;
  if (threadIdx.x == 0) {
    entropies[blockIdx.x] = logf(all) - mean;
    logSumExp[blockIdx.x] = top + logf(all);
  }
}`;
  return { entry, source, launch: blockPerRow };
}

/** The kernel of the gradient: -dy p (log p + H) for each logit, with p its probability and H the row's entropy. */
export function tokenEntropiesGradientKernel(
  { dtype, shape }: ValueType,
  attributes: VocabularyAttributes,
): Kernel {
  const vocabulary = shape[1] as number;
  const { gradient: to } = attributes;
  const logit = logitOf(attributes);
  const pack = packOf(vocabulary);
  const [element, result] = [cTypes[dtype], cTypes[to]];
  const entry = `token_entropies_gradient_${dtype}_${to}_${vocabulary}${bansIn(attributes)}`;
  const source = `
extern "C" __global__ void __launch_bounds__(${PART_THREADS}) ${entry}(
    const ${element}* logits, const float* logSumExp, const float* entropies, const float* gradient, ${result}* y) {
  const int v = (blockIdx.y * ${PART_THREADS} + threadIdx.x) * ${pack};
  if (v >= ${vocabulary}) return;
  const i64 row = blockIdx.x, at = row * ${vocabulary} + v;
  const float total = logSumExp[row], entropy = entropies[row], factor = -gradient[row];
  const Pack<${element}, ${pack}> some = *(const Pack<${element}, ${pack}>*)(logits + at);
  Pack<${result}, ${pack}> out;
  for (int i = 0; i < ${pack}; i++) {
    const float log = ${logit} - total, probability = expf(log);
    out.at[i] = fromFloat<${result}>(probability > 0 ? factor * probability * (log + entropy) : 0);
  }
  *(Pack<${result}, ${pack}>*)(y + at) = out;
}`;
  return { entry, source, launch: threadPerPack(vocabulary) };
}
