/** A graph as a target runs it: its nodes in order, and those that are kernels. */
import { fuse, type Fused } from './fuse/fuse.ts';
import type { Graph, Node, Value } from './ir.ts';
import type { Step } from './kernel.ts';
import { prune } from './passes.ts';
import { lower, type Target } from './target.ts';

/** A graph that is lowered and has no dead nodes, and the nodes and kernels in the order of their runs. */
export interface Schedule {
  readonly graph: Graph;
  readonly units: readonly (Node | Fused)[];
}

/** A node that kernels and calls of the device's library run. */
export interface KernelNode {
  /** Name that no other node of the graph has. */
  readonly type: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly steps: readonly Step[];
}

/** A graph that needs nothing but kernels. */
export interface KernelGraph {
  readonly graph: Graph;
  readonly nodes: readonly KernelNode[];
  /** The value in whose memory a value lies: the source of a reshaped one, any other value itself. */
  readonly sourceOf: (value: Value) => Value;
}

/** Lowers a graph to a target, and fuses what the target fuses. */
export function scheduled(graph: Graph, target: Target): Schedule {
  const pruned = prune(lower(graph, target));
  return { graph: pruned, units: target.isFusing === true ? fuse(pruned) : pruned.nodes };
}

/** The kernel node that a unit is; undefined for one that the provider runs. */
export function kernelNodeOf(
  unit: Node | Fused,
  { stepsOf }: Target,
  number: number,
): KernelNode | undefined {
  const isFused = 'steps' in unit;
  const steps = isFused ? unit.steps : stepsOf?.(unit);
  if (steps === undefined) return undefined;
  const { inputs, outputs } = unit;
  return { type: `${isFused ? unit.name : unit.op}_${number}`, inputs, outputs, steps };
}

/** A schedule as kernels alone; undefined where a node needs the provider. Reshaping takes no kernel. */
export function kernelGraphOf({ graph, units }: Schedule, target: Target): KernelGraph | undefined {
  const nodes: KernelNode[] = [];
  const sources = new Map<number, Value>();
  const sourceOf = (value: Value): Value => sources.get(value.id) ?? value;
  for (const unit of units) {
    const node = kernelNodeOf(unit, target, nodes.length);
    const [source] = unit.inputs;
    if (node !== undefined) nodes.push(node);
    else if (!('op' in unit) || unit.op !== 'reshape') return undefined;
    else sources.set(unit.outputs[0]!.id, sourceOf(source!));
  }
  return { graph, nodes, sourceOf };
}
