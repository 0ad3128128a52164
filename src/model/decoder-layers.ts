import type { TextConfig } from './model-config.ts';
import { moduleNames } from './weights/modules.ts';

/** A layer of a stack: the name of its module, and the sizes that its graphs are made of. */
export interface Layer<C> {
  readonly name: string;
  /** One object for all layers that are alike. */
  readonly config: C;
}

/** The layers of a decoder, from the first on; one without experts has a dense model's config. */
export function decoderLayers(text: TextConfig): Layer<TextConfig>[] {
  const dense = { ...text, experts: null };
  return Array.from({ length: text.layers }, (_, i) => ({
    name: moduleNames.layer(i),
    config: text.experts?.denseLayers.includes(i) ? dense : text,
  }));
}
