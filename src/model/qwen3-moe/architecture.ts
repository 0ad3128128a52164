import type { Architecture } from '../architecture.ts';
import { textFormat } from '../decoder/config.ts';
import { textWeightNames } from '../decoder/weight-names.ts';
import { promptPositions } from '../position-ids.ts';

const NAME = 'Qwen3MoeForCausalLM';

/**
 * Qwen3's mixtures of experts: the dense models' attention, and experts in place of most MLPs.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3Moe: Architecture = {
  name: NAME,
  valueName: 'Qwen3MoeForTokenClassification',
  config: textFormat(NAME, {
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
  }),
  weights: textWeightNames,
  vision: null,
  frames: 'joined',
  positions: promptPositions,
};
