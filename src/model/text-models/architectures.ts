/** The families of text models: the decoder that all families share, with traits of their own. */
import type { Architecture } from '../architecture.ts';
import { textFormat, type DecoderTraits } from '../decoder/config.ts';
import { weightNamesOf } from '../decoder/weight-names.ts';

function textFamily(name: string, traits: Partial<DecoderTraits>): Architecture {
  return {
    name,
    config: textFormat(traits),
    weights: weightNamesOf(),
    tower: null,
    frames: 'joined',
  };
}

/**
 * Llama 3 and its like.
 *
 * @see The Llama 3 Herd of Models, arXiv:2407.21783
 */
export const llama = textFamily('LlamaForCausalLM', {});

/** Qwen2 and Qwen2.5. */
export const qwen2 = textFamily('Qwen2ForCausalLM', { qkvBias: true });

/**
 * Qwen3, the dense models: heads of a size of their own, whose queries and keys are normed.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3 = textFamily('Qwen3ForCausalLM', { qkNorm: true, headDim: 128 });

/**
 * Qwen3's mixtures of experts: the dense models' attention, and experts in place of most MLPs.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3Moe = textFamily('Qwen3MoeForCausalLM', {
  qkNorm: true,
  experts: {
    isStacked: false,
    count: 128,
    perToken: 8,
    intermediateSize: 768,
    isRenormed: null,
  },
});
