import { zeros, type Allocate, type Tensors } from '../tensor/tensor.ts';
import type { PackedBatch } from './batch.ts';
import { CAUSAL_STRIPS, causalTrees, consecutive, segmentTensors, treeSize } from './segments.ts';
import type { GraphForm } from './graph-form.ts';
import type { TextConfig } from './model-config.ts';
import { textRotary } from './rotary.ts';

/**
 * Inputs of every decoder layer of a pass besides hidden rows and weights: rotary angles and segments.
 *
 * @param form form of the layers' graphs
 * @param allocate allocates them
 */
export function sequenceInputs(
  { positions, trees }: Pick<PackedBatch, 'positions' | 'trees'>,
  text: TextConfig,
  form: GraphForm = 'composed',
  allocate: Allocate = zeros,
): Tensors {
  const rotary = textRotary(positions, text, allocate);
  const rows = consecutive(trees.map(treeSize));
  return {
    'rotary.cos': rotary.cos,
    'rotary.sin': rotary.sin,
    ...segmentTensors(form, rows, causalTrees(trees), CAUSAL_STRIPS, allocate),
  };
}
