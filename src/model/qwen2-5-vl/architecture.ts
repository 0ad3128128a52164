import type { Architecture } from '../architecture.ts';
import type { TowerTraits } from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { format } from './config.ts';

const tower: TowerTraits = {
  norm: 'rmsNorm',
  fc1: ['mlp.gate_proj', 'mlp.up_proj'],
  fc2: 'mlp.down_proj',
  mergerNorm: 'ln_q',
  mergerFc1: 'mlp.0',
  mergerFc2: 'mlp.2',
};

/** Qwen2.5-VL: Qwen2's decoder, and a vision tower with windows. */
export const qwen25Vl: Architecture = {
  name: 'Qwen2_5_VLForConditionalGeneration',
  config: format,
  weights: visionLanguageNames(tower),
  tower,
  frames: 'joined',
};
