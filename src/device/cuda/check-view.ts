import { CxmindError } from '../../errors.ts';
import type { Graph } from '../../graph/ir.ts';
import { checkFits } from '../../ort/io-info.ts';
import type { View } from '../device.ts';

/**
 * Checks a view against the input or output of a graph that it is bound to.
 *
 * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
 */
export function checkViewFits(
  graph: Graph,
  side: 'input' | 'output',
  name: string,
  view: View,
): void {
  const ends = side === 'input' ? graph.inputs : graph.outputs;
  const end = ends.find((one) => one.name === name);
  if (end === undefined) {
    const known = ends.map((one) => one.name).join(', ');
    throw new CxmindError('GRAPH_INVALID', `${graph.name}: no ${side} ${name}; it has ${known}`);
  }
  const { dtype, shape } = 'value' in end ? end.value : end;
  checkFits({ name, dtype, shape }, view, graph.name);
}
