import { textFamily } from '../decoder/family.ts';

/**
 * Qwen3, the dense text models: heads of a size of their own, whose queries and keys are normed; no biases.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3 = textFamily('Qwen3ForCausalLM', {
  qkvBias: false,
  qkNorm: true,
  headDim: 128,
  isHeadDimFixed: false,
  experts: null,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  mrope: null,
});
