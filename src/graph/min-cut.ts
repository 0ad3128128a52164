/**
 * The choice of forward values to save: the fewest bytes from which backward can compute all that it reads.
 *
 * It is a minimum cut, found by maximum flow. Every forward value is a pipe as wide as its bytes. Flow enters at the
 * values that must not be computed twice (those of costly ops), runs from operands to results, and leaves at the values
 * that backward reads. To cut a pipe is to save its value. Behind the cut only cheap ops are computed again.
 *
 * Of equal cuts it takes the latest, which computes least again. Inputs and constants are at hand in any case, so they
 * are no part of the network. A symbolic dimension counts as 1024 elements.
 *
 * @see the min-cut rematerialisation of functorch (He and Yu, "Transcending runtime-memory tradeoffs", MLSys 2023)
 */
import { bytesPerElement } from '../tensor/dtype.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { Node, Value } from './ir.ts';
import { opOf } from './ops/table.ts';
import { evaluateDim } from './dim.ts';

/**
 * Chooses the forward values to save.
 *
 * @param nodes the forward nodes in order, reading substitutes where backward would
 * @param reads the forward values that backward reads
 * @returns ids of the values to save
 */
export function chooseSaved(nodes: readonly Node[], reads: readonly Value[]): Set<number> {
  const network = new FlowNetwork();
  const [source, sink] = [network.vertex(), network.vertex()];
  const pipes = new Map<number, { readonly enter: number; readonly leave: number }>();
  for (const value of nodes.flatMap((node) => node.outputs)) {
    const pipe = { enter: network.vertex(), leave: network.vertex() };
    pipes.set(value.id, pipe);
    network.edge(pipe.enter, pipe.leave, bytesOf(value));
  }
  for (const node of nodes) {
    for (const value of node.outputs) {
      const { enter } = pipes.get(value.id)!;
      if (opOf(node).isCostly === true) network.edge(source, enter, Infinity);
      for (const input of node.inputs) {
        const pipe = pipes.get(input.id);
        if (pipe !== undefined) network.edge(pipe.leave, enter, Infinity);
      }
    }
  }
  for (const value of reads) {
    const pipe = pipes.get(value.id);
    if (pipe !== undefined) network.edge(pipe.leave, sink, Infinity);
  }
  network.saturate(source, sink);
  const behind = network.reaching(sink);
  const isCut = ([, { enter, leave }]: [number, { enter: number; leave: number }]): boolean =>
    !behind.has(enter) && behind.has(leave);
  return new Set([...pipes].filter(isCut).map(([id]) => id));
}

/** Elements along a symbolic axis, for the comparison of values by their bytes. */
const typicalSize = 1024;

function bytesOf({ dtype, shape }: Value): number {
  const elements = shape.map((dim) =>
    evaluateDim<number>(dim, {
      number: (value) => value,
      symbol: () => typicalSize,
      binary: (operator, left, right) =>
        ({
          '+': left + right,
          '-': Math.max(1, left - right),
          '*': left * right,
          '/': left / right,
        })[operator],
    }),
  );
  return sizeOf(elements) * bytesPerElement(dtype);
}

/** A network for maximum flow (Edmonds-Karp). Edges lie in pairs: the reverse of `edge` is `edge ^ 1`. */
class FlowNetwork {
  readonly #targets: number[] = [];
  /** Remaining capacity of each edge. */
  readonly #capacities: number[] = [];
  readonly #edgesOf: number[][] = [];

  vertex(): number {
    return this.#edgesOf.push([]) - 1;
  }

  edge(from: number, to: number, capacity: number): void {
    this.#edgesOf[from]!.push(this.#targets.push(to) - 1);
    this.#capacities.push(capacity);
    this.#edgesOf[to]!.push(this.#targets.push(from) - 1);
    this.#capacities.push(0);
  }

  /** Pushes all the flow there is, along one shortest path after the other. */
  saturate(source: number, sink: number): void {
    for (let path = this.#path(source, sink); path !== null; path = this.#path(source, sink)) {
      const flow = Math.min(...path.map((edge) => this.#capacities[edge]!));
      for (const edge of path) {
        this.#capacities[edge]! -= flow;
        this.#capacities[edge ^ 1]! += flow;
      }
    }
  }

  /** The vertices from which the sink can still be reached. */
  reaching(sink: number): Set<number> {
    const reached = new Set([sink]);
    // The set grows during the walk, which visits what is added.
    for (const vertex of reached) {
      for (const edge of this.#edgesOf[vertex]!) {
        if (this.#capacities[edge ^ 1]! > 0) reached.add(this.#targets[edge]!);
      }
    }
    return reached;
  }

  /** Edges of a shortest path that can carry more, from the sink backwards; null where there is none. */
  #path(source: number, sink: number): number[] | null {
    const arrivedBy = new Map<number, number>();
    const queue = [source];
    for (let at = 0; at < queue.length && !arrivedBy.has(sink); at++) {
      for (const edge of this.#edgesOf[queue[at]!]!) {
        const target = this.#targets[edge]!;
        if (this.#capacities[edge]! <= 0 || target === source || arrivedBy.has(target)) continue;
        arrivedBy.set(target, edge);
        queue.push(target);
      }
    }
    if (!arrivedBy.has(sink)) return null;
    const path: number[] = [];
    for (let at = sink; at !== source; at = this.#targets[path.at(-1)! ^ 1]!) {
      path.push(arrivedBy.get(at)!);
    }
    return path;
  }
}
