import type { WeightNames } from '../architecture.ts';
import { decoderModules, namesOutsideLayers } from '../decoder/weight-names.ts';
import type { VisionConfig } from '../model-config.ts';
import type { NamedModule } from '../weights/naming.ts';

/**
 * The names of a vision-language model whose checkpoints on the hub have `visual.*` and `model.*` where transformers 5
 * has `model.visual.*` and `model.language_model.*`.
 *
 * @param visionModules the modules of the tower in arena order, by the hub's names
 */
export function visionLanguageNames(
  visionModules: (vision: VisionConfig) => readonly NamedModule[],
): WeightNames {
  const outside = namesOutsideLayers();
  return {
    ...outside,
    vision: 'visual',

    modules(config, head) {
      const vision = config.vision === null ? [] : visionModules(config.vision);
      return new Map([...vision, ...decoderModules(config, head)]);
    },

    // A tied head that was stored all the same is the embedding.
    ofStored(stored, { text }) {
      if (text.tieWordEmbeddings && stored === outside.head) return outside.embedding;
      return stored
        .replace(/^model\.visual\./, 'visual.')
        .replace(/^model\.language_model\./, 'model.');
    },

    inTransformers: (name) =>
      name.startsWith('visual.')
        ? `model.${name}`
        : name.replace(/^model\./, 'model.language_model.'),
  };
}
