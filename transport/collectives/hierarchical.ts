import { type Call, type Element } from './call.ts';
import type { Communicator, Reduction } from './communicator.ts';
import { copy, scratch, slice, type Elements } from './elements.ts';
import { Group, type Engine, type Message } from './group.ts';
import { divideBy, narrow, widen } from './reduction.ts';
import type { RingEngine } from './ring.ts';

/** Ranks that share memory, and their first rank's place among the first ranks of all nodes. */
interface Levels {
  readonly inner: Communicator;
  /** Of the first rank of each node; null for the others. */
  readonly outer: Communicator | null;
  /** Ranks of each node, in the order of the outer group. */
  readonly nodes: readonly (readonly number[])[];
}

/**
 * Collectives of ranks on several nodes: those of a node work in shared memory, and one of them with those of
 * other nodes, so that the network carries each tensor once per node and not once per rank.
 *
 * What goes from one rank to another takes the direct line between them.
 */
export class HierarchicalEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #network: RingEngine;
  readonly #levels: Levels;

  /** @param network of all ranks */
  private constructor(network: RingEngine, levels: Levels) {
    this.#network = network;
    this.#levels = levels;
    this.rank = network.rank;
    this.size = network.size;
  }

  /**
   * @param node a number for each node, the same for all its ranks and nobody else's
   * @param joinNode the group of this node's ranks, made by the first of them; called by each of them
   */
  static async over(
    network: RingEngine,
    node: number,
    joinNode: (members: RingEngine) => Promise<Communicator>,
  ): Promise<Engine> {
    const all = new Group(network);
    const numbers = {
      dtype: 'i32',
      shape: [network.size],
      data: new Int32Array(network.size),
    } as const;
    await all.allGather({ dtype: 'i32', shape: [1], data: Int32Array.of(node) }, numbers);
    const byNode = Map.groupBy(numbers.data.keys(), (rank) => numbers.data[rank]!);
    const nodes = [...byNode.values()];
    const members = (await network.split(nodes)) as RingEngine;
    const inner = await joinNode(members);
    const leaders = await network.split([nodes.map(([first]) => first!)]);
    const outer = leaders && new Group(leaders);
    return new HierarchicalEngine(network, { inner, outer, nodes });
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    if (['barrier', 'split', 'gather', 'scatter'].includes(call.operation)) {
      return this.#network.run(call, input, output);
    }
    await this.#network.agree(call);
    try {
      await this.#climb(call, input!, output);
    } catch (error) {
      // Ranks of this node that wait for this one in shared memory do not hear of what happened elsewhere.
      await this.#levels.inner[Symbol.asyncDispose]();
      throw error;
    }
  }

  send(message: Message, to: number): Promise<void> {
    return this.#network.send(message, to);
  }

  receive(message: Message, from: number): Promise<void> {
    return this.#network.receive(message, from);
  }

  /** A group split off goes over the network alone. */
  split(groups: readonly (readonly number[])[]): Promise<Engine | null> {
    return this.#network.split(groups);
  }

  async close(): Promise<void> {
    await this.#levels.inner[Symbol.asyncDispose]();
    await this.#network.close();
  }

  async #climb(call: Call, input: Elements, output: Elements | null): Promise<void> {
    const { operation, dtype, count, root } = call;
    if (operation === 'allReduce') return this.#reduceAll(call, input);
    if (operation === 'broadcast') return this.#broadcast(dtype, input, root);
    if (operation === 'allGather') return this.#allGather(call, input, output!);
    // Of a reduction for one rank, or in parts, all take theirs from the whole.
    const sums = scratch(dtype, input.length);
    copy(input, sums, 0);
    await this.#reduceAll(call, sums);
    const at = operation === 'reduceScatter' ? this.rank * count : 0;
    if (output !== null) copy(slice(sums, at, at + count), output, 0);
  }

  /** In shared memory to the first of the node, round the first ones of all nodes, and back. */
  async #reduceAll({ dtype, reduction }: Call, data: Elements): Promise<void> {
    const isHalf = dtype === 'f16' || dtype === 'bf16';
    const sums = isHalf ? new Float32Array(data.length) : data;
    if (isHalf) widen(dtype, data, 0, sums as Float32Array);
    const wide = isHalf ? 'f32' : dtype;
    const tensor = { dtype: wide, shape: [sums.length], data: sums };
    const fold: Reduction = reduction === 'max' ? 'max' : 'sum';
    const { inner, outer } = this.#levels;
    await inner.reduce(tensor, 0, fold);
    await outer?.allReduce(tensor, fold);
    await inner.broadcast(tensor, 0);
    if (reduction === 'mean') divideBy(wide, sums, this.size);
    if (isHalf) narrow(dtype, sums as Float32Array, data, 0);
  }

  async #broadcast(dtype: Element, data: Elements, root: number): Promise<void> {
    const { inner, outer, nodes } = this.#levels;
    const tensor = { dtype, shape: [data.length], data };
    const home = nodes.findIndex((ranks) => ranks.includes(root));
    const isHome = nodes[home]!.includes(this.rank);
    if (isHome) await inner.broadcast(tensor, nodes[home]!.indexOf(root));
    await outer?.broadcast(tensor, home);
    if (!isHome) await inner.broadcast(tensor, 0);
  }

  /** Each node's rows to its first rank, each node's block to all nodes, then all rows to all of the node. */
  async #allGather({ dtype, count }: Call, input: Elements, output: Elements): Promise<void> {
    const { inner, outer, nodes } = this.#levels;
    const tensorOf = (data: Elements) => ({ dtype, shape: [data.length], data });
    const isFirst = outer !== null;
    const own = nodes.findIndex((ranks) => ranks.includes(this.rank));
    const blocks = nodes.map((ranks, node) =>
      isFirst || node === own ? scratch(dtype, isFirst ? ranks.length * count : 0) : null,
    );
    await inner.gather(tensorOf(input), isFirst ? tensorOf(blocks[own]!) : null, 0);
    if (isFirst) {
      for (const [node, block] of blocks.entries()) {
        await outer.broadcast(tensorOf(block!), node);
        nodes[node]!.forEach((rank, i) => {
          copy(slice(block!, i * count, (i + 1) * count), output, rank * count);
        });
      }
    }
    await inner.broadcast(tensorOf(output), 0);
  }
}
