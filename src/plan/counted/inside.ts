/**
 * The memory that a program's intermediate tensors take, from the lives of its values.
 *
 * A value takes memory from the unit that writes it to the last one that reads it. A reshaped value has the memory of
 * its source. Where the provider computes in place, an elementwise result takes the memory of an operand of its size
 * that is not read later, as ONNX Runtime plans it. Inputs, outputs and constants have memory of their own, outside the
 * program.
 */
import type { Graph, Value } from '../../graph/ir.ts';
import { opOf, type OpName } from '../../graph/ops/table.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import type { Sized } from './node-work.ts';

/** A node or kernel in one run. */
export interface SizedUnit {
  /** Null for a kernel of several nodes. */
  readonly op: OpName | null;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly outputSizes: readonly Sized[];
}

/** ONNX Runtime aligns tensors to this. */
const ALIGNMENT = 256;

/**
 * Most bytes that intermediate tensors take at a time.
 *
 * @param isInPlace true where elementwise operators write over operands that are not read later
 */
export function insideBytes(graph: Graph, units: readonly SizedUnit[], isInPlace: boolean): number {
  const sources = reshapedSources(units);
  const sourceOf = (id: number): number => sources.get(id) ?? id;
  const lastReads = new Map<number, number>();
  units.forEach(({ inputs }, at) => inputs.forEach(({ id }) => lastReads.set(sourceOf(id), at)));
  const outside = new Set([
    ...[...graph.inputs, ...graph.outputs.map(({ value }) => value)].map(({ id }) => sourceOf(id)),
    ...graph.constants.keys(),
  ]);
  /** Bytes of the memory that each value has; several values may have one piece in turn. */
  const pieces = new Map<number, number>();
  let [held, most] = [0, 0];
  for (const [at, unit] of units.entries()) {
    if (unit.op === 'reshape') continue;
    const dying = [...new Set(unit.inputs.map(({ id }) => sourceOf(id)))].filter(
      (id) => lastReads.get(id) === at && pieces.has(id),
    );
    for (const [i, { id }] of unit.outputs.entries()) {
      if (outside.has(id)) continue;
      const bytes = Math.ceil(byteLengthOf(unit.outputSizes[i]!) / ALIGNMENT) * ALIGNMENT;
      const isReuser = isInPlace && isElementwise(unit);
      const reused = isReuser ? dying.find((from) => pieces.get(from) === bytes) : undefined;
      if (reused === undefined) held += bytes;
      else pieces.delete(reused);
      pieces.set(id, bytes);
    }
    most = Math.max(most, held);
    const unread = unit.outputs.map(({ id }) => id).filter((id) => !lastReads.has(id));
    for (const id of [...dying, ...unread]) {
      held -= pieces.get(id) ?? 0;
      pieces.delete(id);
    }
  }
  return most;
}

/** The value that each reshaped value is. */
function reshapedSources(units: readonly SizedUnit[]): Map<number, number> {
  const sources = new Map<number, number>();
  for (const { op, inputs, outputs } of units) {
    const [from] = inputs;
    if (op === 'reshape') sources.set(outputs[0]!.id, sources.get(from!.id) ?? from!.id);
  }
  return sources;
}

function isElementwise({ op }: SizedUnit): boolean {
  return op !== null && opOf(op).expression !== undefined;
}
