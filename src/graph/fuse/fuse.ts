import type { Graph, Node, Value } from '../ir.ts';
import type { Step } from '../kernel.ts';
import type { ReduceAttributes } from '../ops/reduce.ts';
import { producersOf } from '../passes.ts';
import { areSized, broadcastShapes, sameShape, symbolsOf } from '../shape.ts';
import { columnSums } from './columns-kernel.ts';
import { flatKernel, isFlat } from './flat-kernel.ts';
import { dimsOf, isFree, mannerOf, numbersIn, type Region } from './region.ts';
import { rowsKernel } from './rows-kernel.ts';
import { extentIn } from './space.ts';

/** Nodes that run as one. */
export interface Fused {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly steps: readonly Step[];
}

/** Tensors that one kernel walks along at most. */
const MOST_WALKED = 14;
/** Tensors that a sum over rows reads at most, rather than what is made of them. */
const MOST_READ_AGAIN = 3;

/**
 * A graph's nodes in an order in which they can run, where those that go element by element, and the reductions along
 * rows and over rows between them, are joined to as few kernels as possible.
 */
export function fuse(graph: Graph): readonly (Node | Fused)[] {
  return new Fusion(graph).units();
}

/** Nodes that are to be one kernel, but for the free ones among what they read. */
type Group = ReadonlySet<Node>;

class Fusion {
  readonly #graph: Graph;
  readonly #numbers: ReadonlyMap<number, number>;
  readonly #producers: ReadonlyMap<number, Node>;
  readonly #places: ReadonlyMap<Node, number>;
  readonly #results: ReadonlySet<number>;
  /** Nodes that read a value, or what free nodes make of it. */
  readonly #readers = new Map<number, Node[]>();
  /** Values that sums over rows read, though they do not join the kernel that makes them. */
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
      const region = mannerOf(node) === 'column' ? this.#columnRegion(node) : undefined;
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
    return inOrder(this.#complete(units));
  }

  /** Whether a node is computed by a kernel, its own or that of a group, rather than by all that read it. */
  #isCore(node: Node): boolean {
    const manner = mannerOf(node);
    return (manner === 'map' || manner === 'row') && (!isFree(node) || this.#isDemanded(node));
  }

  /** Whether something that no kernel computes reads what a node makes. */
  #isDemanded({ outputs: [value] }: Node): boolean {
    if (this.#results.has(value!.id)) return true;
    const readers = this.#readers.get(value!.id) ?? [];
    return readers.some((reader) => mannerOf(reader) === undefined);
  }

