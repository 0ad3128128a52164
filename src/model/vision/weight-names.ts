import type { WeightNames } from '../architecture.ts';
import { weightNamesOf } from '../decoder/weight-names.ts';
import type { VisionConfig } from '../model-config.ts';
import type { NamedModule } from '../weights/naming.ts';

/** Part of every name in a vision tower, and of no other. */
export const VISUAL = 'visual';

/**
 * The names of a vision-language model whose checkpoints on the hub have `visual.*` and `model.*` where transformers 5
 * has `model.visual.*` and `model.language_model.*`.
 *
 * @param visionModules the modules of the tower in arena order, by the hub's names
 */
export function visionLanguageNames(
  visionModules: (vision: VisionConfig) => readonly NamedModule[],
): WeightNames {
  return weightNamesOf({
    visionModules,
    ofStored: (stored) =>
      stored.replace(/^model\.visual\./, 'visual.').replace(/^model\.language_model\./, 'model.'),
    inTransformers: (name) =>
      name.startsWith('visual.')
        ? `model.${name}`
        : name.replace(/^model\./, 'model.language_model.'),
  });
}
