import type { Architecture } from '../architecture.ts';
import type { ExpertTraits } from '../decoder/experts-config.ts';
import { weightNamesOf } from '../decoder/weight-names.ts';
import { towerModules, type TowerTraits } from '../vision/tower-weights.ts';
import { format } from './config.ts';

const tower: TowerTraits = {
  norm: 'layerNorm',
  fc1: ['mlp.linear_fc1'],
  fc2: 'mlp.linear_fc2',
  mergerNorm: 'norm',
  mergerFc1: 'linear_fc1',
  mergerFc2: 'linear_fc2',
};

/** The names of parameters, the same on the hub and in transformers. */
const weights = weightNamesOf({
  prefix: 'model.language_model',
  visionModules: (vision) => towerModules(tower, vision, 'model.visual'),
});

/** A family with one of Qwen3's decoders. */
function family(name: string, experts: ExpertTraits | null): Architecture {
  return {
    name,
    config: format(experts),
    weights,
    tower,
    frames: 'apart',
  };
}

/**
 * Qwen3-VL, the dense models: Qwen3's decoder, and a vision tower with learned positions. Rows of some of the tower's
 * blocks are also added in the decoder's first layers (DeepStack). The frames of a video stand apart in the text, each
 * after its time.
 *
 * @see Qwen3-VL Technical Report, arXiv:2511.21631, and DeepStack, arXiv:2406.04334
 */
export const qwen3Vl = family('Qwen3VLForConditionalGeneration', null);

/** Qwen3-VL with a mixture of experts, whose weights are stacked. */
export const qwen3VlMoe = family('Qwen3VLMoeForConditionalGeneration', {
  isStacked: true,
  count: 60,
  perToken: 4,
  intermediateSize: 1408,
  isRenormed: true,
});
