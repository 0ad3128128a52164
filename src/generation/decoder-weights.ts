import type { View, Views } from '../device/device.ts';
import { decoderLayers } from '../model/decoder-layers.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import { moduleNames } from '../model/weights/modules.ts';
import type { Lease } from '../model/weights/weight-source.ts';

/** The weights of a decoder, held until they are disposed. */
export interface DecoderWeights extends Disposable {
  readonly embedding: View; // [V, D]
  readonly layers: readonly Views[];
  readonly head: Views;
}

/** Takes a model's weights one module after the other, so that never two are on their way. */
export async function takeDecoderWeights(
  { text }: ModelConfig,
  { source }: ModelWeights,
): Promise<DecoderWeights> {
  const leases: Lease[] = [];
  const layerNames = decoderLayers(text).map(({ name }) => name);
  for (const name of [moduleNames.embedding, moduleNames.head, ...layerNames]) {
    leases.push(await source.take(name));
  }
  const [embedding, head, ...layers] = leases.map(({ views }) => views) as [
    Views,
    Views,
    ...Views[],
  ];
  return {
    embedding: embedding['weight']!,
    layers,
    head,
    [Symbol.dispose]() {
      for (const lease of leases) lease[Symbol.dispose]();
    },
  };
}
