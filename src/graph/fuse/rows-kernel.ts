import { stridesOf } from '../ops/array.ts';
import type { Node, Value } from '../ir.ts';
import { cTypes } from '../kernel-prelude.ts';
import { scalarsOf, type Kernel, type Launch, type Shapes } from '../kernel.ts';
import { ElementSource } from './element-source.ts';
import { named } from './naming.ts';
import { patternOf, type Region } from './region.ts';
import { rowThreads, sizesIn } from './space.ts';

/** Threads of a block, unless a row takes more. */
const BLOCK_THREADS = 256;
/** Most threads that share a row which is kept in registers. */
const KEPT_ROW_THREADS = 256;
/** Most threads that share a row which is read again for every walk along it. */
const ROW_THREADS = 1024;
/** Number of rows that fill a card with blocks of few threads. */
const MANY_ROWS = 1024;
/** Most packs of a row that a thread keeps. */
const MOST_KEPT = 4;

/** Rows that have the same width in every run. */
interface StaticRows {
  readonly width: number;
  /** Packs that each thread keeps in registers from walk to walk; undefined where it keeps none. */
  readonly kept: number | undefined;
}

/**
 * Writes the kernel of a region that walks along rows.
 *
 * Reductions that do not depend on one another share a walk. One more walk writes the outputs. A power of two of threads
 * shares a row, and a block takes several rows where they are short.
 */
export function rowsKernel(region: Region): Kernel {
  return new RowsWriter(region).kernel();
}

class RowsWriter {
  readonly #source: ElementSource;
  readonly #region: Region;
  readonly #pack: number;
  readonly #rows: StaticRows | undefined;
  /** Length of the chain of reductions that a value depends on, by the value's id. */
  readonly #levels = new Map<number, number>();

