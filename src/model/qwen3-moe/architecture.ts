import { textFamily } from '../decoder/family.ts';

/**
 * Qwen3's mixtures of experts: the dense models' attention, and experts in place of most MLPs.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3Moe = textFamily('Qwen3MoeForCausalLM', {
  qkvBias: false,
  qkNorm: true,
  headDim: null,
  isHeadDimFixed: false,
  experts: {
    isStacked: false,
    count: 128,
    perToken: 8,
    intermediateSize: 768,
    isRenormed: null,
  },
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  mrope: null,
});
