import type { Tensor } from '../../src/tensor/tensor.ts';
import { type Call, type Element } from './call.ts';
import type { Communicator, Reduction } from './communicator.ts';
import { copy, scratch, slice, type Elements } from './elements.ts';
import { Group, type Engine, type Message } from './group.ts';
import { divideBy, narrow, widen } from './reduction.ts';
import type { RingEngine } from './ring.ts';

/** What sums travel as. */
type Wide = 'f32' | 'i32' | 'i64';
type WideTensor = Tensor<Wide>;

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
    const { operation, dtype, root } = call;
    if (operation === 'allReduce') return this.#reduceAll(call, input);
    if (operation === 'broadcast') return this.#broadcast(dtype, input, root);
    if (operation === 'allGather') return this.#allGather(call, input, output!);
    if (operation === 'reduce') return this.#reduceTo(call, input, output);
    return this.#reduceScatter(call, input, output!);
  }

  /** In shared memory to the first of each node, over the network to the root's, and from there to the root. */
  async #reduceTo(call: Call, input: Elements, output: Elements | null): Promise<void> {
    const { inner, outer, nodes } = this.#levels;
    const sums = await this.#reduceNode(call, input);
    const home = nodes.findIndex((ranks) => ranks.includes(call.root));
    const place = nodes[home]!.indexOf(call.root);
    await outer?.reduce(sums, home, foldOf(call));
    if (place !== 0 && this.rank === nodes[home]![0]) await inner.send(sums, place);
    if (output === null) return;
    let result = sums;
    if (place !== 0) {
      result = { ...sums, data: scratch(sums.dtype, output.length) };
      await inner.receive(result, 0);
    }
    this.#finish(call, result.data, output);
  }

  /** In shared memory to the first of each node, the rows of each node over the network to its first, and from there. */
  async #reduceScatter(call: Call, input: Elements, output: Elements): Promise<void> {
    const { inner, outer, nodes } = this.#levels;
    const { count } = call;
    const { dtype, data } = await this.#reduceNode(call, input);
    let own: WideTensor | null = null;
    for (const [node, ranks] of nodes.entries()) {
      if (outer === null) break;
      const rows = {
        dtype,
        shape: [ranks.length * count],
        data: scratch(dtype, ranks.length * count),
      };
      ranks.forEach((rank, i) => {
        copy(slice(data, rank * count, (rank + 1) * count), rows.data, i * count);
      });
      await outer.reduce(rows, node, foldOf(call));
      if (ranks.includes(this.rank)) own = rows;
    }
    const part = { dtype, shape: [count], data: scratch(dtype, count) };
    await inner.scatter(own, part, 0);
    this.#finish(call, part.data, output);
  }

  /** The inputs of this node's ranks reduced, on the first of them; halves as f32. No input is changed. */
  async #reduceNode(call: Call, input: Elements): Promise<WideTensor> {
    const isHalf = call.dtype === 'f16' || call.dtype === 'bf16';
    const dtype = wideOf(call.dtype);
    // where it is not widened, the input is of that type already
    let data = input as WideTensor['data'];
    if (isHalf || this.#levels.outer !== null) data = scratch(dtype, input.length);
    if (isHalf) widen(call.dtype, input, 0, data as Float32Array);
    else if (data !== input) copy(input, data, 0);
    const tensor = { dtype, shape: [data.length], data };
    await this.#levels.inner.reduce(tensor, 0, foldOf(call));
    return tensor;
  }

  /** The result of a reduction out of the sums over all ranks, which it may change. */
  #finish({ dtype, reduction }: Call, sums: Elements, output: Elements): void {
    if (reduction === 'mean') divideBy(wideOf(dtype), sums, this.size);
    if (dtype === 'f16' || dtype === 'bf16') narrow(dtype, sums as Float32Array, output, 0);
    else if (sums !== output) copy(sums, output, 0);
  }

  /** In shared memory to the first of the node, round the first ones of all nodes, and back. */
  async #reduceAll(call: Call, data: Elements): Promise<void> {
    const { inner, outer } = this.#levels;
    const dtype = wideOf(call.dtype);
    const isHalf = call.dtype === 'f16' || call.dtype === 'bf16';
    const sums = isHalf ? new Float32Array(data.length) : data;
    if (isHalf) widen(call.dtype, data, 0, sums as Float32Array);
    const tensor = { dtype, shape: [sums.length], data: sums };
    await inner.reduce(tensor, 0, foldOf(call));
    await outer?.allReduce(tensor, foldOf(call));
    await inner.broadcast(tensor, 0);
    this.#finish(call, sums, data);
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

function wideOf(dtype: Element): Wide {
  return dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype;
}

/** How partial results come together; what makes them means comes once, at the end. */
function foldOf({ reduction }: Call): Reduction {
  return reduction === 'max' ? 'max' : 'sum';
}
