import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { VisionConfig } from '../model-config.ts';
import { learnedPositions } from './learned-positions.ts';

/** Number of values in a flattened patch: channels · frames · height · width. */
export function patchSizeOf(config: VisionConfig): number {
  return config.inChannels * config.temporalPatchSize * config.patchSize * config.patchSize;
}

/**
 * The patch embedding: `patches f32 [T, C·Pt·P·P]` to `output [T, D]`, in the dtype of the weights. In a tower with
 * learned positions these are added, and a bias.
 */
export function patchEmbedGraph(config: VisionConfig, dtype: FloatDType = 'f32'): Graph {
  const g = new GraphBuilder('vision-patch-embed');
  const { hiddenSize, positionGrid } = config;
  const size = patchSizeOf(config);
  const patches = g.input('patches', 'f32', ['T', size]);
  const weight = g.input('weight', dtype, [hiddenSize, size]);
  if (positionGrid === null) {
    g.output('output', g.linear(g.cast(patches, dtype), weight));
    return g.build();
  }
  const bias = g.input('bias', dtype, [hiddenSize]);
  const positions = learnedPositions(g, positionGrid, hiddenSize, dtype);
  const embedded = g.linear(g.cast(patches, dtype), weight, bias);
  g.output('output', g.add(embedded, g.cast(positions, dtype)));
  return g.build();
}
