import type { View, Views } from '../device/device.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import { moduleNames, type Lease } from '../model/weights/weight-source.ts';

/** The weights that decoding takes, until they are disposed. */
export interface DecoderWeights extends Disposable {
  /** `[V, D]` */
  readonly embedding: View;
  readonly layers: readonly Views[];
  readonly head: Views;
}

/** Takes a model's weights module by module, so that there is no time at which two are on their way. */
export async function takeDecoderWeights(
  { text }: ModelConfig,
  { source }: ModelWeights,
): Promise<DecoderWeights> {
  const names = Array.from({ length: text.layers }, (_, i) => moduleNames.layer(i));
  const leases: Lease[] = [];
  for (const name of [moduleNames.embedding, moduleNames.head, ...names]) {
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
