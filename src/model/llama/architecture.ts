import { textFamily } from '../decoder/family.ts';

/**
 * Llama 3 and its like: no biases, no norms of heads, and rotary frequencies scaled by `llama3` from 3.1 on.
 *
 * @see The Llama 3 Herd of Models, arXiv:2407.21783
 */
export const llama = textFamily('LlamaForCausalLM', {
  qkvBias: false,
  qkNorm: false,
  headDim: null,
  isHeadDimFixed: false,
  experts: null,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  mrope: null,
});