  #addReader(value: Value, reader: Node): void {
    const known = this.#readers.get(value.id);
    if (known?.includes(reader) === true) return;
    if (known === undefined) this.#readers.set(value.id, [reader]);
    else known.push(reader);
    const producer = this.#producers.get(value.id);
    if (producer === undefined || !isFree(producer) || mannerOf(reader) === undefined) return;
    for (const input of producer.inputs) this.#addReader(input, reader);
  }

  /** What a group computes, or undefined where that cannot be one kernel. */
  #regionOf(group: Group): Region | undefined {
    const nodes = this.#withFree(group);
    const spaces = [...group].map((node) => spaceOf(node));
    const space = broadcastShapes(spaces);
    if (space === undefined || !spaces.some((shape) => sameShape(shape, space))) return undefined;
    const isComputable = (node: Node): boolean =>
      extentIn(space, node.outputs[0]!.shape) !== 'other' &&
      (mannerOf(node) !== 'row' || sameShape(node.inputs[0]!.shape, space));
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

  /** The nodes of a group and the free ones that they read, in order. */
  #withFree(group: Iterable<Node>): Node[] {
    const all = new Set<Node>();
    const pending = [...group];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (all.has(node)) continue;
      all.add(node);
      for (const input of node.inputs) {
        const producer = this.#producers.get(input.id);
        if (producer !== undefined && isFree(producer)) pending.push(producer);
      }
    }
    return [...all].sort((a, b) => this.#places.get(a)! - this.#places.get(b)!);
  }

  #isReadOutside({ id }: Value, group: Group): boolean {
    const isOutside = (reader: Node): boolean =>
      !group.has(reader) && mannerOf(reader) !== 'column';
    return (
      this.#results.has(id) || this.#wanted.has(id) || (this.#readers.get(id) ?? []).some(isOutside)
    );
  }

  /** Nodes of other groups that a group reads. */
  #sourcesOf(group: Group): Node[] {
    const producers = this.#withFree(group).flatMap((node) =>
      node.inputs.map(({ id }) => this.#producers.get(id)),
    );
    return producers.filter((node) => node !== undefined && this.#groups.has(node)) as Node[];
  }

  /** Makes one group of two, where they can be one kernel and neither waits for something that waits for the other. */
  #join(a: Node, b: Node): void {
    const [left, right] = [this.#groups.get(a)!, this.#groups.get(b)!];
    if (left === right) return;
    const both = new Set([...left, ...right]);
    if (this.#regionOf(both) === undefined || this.#isCircular(both)) return;
    for (const node of both) this.#groups.set(node, both);
  }

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

  /** Joins groups that walk the same space and read a tensor of it both. */
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

  /** A sum over rows, with what it adds up where that is less to read than what is written of it. */
  #columnRegion(sum: Node): Region | undefined {
    const operand = sum.inputs[0]!;
    const region = this.#columnsOver(sum, this.#makersOf(operand));
    const walked = region?.inputs.filter(({ shape }) => sameShape(shape, operand.shape)) ?? [];
    if (region !== undefined && walked.length <= MOST_READ_AGAIN) return region;
    return this.#columnsOver(sum, []) ?? region;
  }

  #columnsOver(sum: Node, nodes: readonly Node[]): Region | undefined {
    const [operand, y] = [sum.inputs[0]!, sum.outputs[0]!];
    const region = this.#region(operand.shape, [...nodes, sum], [y]);
    const rowAxes = rowAxesOf(sum);
    const isKnown = (value: Value): boolean =>
      extentIn(operand.shape, value.shape, rowAxes) !== 'other';
    const values = [...(region?.inputs ?? []), ...nodes.map((node) => node.outputs[0]!)];
    return values.every(isKnown) ? region : undefined;
  }

  /** The nodes that make a value element by element, of values that are written anyway. */
  #makersOf(value: Value): Node[] {
    const makers = new Set<Node>();
    const pending = [value];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const producer = this.#producers.get(next.id);
      if (producer === undefined || mannerOf(producer) !== 'map' || this.#isWritten(next)) continue;
      makers.add(producer);
      pending.push(...producer.inputs);
    }
    return [...makers].sort((a, b) => this.#places.get(a)! - this.#places.get(b)!);
  }

  #isWritten(value: Value): boolean {
    const producer = this.#producers.get(value.id);
    if (producer === undefined) return true;
    const group = this.#groups.get(producer);
    return group === undefined ? !isFree(producer) : this.#isReadOutside(value, group);
  }

  /** Lets a group write a value that a sum over rows reads, if it can. */
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

  /** The units, and one more for each value that they read and no unit writes. */
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
  return (mannerOf(node) === 'map' ? node.outputs[0]! : node.inputs[0]!).shape;
}

function rowAxesOf({ attributes }: Node): number {
  return (attributes as ReduceAttributes).axes.length;
}

function fusedOf(region: Region): Fused {
  const kernel = isFlat(region) ? flatKernel(region) : rowsKernel(region);
  const inputs = [...region.inputs, ...region.sizes];
  return { name: kernel.entry, inputs, outputs: region.outputs, steps: [kernel] };
}

/** Units so that each stands behind those that it reads. */
function inOrder(units: readonly (Node | Fused)[]): (Node | Fused)[] {
  const makers = new Map(units.flatMap((unit) => unit.outputs.map(({ id }) => [id, unit])));
  const ordered = new Set<Node | Fused>();
  const pending = units.toReversed();
  for (let unit = pending.at(-1); unit !== undefined; unit = pending.at(-1)) {
    const missing = unit.inputs
      .map(({ id }) => makers.get(id))
      .find((maker) => maker !== undefined && !ordered.has(maker));
    if (missing !== undefined && !ordered.has(unit)) {
      pending.push(missing);
    } else {
      ordered.add(unit);
      pending.pop();
    }
  }
  return [...ordered];
}
