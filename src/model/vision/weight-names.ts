import type { WeightNames } from '../architecture.ts';
import { weightNamesOf } from '../decoder/weight-names.ts';
import { towerModules, type TowerTraits } from './tower-weights.ts';

/** Part of every name in a vision tower, and of no other. */
export const VISUAL = 'visual';

/**
 * The names of a vision-language model whose checkpoints on the hub have `visual.*` and `model.*` where transformers 5
 * has `model.visual.*` and `model.language_model.*`.
 */
export function visionLanguageNames(tower: TowerTraits): WeightNames {
  return weightNamesOf({
    visionModules: (vision) => towerModules(tower, vision, VISUAL),
    ofStored: (stored) =>
      stored.replace(/^model\.visual\./, 'visual.').replace(/^model\.language_model\./, 'model.'),
    inTransformers: (name) =>
      name.startsWith('visual.')
        ? `model.${name}`
        : name.replace(/^model\./, 'model.language_model.'),
  });
}