  constructor(region: Region) {
    this.#region = region;
    this.#source = new ElementSource(region);
    const width = region.space.at(-1) ?? 1;
    this.#pack = this.#source.packSize(width);
    for (const node of region.nodes) {
      const before = Math.max(0, ...node.inputs.map((input) => this.#level(input)));
      this.#levels.set(node.outputs[0]!.id, before + Number(isReduction(node)));
    }
    if (typeof width === 'number') {
      const threads = rowThreads(width, this.#pack, KEPT_ROW_THREADS);
      const kept = Math.ceil(width / (this.#pack * threads));
      const walks = new Set(this.#levels.values()).size;
      this.#rows = { width, kept: walks > 1 && kept <= MOST_KEPT ? kept : undefined };
    }
  }

  kernel(): Kernel {
    return {
      ...named(this.#region, (entry) => this.#text(entry)),
      launch: (inputs) => this.#launch(inputs),
    };
  }

  #launch(inputs: Shapes): Launch {
    const { sizes, rows, width } = sizesIn(this.#region, inputs);
    const most = rows < MANY_ROWS ? this.#mostThreads() : KEPT_ROW_THREADS;
    const x = rowThreads(width, this.#pack, most);
    const y = Math.max(1, BLOCK_THREADS / x);
    const others = this.#others().flatMap((input) =>
      strides(sizes, inputs[this.#region.inputs.indexOf(input)]!),
    );
    const numbers = [rows, ...(this.#rows === undefined ? [width] : []), ...others];
    return {
      grid: [Math.ceil(rows / y), 1, 1],
      block: [x, y, 1],
      sharedBytes: 0,
      scalars: [...this.#source.sizeScalars(inputs), ...scalarsOf('i64', numbers)],
    };
  }

  #mostThreads(): number {
    return this.#rows?.kept === undefined ? ROW_THREADS : KEPT_ROW_THREADS;
  }

  #text(entry: string): string {
    const source = this.#source;
    const pack = this.#pack;
    const numbers = [
      ...source.sizes(),
      'rows',
      ...(this.#rows === undefined ? ['width'] : []),
      ...this.#others().flatMap((input) =>
        this.#axesOf(input).flatMap((axis) => axisNames(source.name(input), axis)),
      ),
    ];
    const parameters = [...source.parameters(), ...numbers.map((name) => `i64 ${name}`)].join(', ');
    const given = [...source.arguments(), ...numbers].join(', ');
    const width = this.#rows === undefined ? '' : `constexpr i64 width = ${this.#rows.width};`;
    const vector = `${entry}_by<${pack}>(${given})`;
    const fits = [`width % ${pack} == 0`, ...source.alignments(pack)].join(' && ');
    return `
template <int V> __device__ inline void ${entry}_by(${parameters}) {
  ${width}
  const i64 place = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool isRow = place < rows;
  const i64 row = isRow ? place : rows - 1;
  const i64 start = row * width;
${this.#body()}
}

extern "C" __global__ void __launch_bounds__(${this.#mostThreads()}) ${entry}(${parameters}) {
  ${width}
  ${pack === 1 ? `${vector};` : `if (${fits}) ${vector};\n  else ${entry}_by<1>(${given});`}
}
`;
  }

  #body(): string {
    const { nodes, inputs, outputs } = this.#region;
    const source = this.#source;
    const lines: string[] = [];
    for (const input of inputs) {
      if (source.extent(input) === 'row')
        lines.push(source.read(input, `${source.address(input)}[row]`));
      if (source.extent(input) === 'scalar')
        lines.push(source.read(input, `${source.address(input)}[0]`));
    }
    const full = outputs.filter((output) => !source.isPerRow(output));
    if (this.#rows?.kept !== undefined) lines.push(this.#keep());
    const last = Math.max(0, ...this.#levels.values());
    for (let level = 0; level <= last; level++) {
      for (const node of nodes) {
        if (isReduction(node) || this.#level(node.outputs[0]!) !== level) continue;
        if (source.isPerRow(node.outputs[0]!)) lines.push(source.compute(node));
      }
      const reductions = nodes.filter(
        (node) => isReduction(node) && this.#level(node.inputs[0]!) === level,
      );
      if (reductions.length > 0) lines.push(this.#reduce(reductions));
    }
    if (full.length > 0) lines.push(this.#write(full));
    for (const [i, output] of outputs.entries()) {
      if (!source.isPerRow(output)) continue;
      lines.push(`if (isRow && threadIdx.x == 0) y${i}_at[row] = ${source.stored(output)};`);
    }
    return lines.join('\n');
  }

  /** The walk along the row for reductions that do not depend on one another. */
  #reduce(reductions: readonly Node[]): string {
    const source = this.#source;
    const kind = ({ op }: Node): string => (op === 'reduceMax' ? 'Max' : 'Sum');
    const total = (node: Node): string => source.name(node.outputs[0]!);
    const operands = reductions.map(({ inputs }) => inputs[0]!);
    const joins = reductions.map((node, i) => {
      const terms = `${total(node)}, ${source.name(operands[i]!)}`;
      return `${total(node)} = ${kind(node)}::join(${terms});`;
    });
    return [
      ...reductions.map((node) => `float ${total(node)} = ${kind(node)}::start();`),
      this.#walk(operands, joins.join('\n')),
      ...reductions.map((node) => `${total(node)} = rowReduce<${kind(node)}>(${total(node)});`),
    ].join('\n');
  }

  /** The walk along the row that writes outputs with an element for each place. */
  #write(full: readonly Value[]): string {
    const index = (output: Value): number => this.#region.outputs.indexOf(output);
    const declared = full.map((y) => `Pack<${cTypes[y.dtype]}, V> y${index(y)};`);
    const stored = full.map((y) => `y${index(y)}.at[j] = ${this.#source.stored(y)};`);
    const written = full.map((y) => `store<V>(y${index(y)}_at + start + at, y${index(y)});`);
    return this.#walk(full, stored.join('\n'), {
      before: declared.join('\n'),
      after: `if (isRow) {\n${written.join('\n')}\n}`,
    });
  }

  /** One walk along the row. `each` runs for every element, when its wanted values are computed. */
  #walk(wanted: readonly Value[], each: string, { before = '', after = '' } = {}): string {
    const source = this.#source;
    const { inputs, nodes } = source.needed(wanted);
    const isKept = this.#rows?.kept !== undefined;
    const loop = isKept
      ? `for (int k = 0; k < K; k++) {\nconst i64 at = (k * (i64)blockDim.x + threadIdx.x) * V;\nif (at >= width) continue;`
      : `for (i64 at = (i64)threadIdx.x * V; at < width; at += (i64)blockDim.x * V) {`;
    const packs = inputs.filter((input) => source.extent(input) !== 'other' && !isKept);
    const element = (input: Value): string =>
      source.extent(input) === 'other'
        ? `${source.address(input)}[${this.#placeOf(input)}]`
        : `p_${source.name(input)}${isKept ? '[k]' : ''}.at[j]`;
    return [
      isKept ? '#pragma unroll' : '',
      loop,
      ...packs.map((input) => `const auto p_${source.name(input)} = ${this.#load(input)};`),
      before,
      '#pragma unroll',
      'for (int j = 0; j < V; j++) {',
      ...inputs.map((input) => source.read(input, element(input))),
      ...nodes.filter((node) => !isReduction(node)).map((node) => source.compute(node)),
      each,
      '}',
      after,
      '}',
    ].join('\n');
  }

  /** Loads of a thread's share of the row into registers. */
  #keep(): string {
    const source = this.#source;
    const kept = this.#region.inputs.filter((x) => ['full', 'column'].includes(source.extent(x)));
    return [
      // Without packs (V = 1) a thread keeps as many elements one by one.
      `constexpr int K = ${this.#rows!.kept!} * ${this.#pack} / V;`,
      ...kept.map((input) => `Pack<${cTypes[input.dtype]}, V> p_${source.name(input)}[K];`),
      '#pragma unroll',
      'for (int k = 0; k < K; k++) {',
      'const i64 at = (k * (i64)blockDim.x + threadIdx.x) * V;',
      'if (at >= width) continue;',
      ...kept.map((input) => `p_${source.name(input)}[k] = ${this.#load(input)};`),
      '}',
    ].join('\n');
  }

  #load(input: Value): string {
    const from = this.#source.extent(input) === 'full' ? 'start + at' : 'at';
    return `load<V>(${this.#source.address(input)} + ${from})`;
  }

  #others(): Value[] {
    return this.#region.inputs.filter((input) => this.#source.extent(input) === 'other');
  }

  /** The offset of an element of a value whose broadcast is of extent `other`. */
  #placeOf(input: Value): string {
    const terms = this.#axesOf(input).map((axis) => {
      const [outer, size, stride] = axisNames(this.#source.name(input), axis);
      return `(start + at + j) / ${outer} % ${size} * ${stride}`;
    });
    return terms.join(' + ');
  }

  /** Axes of the space along which a value is not repeated. */
  #axesOf({ shape }: Value): number[] {
    const lead = this.#region.space.length - shape.length;
    return shape.flatMap((dim, axis) => (dim === 1 ? [] : [axis + lead]));
  }

  #level({ id }: Value): number {
    return this.#levels.get(id) ?? 0;
  }
}

/** Parameters of one axis of the space: places within a step along it, its size, and the value's stride along it. */
function axisNames(name: string, axis: number): [outer: string, size: string, stride: string] {
  return [`${name}_outer${axis}`, `${name}_size${axis}`, `${name}_stride${axis}`];
}

/** The arguments for the parameters of `axisNames`, axis by axis. */
function strides(space: readonly number[], shape: readonly number[]): number[] {
  const lead = space.length - shape.length;
  const [outer, own] = [stridesOf(space), stridesOf(shape)];
  return shape.flatMap((size, axis) => (size === 1 ? [] : [outer[axis + lead]!, size, own[axis]!]));
}

function isReduction(node: Node): boolean {
  return patternOf(node) === 'row';
}
