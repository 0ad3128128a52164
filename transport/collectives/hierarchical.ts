import { vector, type Tensor } from '../../src/tensor/tensor.ts';
import type { Call, Element } from './call.ts';
import { copy, rowOf, scratch, slice, type Elements } from './elements.ts';
import { Communicator, type Engine } from './communicator.ts';
import type { RingEngine } from './ring.ts';

/**
 * Hierarchical collectives of ranks on several nodes.
 *
 * The ranks of a node work in shared memory, and the first of them works with the first ranks of other nodes. So the
 * network carries each tensor once for a node, not once for a rank. Gather and scatter take the direct lines.
 */
export class HierarchicalEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #network: RingEngine;
  readonly #nodes: readonly (readonly number[])[];
  readonly #inner: Communicator;
  /** Group of the first ranks of all nodes; null for a rank that is none of them. */
  readonly #outer: Communicator | null;

  /**
   * @param network of all ranks
   * @param nodes   ranks of each node, in ascending order
   * @param inner   group of the ranks of this node
   */
  constructor(network: RingEngine, nodes: readonly (readonly number[])[], inner: Communicator) {
    this.#network = network;
    this.#nodes = nodes;
    this.#inner = inner;
    this.rank = network.rank;
    this.size = network.size;
    const firsts = nodes.map(([first]) => first!);
    const isFirst = firsts.includes(this.rank);
    this.#outer = isFirst ? new Communicator(network.among(firsts)) : null;
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    const { operation, dtype, root, count } = call;
    if (operation === 'barrier' || operation === 'gather' || operation === 'scatter') {
      return this.#network.run(call, input, output);
    }
    await this.#network.agree(call);
    try {
      if (operation === 'broadcast') await this.#broadcast(vector(dtype, output!), root);
      else if (operation === 'allGather') await this.#allGather(dtype, count, input!, output!);
      else await this.#reduceScatter(count, input!, output!);
    } catch (error) {
      // Ranks of this node wait for this one in shared memory, and do not hear of other nodes.
      await this.#inner[Symbol.asyncDispose]();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
    await this.#network.close();
  }

  /**
   * Sums the rows for the ranks of each node: over the ranks of this node in shared memory, then over the first ranks of
   * all nodes. Each node's first rank gets the sums for its node and hands them out. Each node counts as many rows as the
   * largest has, so that the parts are equal.
   */
  async #reduceScatter(count: number, input: Elements, output: Elements): Promise<void> {
    const [inner, outer, nodes] = [this.#inner, this.#outer, this.#nodes];
    const length = count * Math.max(...nodes.map((ranks) => ranks.length));
    const part = scratch('f32', Math.ceil(length / inner.size));
    const rows = scratch('f32', part.length * inner.size);
    const sums = outer && scratch('f32', length * nodes.length);
    for (const [node, ranks] of nodes.entries()) {
      ranks.forEach((rank, i) => {
        copy(rowOf(input, rank, count), rows, i * count);
      });
      await inner.reduceScatter(vector('f32', rows), vector('f32', part));
      await inner.gather(vector('f32', part), outer && vector('f32', rows), 0);
      if (sums !== null) copy(slice(rows, 0, length), sums, node * length);
    }
    const own = outer && scratch('f32', length);
    await outer?.reduceScatter(vector('f32', sums!), vector('f32', own!));
    const ofNode = own && vector('f32', own.subarray(0, inner.size * count));
    await inner.scatter(ofNode, vector('f32', output as Float32Array), 0);
  }

  async #broadcast(tensor: Tensor, root: number): Promise<void> {
    const [inner, outer, nodes] = [this.#inner, this.#outer, this.#nodes];
    const home = nodes.findIndex((ranks) => ranks.includes(root));
    const isHome = nodes[home]!.includes(this.rank);
    if (isHome) await inner.broadcast(tensor, nodes[home]!.indexOf(root));
    await outer?.broadcast(tensor, home);
    if (!isHome) await inner.broadcast(tensor, 0);
  }

  /** Gathers the rows of a node to its first rank, sends that block to all nodes, then all rows to all ranks of each. */
  async #allGather(
    dtype: Element,
    count: number,
    input: Elements,
    output: Elements,
  ): Promise<void> {
    const [inner, outer, nodes] = [this.#inner, this.#outer, this.#nodes];
    const blocks = outer && nodes.map((ranks) => scratch(dtype, ranks.length * count));
    const own = nodes.findIndex((ranks) => ranks.includes(this.rank));
    await inner.gather(vector(dtype, input), blocks && vector(dtype, blocks[own]!), 0);
    for (const [node, block] of (blocks ?? []).entries()) {
      await outer!.broadcast(vector(dtype, block), node);
      nodes[node]!.forEach((rank, i) => {
        copy(rowOf(block, i, count), output, rank * count);
      });
    }
    await inner.broadcast(vector(dtype, output), 0);
  }
}
