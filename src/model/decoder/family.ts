import type { Architecture } from '../architecture.ts';
import { textFormat, type DecoderTraits } from './config.ts';
import { weightNamesOf } from './weight-names.ts';

/** A family of text models: the decoder that all families share, with traits of its own. */
export function textFamily(name: string, traits: DecoderTraits): Architecture {
  return {
    name,
    config: textFormat(traits),
    weights: weightNamesOf(),
    tower: null,
    frames: 'joined',
  };
}
