/**
 * The fusion of elementwise nodes, and of the reductions between them, to as few kernels as possible.
 *
 * It is greedy: each node starts as a group of its own and joins the groups that it reads, and then groups that read the
 * same tensor join one another, as long as one kernel can compute the whole and no group waits for itself. A kernel walks
 * a space row by row (`rows-kernel.ts`), element by element where there is no reduction (`flat-kernel.ts`), or sums over
 * rows (`columns-kernel.ts`). Free nodes (`isFree`) are computed again by every kernel that reads them.
 */
import type { Graph, Node, Value } from '../ir.ts';
import type { Step } from '../kernel.ts';
import type { ReduceAttributes } from '../ops/reduce.ts';
import { topologicalOrder, producersOf } from '../passes.ts';
import { symbolsOf } from '../dim.ts';
import { areSized, broadcastShapes, sameShape } from '../shape.ts';
import { columnSums } from './columns-kernel.ts';
import { flatKernel, isFlat } from './flat-kernel.ts';
import { dimsOf, isFree, patternOf, numbersIn, type Region } from './region.ts';
import { rowsKernel } from './rows-kernel.ts';
import { extentIn } from './space.ts';

/** Nodes that run as one kernel, or as the two of a sum over rows. */
export interface Fused {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly steps: readonly Step[];
}

/** Most tensors that one kernel walks along. */
const MOST_WALKED = 14;
/** Most tensors that a sum over rows reads in place of the one value that it sums. */
const MOST_READ_AGAIN = 3;

/** Fuses the nodes of a graph; returns what is to run, in an order in which it can. */
export function fuse(graph: Graph): readonly (Node | Fused)[] {
  return new Fusion(graph).units();
}

/** Nodes that are to be one kernel; the free nodes that they read are not counted among them. */
type Group = ReadonlySet<Node>;

class Fusion {
  readonly #graph: Graph;
  readonly #numbers: ReadonlyMap<number, number>;
  readonly #producers: ReadonlyMap<number, Node>;
  readonly #places: ReadonlyMap<Node, number>;
  readonly #results: ReadonlySet<number>;
  /** Nodes that read a value, directly or through free nodes, by the value's id. */
  readonly #readers = new Map<number, Node[]>();
  /** Ids of the values that sums over rows read from memory, so that groups have to write them. */
  readonly #wanted = new Set<number>();
  readonly #groups = new Map<Node, Group>();
  #nextId: number;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#numbers = numbersIn(graph.constants);
    this.#producers = producersOf(graph.nodes);
    this.#places = new Map(graph.nodes.map((node, i) => [node, i]));
    const ids = [...graph.inputs, ...graph.nodes.flatMap(({ outputs }) => outputs)].map(
      ({ id }) => id,
    );
    this.#nextId = 1 + [...ids, ...graph.constants.keys()].reduce((a, b) => Math.max(a, b), 0);
    this.#results = new Set(graph.outputs.map(({ value }) => value.id));
    for (const node of graph.nodes.toReversed()) {
      if (isFree(node) && !this.#isDemanded(node)) continue;
      for (const input of node.inputs) this.#addReader(input, node);
    }
  }

