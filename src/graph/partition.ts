import { bytesPerElement } from '../tensor/dtype.ts';
import type { Node, Value } from './ir.ts';
import { opOf } from './ops/table.ts';
import { evaluateDim } from './shape.ts';

/** The size that stands for every symbol when values are compared by their bytes. */
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
  return elements.reduce((product, size) => product * size, bytesPerElement(dtype));
}

/** A network for maximum flow; edges lie in pairs, each one's reverse at `edge ^ 1`. */
class FlowNetwork {
  readonly #targets: number[] = [];
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

  /** Pushes all the flow there is along shortest paths (Edmonds-Karp). */
  saturate(source: number, sink: number): void {
    for (;;) {
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
      if (!arrivedBy.has(sink)) return;
      const path: number[] = [];
      for (let at = sink; at !== source; at = this.#targets[path.at(-1)! ^ 1]!) {
        path.push(arrivedBy.get(at)!);
      }
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
    for (const vertex of reached) {
      for (const edge of this.#edgesOf[vertex]!) {
        if (this.#capacities[edge ^ 1]! > 0) reached.add(this.#targets[edge]!);
      }
    }
    return reached;
  }
}

/**
 * Chooses the forward values to save: the fewest bytes from which backward can compute all that it
 * reads by cheap ops alone. Inputs and constants are at hand in any case and cost nothing.
 *
 * A minimum cut between the values that must not be computed twice and those that backward reads;
 * of equal cuts the latest, which computes least again.
 *
 * @param nodes the forward nodes in order, inputs already replaced by what backward would read
 * @param read  the forward values that backward nodes read
 * @returns ids of the values to save
 * @see the min-cut rematerialisation of functorch (He and Yu, "Transcending runtime-memory tradeoffs", MLSys 2023)
 */
export function chooseSaved(nodes: readonly Node[], read: readonly Value[]): Set<number> {
  const network = new FlowNetwork();
  const [source, sink] = [network.vertex(), network.vertex()];
  const gates = new Map<number, { readonly enter: number; readonly leave: number }>();
  for (const node of nodes) {
    for (const value of node.outputs) {
      const gate = { enter: network.vertex(), leave: network.vertex() };
      gates.set(value.id, gate);
      network.edge(gate.enter, gate.leave, bytesOf(value));
    }
  }
  for (const node of nodes) {
    for (const value of node.outputs) {
      const { enter } = gates.get(value.id)!;
      if (opOf(node).cost === 'costly') network.edge(source, enter, Infinity);
      for (const input of node.inputs) {
        const gate = gates.get(input.id);
        if (gate !== undefined) network.edge(gate.leave, enter, Infinity);
      }
    }
  }
  for (const value of read) {
    const gate = gates.get(value.id);
    if (gate !== undefined) network.edge(gate.leave, sink, Infinity);
  }
  network.saturate(source, sink);
  const late = network.reaching(sink);
  return new Set(
    [...gates]
      .filter(([, { enter, leave }]) => !late.has(enter) && late.has(leave))
      .map(([id]) => id),
  );
}
