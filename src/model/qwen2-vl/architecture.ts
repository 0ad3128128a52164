import type { Architecture } from '../architecture.ts';
import type { TowerTraits } from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { format } from './config.ts';

const tower: TowerTraits = {
  norm: 'layerNorm',
  fc1: ['mlp.fc1'],
  fc2: 'mlp.fc2',
  mergerNorm: 'ln_q',
  mergerFc1: 'mlp.0',
  mergerFc2: 'mlp.2',
};

/**
 * Qwen2-VL: Qwen2's decoder, and a vision tower with LayerNorm, whose blocks all attend to whole frames.
 *
 * @see Qwen2-VL, arXiv:2409.12191
 */
export const qwen2Vl: Architecture = {
  name: 'Qwen2VLForConditionalGeneration',
  config: format,
  weights: visionLanguageNames(tower),
  tower,
  frames: 'joined',
};
