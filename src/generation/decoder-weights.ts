import type { View, Views } from '../device/device.ts';
import { decoderLayers } from '../model/decoder-layers.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import { moduleNames } from '../model/weights/modules.ts';

/** The weights of a decoder, held until they are disposed. */
export interface DecoderWeights extends Disposable {
  readonly embedding: View; // [V, D]
  readonly layers: readonly Views[];
  readonly head: Views;
}

/** Takes a model's weights one module after the other, so that two are never brought in at once. */
export async function takeDecoderWeights(
  { text }: ModelConfig,
  { source }: ModelWeights,
): Promise<DecoderWeights> {
  using owned = new DisposableStack();
  const take = async (name: string): Promise<Views> => owned.use(await source.take(name)).views;
  const embedding = await take(moduleNames.embedding);
  const head = await take(moduleNames.head);
  const layers = await Array.fromAsync(decoderLayers(text), ({ name }) => take(name));
  const held = owned.move();
  return {
    embedding: embedding['weight']!,
    layers,
    head,
    [Symbol.dispose]: () => held.dispose(),
  };
}