  units(): readonly (Node | Fused)[] {
    for (const node of this.#graph.nodes) {
      if (!this.#isCore(node)) continue;
      const group = new Set([node]);
      if (this.#regionOf(group) === undefined) continue;
      this.#groups.set(node, group);
      for (const source of this.#sourcesOf(group)) this.#join(node, source);
    }
    this.#joinReadersOfSame();
    const sums = new Map<Node, Region>();
    for (const node of this.#graph.nodes) {
      const region = patternOf(node) === 'column' ? this.#columnRegion(node) : undefined;
      if (region !== undefined) sums.set(node, region);
      (region?.inputs ?? []).forEach((input) => this.#want(input));
    }
    const units: (Node | Fused)[] = [];
    for (const group of new Set(this.#groups.values())) {
      const region = this.#regionOf(group)!;
      if (region.outputs.length > 0) units.push(fusedOf(region));
    }
    for (const node of this.#graph.nodes) {
      const region = sums.get(node);
      if (region !== undefined) units.push(this.#fusedSum(region, node));
      else if (!this.#groups.has(node) && (!isFree(node) || this.#isDemanded(node)))
        units.push(node);
    }
    return topologicalOrder(this.#complete(units));
  }

  /** True if a node belongs to a group, rather than to every kernel that reads it. */
  #isCore(node: Node): boolean {
    const pattern = patternOf(node);
    return (pattern === 'map' || pattern === 'row') && (!isFree(node) || this.#isDemanded(node));
  }

  /** True if a node's value is a result, or is read by a node that no kernel computes. */
  #isDemanded({ outputs: [value] }: Node): boolean {
    if (this.#results.has(value!.id)) return true;
    const readers = this.#readers.get(value!.id) ?? [];
    return readers.some((reader) => patternOf(reader) === undefined);
  }

  #addReader(value: Value, reader: Node): void {
    const known = this.#readers.get(value.id);
    if (known?.includes(reader) === true) return;
    if (known === undefined) this.#readers.set(value.id, [reader]);
    else known.push(reader);
    const producer = this.#producers.get(value.id);
    if (producer === undefined || !isFree(producer) || patternOf(reader) === undefined) return;
    for (const input of producer.inputs) this.#addReader(input, reader);
  }

  /** The region of a group, or undefined where it cannot be one kernel. */
  #regionOf(group: Group): Region | undefined {
    const nodes = this.#withFree(group);
    const spaces = [...group].map((node) => spaceOf(node));
    const space = broadcastShapes(spaces);
    if (space === undefined || !spaces.some((shape) => sameShape(shape, space))) return undefined;
    const isComputable = (node: Node): boolean =>
      extentIn(space, node.outputs[0]!.shape) !== 'other' &&
      (patternOf(node) !== 'row' || sameShape(node.inputs[0]!.shape, space));
    if (!nodes.every(isComputable)) return undefined;
    const outputs = [...group]
      .map((node) => node.outputs[0]!)
      .filter((value) => this.#isReadOutside(value, group));
    const isWritable = (value: Value): boolean =>
      ['full', 'row'].includes(extentIn(space, value.shape));
    if (!outputs.every(isWritable)) return undefined;
    return this.#region(space, nodes, outputs);
  }

  #region(
    space: Region['space'],
    nodes: readonly Node[],
    outputs: readonly Value[],
  ): Region | undefined {
    const made = new Set(nodes.map((node) => node.outputs[0]!.id));
    const read = nodes
      .flatMap((node) => node.inputs)
      .filter(({ id }) => !made.has(id) && !this.#numbers.has(id));
    const inputs = [...new Map(read.map((value) => [value.id, value])).values()];
    const told = [...space, ...nodes.flatMap(dimsOf)];
    const unknown = symbolsOf(told.filter((dim) => !areSized([[dim]], inputs)));
    const sources = unknown.map((symbol) =>
      this.#graph.inputs.find(({ shape }) => shape.includes(symbol)),
    );
    const sizes = [...new Set(sources)].filter((source) => source !== undefined);
    const walked = [...inputs, ...outputs].filter(({ shape }) => sameShape(space, shape));
    if (!areSized([told], [...inputs, ...sizes]) || walked.length > MOST_WALKED) return undefined;
    return { space, nodes, inputs, sizes, outputs, numbers: this.#numbers };
  }

  /** The nodes of a group and the free nodes that they read, in order. */
  #withFree(group: Iterable<Node>): Node[] {
    return this.#withMakers(group, isFree);
  }

  /** Nodes, and the wanted ones among the nodes that make what they read, in order. */
  #withMakers(nodes: Iterable<Node>, isWanted: (maker: Node, value: Value) => boolean): Node[] {
    const all = new Set(nodes);
    // The set grows during the walk, which visits what is added.
    for (const node of all) {
      for (const input of node.inputs) {
        const maker = this.#producers.get(input.id);
        if (maker !== undefined && isWanted(maker, input)) all.add(maker);
      }
    }
    return [...all].sort((a, b) => this.#places.get(a)! - this.#places.get(b)!);
  }

  #isReadOutside({ id }: Value, group: Group): boolean {
    const isOutside = (reader: Node): boolean =>
      !group.has(reader) && patternOf(reader) !== 'column';
    return (
      this.#results.has(id) || this.#wanted.has(id) || (this.#readers.get(id) ?? []).some(isOutside)
    );
  }

  /** Nodes in groups that a group reads. */
  #sourcesOf(group: Group): Node[] {
    const producers = this.#withFree(group).flatMap((node) =>
      node.inputs.map(({ id }) => this.#producers.get(id)),
    );
    return producers.filter((node) => node !== undefined && this.#groups.has(node)) as Node[];
  }

  /** Makes one group of two, if they can be one kernel and that kernel does not wait for itself. */
  #join(a: Node, b: Node): void {
    const [left, right] = [this.#groups.get(a)!, this.#groups.get(b)!];
    if (left === right) return;
    const both = new Set([...left, ...right]);
    if (this.#regionOf(both) === undefined || this.#isCircular(both)) return;
    for (const node of both) this.#groups.set(node, both);
  }

  /** True if a node outside of a group reads the group and is read by it, directly or not. */
  #isCircular(group: Group): boolean {
    const seen = new Set<Node>();
    const pending: Node[] = [];
    const follow = (node: Node): void => {
      for (const { id } of node.outputs) pending.push(...(this.#readers.get(id) ?? []));
    };
    for (const node of group) follow(node);
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (seen.has(node) || group.has(node)) continue;
      for (const member of this.#groups.get(node) ?? [node]) {
        seen.add(member);
        for (const { id } of member.outputs) {
          const readers = this.#readers.get(id) ?? [];
          if (readers.some((reader) => group.has(reader))) return true;
          pending.push(...readers);
        }
      }
    }
    return false;
  }

  /** Joins groups that walk the same space and both read a tensor of its shape. */
  #joinReadersOfSame(): void {
    const values = [...this.#graph.inputs, ...this.#graph.nodes.flatMap(({ outputs }) => outputs)];
    for (const value of values) {
      const readers = (this.#readers.get(value.id) ?? []).filter((node) => this.#groups.has(node));
      for (const [i, reader] of readers.entries()) {
        if (!sameShape(spaceOf(reader), value.shape)) continue;
        const other = readers.slice(0, i).find((node) => sameShape(spaceOf(node), value.shape));
        if (other !== undefined) this.#join(reader, other);
      }
    }
  }

  /** The region of a sum over rows, with the nodes that make its operand where their inputs are few. */
  #columnRegion(sum: Node): Region | undefined {
    const operand = sum.inputs[0]!;
    // Makers that go element by element, from values that are written anyway.
    const isMade = (maker: Node, value: Value): boolean =>
      patternOf(maker) === 'map' && !this.#isWritten(value);
    const region = this.#columnsOver(sum, this.#withMakers([sum], isMade));
    const walked = region?.inputs.filter(({ shape }) => sameShape(shape, operand.shape)) ?? [];
    if (region !== undefined && walked.length <= MOST_READ_AGAIN) return region;
    return this.#columnsOver(sum, [sum]) ?? region;
  }

  #columnsOver(sum: Node, nodes: readonly Node[]): Region | undefined {
    const [operand, y] = [sum.inputs[0]!, sum.outputs[0]!];
    const region = this.#region(operand.shape, nodes, [y]);
    const rowAxes = rowAxesOf(sum);
    const isKnown = (value: Value): boolean =>
      extentIn(operand.shape, value.shape, rowAxes) !== 'other';
    const made = nodes.flatMap((node) => (node === sum ? [] : node.outputs));
    const values = [...(region?.inputs ?? []), ...made];
    return values.every(isKnown) ? region : undefined;
  }

  #isWritten(value: Value): boolean {
    const producer = this.#producers.get(value.id);
    if (producer === undefined) return true;
    const group = this.#groups.get(producer);
    return group === undefined ? !isFree(producer) : this.#isReadOutside(value, group);
  }

  /** Makes a group write a value that a sum over rows reads, if the group stays one kernel. */
  #want(value: Value): void {
    const producer = this.#producers.get(value.id);
    const group = producer === undefined ? undefined : this.#groups.get(producer);
    if (group === undefined || this.#wanted.has(value.id)) return;
    this.#wanted.add(value.id);
    if (this.#regionOf(group) === undefined) this.#wanted.delete(value.id);
  }

  #fusedSum(region: Region, sum: Node): Fused {
    const { kernels, parts } = columnSums(region, rowAxesOf(sum));
    const shape = [parts, ...region.space.slice(rowAxesOf(sum))];
    const memory = { id: this.#nextId++, name: 'parts', dtype: 'f32', shape } as const;
    return {
      name: kernels[0].entry,
      inputs: [...region.inputs, ...region.sizes],
      outputs: [...region.outputs, memory],
      steps: kernels,
    };
  }

  /** The units, and one more for each value that they read and that no unit writes. */
  #complete(units: readonly (Node | Fused)[]): (Node | Fused)[] {
    const all = [...units];
    const written = new Set(all.flatMap(({ outputs }) => outputs.map(({ id }) => id)));
    for (let i = 0; i < all.length; i++) {
      for (const { id } of all[i]!.inputs) {
        const producer = this.#producers.get(id);
        if (producer === undefined || written.has(id)) continue;
        const space = spaceOf(producer);
        const region = this.#region(space, this.#withFree([producer]), producer.outputs);
        all.push(region === undefined ? producer : fusedOf(region));
        written.add(id);
      }
    }
    return all;
  }
}

/** The shape that a node's kernel walks. */
function spaceOf(node: Node): Region['space'] {
  return (patternOf(node) === 'map' ? node.outputs[0]! : node.inputs[0]!).shape;
}

function rowAxesOf({ attributes }: Node): number {
  return (attributes as ReduceAttributes).axes.length;
}

function fusedOf(region: Region): Fused {
  const kernel = isFlat(region) ? flatKernel(region) : rowsKernel(region);
  const inputs = [...region.inputs, ...region.sizes];
  return { name: kernel.entry, inputs, outputs: region.outputs, steps: [kernel] };
}
