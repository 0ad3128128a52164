import { sizeOf } from '../../tensor/tensor.ts';
import { bytesPerElement } from '../../tensor/dtype.ts';
import { isFloat, type Dim, type Value } from '../ir.ts';
import { cNumber, cTypes } from '../kernel-prelude.ts';
import { scalarsOf, type Scalar, type Shapes } from '../kernel.ts';
import { opOf } from '../ops/table.ts';
import { shapesOf } from '../shape.ts';
import { dimsOf, type Region } from './region.ts';
import { extentIn, isPerRow, type Extent } from './space.ts';

/** C for the values of a region: their names, declarations, loads and stores. */
export class ElementSource {
  readonly region: Region;
  readonly #names = new Map<number, string>();
  readonly #extents: ReadonlyMap<number, Extent>;

  /** @param rowAxes number of leading axes of the space that are its rows */
  constructor(region: Region, rowAxes?: number) {
    this.region = region;
    const { space, nodes, inputs, numbers } = region;
    const made = nodes.flatMap(({ outputs }) => outputs);
    this.#extents = new Map(
      [...inputs, ...made].map(({ id, shape }) => [id, extentIn(space, shape, rowAxes)]),
    );
    inputs.forEach(({ id }, i) => this.#names.set(id, `x${i}`));
    made.forEach(({ id }, i) => this.#names.set(id, `v${i}`));
    for (const { id, dtype } of nodes.flatMap((node) => node.inputs)) {
      const number = numbers.get(id);
      if (number !== undefined) this.#names.set(id, cNumber(number, dtype));
    }
  }

  extent({ id }: Value): Extent {
    return this.#extents.get(id) ?? 'scalar';
  }

  /** The variable that holds an element of a value, or the literal of a constant. */
  name({ id }: Value): string {
    return this.#names.get(id)!;
  }

  /** The parameter with an input's address. */
  address(input: Value): string {
    return `${this.name(input)}_at`;
  }

  /** The kernel's parameters for inputs and outputs. */
  parameters(): string[] {
    const { inputs, sizes, outputs } = this.region;
    return [
      ...inputs.map((input) => `const ${cTypes[input.dtype]}* ${this.address(input)}`),
      ...sizes.map((_, i) => `const void* size${i}`),
      ...outputs.map(({ dtype }, i) => `${cTypes[dtype]}* y${i}_at`),
    ];
  }

  /** Names of the parameters for inputs and outputs, to pass them on. */
  arguments(): string[] {
    const { inputs, sizes, outputs } = this.region;
    return [
      ...inputs.map((input) => this.address(input)),
      ...sizes.map((_, i) => `size${i}`),
      ...outputs.map((_, i) => `y${i}_at`),
    ];
  }

  /** The `i64` parameters with the products that the region's `size` nodes give. */
  sizes(): string[] {
    return this.#sizeNodes().map((node) => this.#sizeName(node));
  }

  /** The values of the `sizes` parameters in a run. */
  sizeScalars(shapes: Shapes): Scalar[] {
    const { inputs, sizes } = this.region;
    const products = this.#sizeNodes().map((node) => ({ shape: dimsOf(node) }));
    const dims = shapesOf(products, [...inputs, ...sizes], shapes);
    return scalarsOf('i64', dims.map(sizeOf));
  }

  #sizeNodes(): Region['nodes'] {
    return this.region.nodes.filter(({ op }) => op === 'size');
  }

  #sizeName({ outputs: [y] }: Region['nodes'][number]): string {
    return `size_${this.name(y!)}`;
  }

  /** True if a value is read or computed once for a row, before the walk along it. */
  isPerRow(value: Value): boolean {
    return isPerRow(this.extent(value));
  }

  /** Elements that a thread takes at once: 16 bytes of the narrowest dtype, if rows of this width allow that. */
  packSize(width: Dim): number {
    const { inputs, outputs } = this.region;
    const walked = [...inputs, ...outputs].filter((end) => !this.isPerRow(end));
    let size = walked.some(({ dtype }) => bytesPerElement(dtype) < 4) ? 8 : 4;
    while (typeof width === 'number' && width % size !== 0) size /= 2;
    return size;
  }

  /** Conditions in C for reading and writing in packs. */
  alignments(pack: number): string[] {
    const { inputs, outputs } = this.region;
    const addresses = [
      ...inputs.filter((x) => this.isPacked(x)).map((x) => this.address(x)),
      ...outputs.flatMap((y, i) => (this.isPacked(y) ? [`y${i}_at`] : [])),
    ];
    return addresses.map((address) => `isAligned<${pack}>(${address})`);
  }

  /** True if neighbours along a row are neighbours in memory. */
  isPacked(value: Value): boolean {
    return this.extent(value) === 'full' || this.extent(value) === 'column';
  }

  /** The inputs and nodes that the walk along a row needs for some values. */
  needed(wanted: readonly Value[]): { inputs: Value[]; nodes: Region['nodes'] } {
    const ids = new Set<number>();
    const makers = new Map(this.region.nodes.map((node) => [node.outputs[0]!.id, node]));
    const pending = wanted.filter((value) => !this.isPerRow(value));
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      if (ids.has(value.id)) continue;
      ids.add(value.id);
      const operands = makers.get(value.id)?.inputs ?? [];
      pending.push(...operands.filter((operand) => !this.isPerRow(operand)));
    }
    const { inputs, nodes } = this.region;
    return {
      inputs: inputs.filter(({ id }) => ids.has(id)),
      nodes: nodes.filter(({ outputs }) => ids.has(outputs[0]!.id)),
    };
  }

  /** Declares the variable of a node's value. */
  compute(node: Region['nodes'][number]): string {
    const [y] = node.outputs;
    return `const ${variableType(y!)} ${this.name(y!)} = ${this.#expression(node)};`;
  }

  #expression(node: Region['nodes'][number]): string {
    const operands = node.inputs.map((input) => this.name(input));
    if (node.op === 'size') return this.#sizeName(node);
    return node.op === 'expand' ? operands[0]! : opOf(node).expression!(operands, node);
  }

  /** Declares the variable of an input, read from `element`, which is C for one of its elements. */
  read(input: Value, element: string): string {
    return `const ${variableType(input)} ${this.name(input)} = ${widened(input, element)};`;
  }

  /** C for an element of an output as it is stored. */
  stored(output: Value): string {
    const name = this.name(output);
    return isFloat(output.dtype) ? `fromFloat<${cTypes[output.dtype]}>(${name})` : name;
  }
}

function variableType(value: Value): string {
  return isFloat(value.dtype) ? 'float' : cTypes[value.dtype];
}

function widened(value: Value, element: string): string {
  return isFloat(value.dtype) ? `toFloat(${element})` : element;
}
