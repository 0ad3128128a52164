import type { WeightNames } from '../architecture.ts';
import { blockForm, mergerForm, towerModules, type TowerNames } from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';

/** The modules of Qwen2-VL's tower. */
export const towerNames: TowerNames = {
  fc1: 'mlp.fc1',
  fc2: 'mlp.fc2',
  mergerNorm: 'ln_q',
  mergerFc1: 'mlp.0',
  mergerFc2: 'mlp.2',
};

/** The names of Qwen2-VL's parameters on the hub. */
export const weightNames: WeightNames = visionLanguageNames((vision) =>
  towerModules(
    vision,
    'visual',
    blockForm(towerNames, vision),
    mergerForm(towerNames, vision, 'before'),
  ),
);
