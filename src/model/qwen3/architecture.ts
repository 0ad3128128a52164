import type { Architecture } from '../architecture.ts';
import { textFormat, type DecoderTraits } from '../decoder/config.ts';
import { textWeightNames } from '../decoder/weight-names.ts';
import { promptPositions } from '../position-ids.ts';

const NAME = 'Qwen3ForCausalLM';

/** The decoder of Qwen3: heads of a size of their own, whose queries and keys are normed; no biases. */
const traits: DecoderTraits = {
  qkvBias: false,
  qkNorm: true,
  headDim: 128,
  isHeadDimFixed: false,
  experts: null,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  mrope: null,
};

/**
 * Qwen3, the dense text models.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388
 */
export const qwen3: Architecture = {
  name: NAME,
  valueName: 'Qwen3ForTokenClassification',
  config: textFormat(NAME, traits),
  weights: textWeightNames,
  vision: null,
  frames: 'joined',
  positions: promptPositions,
};
