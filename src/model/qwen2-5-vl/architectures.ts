import type { Architecture } from '../architecture.ts';
import { textFamily } from '../decoder/family.ts';
import type { TowerTraits } from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { format, qwen2Traits } from './config.ts';

/** The text model: Qwen2 and Qwen2.5. */
export const qwen2 = textFamily('Qwen2ForCausalLM', qwen2Traits);

const tower: TowerTraits = {
  norm: 'rmsNorm',
  fc1: ['mlp.gate_proj', 'mlp.up_proj'],
  fc2: 'mlp.down_proj',
  mergerNorm: 'ln_q',
  mergerFc1: 'mlp.0',
  mergerFc2: 'mlp.2',
};

/** The same decoder behind a vision tower: Qwen2.5-VL. */
export const qwen25Vl: Architecture = {
  ...qwen2,
  name: 'Qwen2_5_VLForConditionalGeneration',
  config: format,
  weights: visionLanguageNames(tower),
  tower,
};
