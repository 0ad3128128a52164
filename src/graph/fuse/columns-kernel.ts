import { sizeOf } from '../../tensor/tensor.ts';
import type { Node } from '../ir.ts';
import { cTypes } from '../kernel-prelude.ts';
import { scalarsOf, type Kernel, type Launch, type Shapes } from '../kernel.ts';
import { ElementSource } from './element-source.ts';
import { named } from './naming.ts';
import type { Region } from './region.ts';
import { rowThreads, sizesIn } from './space.ts';

const BLOCK_THREADS = 256;
/** Most threads along a row: they read a line of memory at least. */
const ROW_THREADS = 32;
/** Blocks that fill a card a few times over. */
const ENOUGH_BLOCKS = 1024;
/** Fewest rows that a thread adds up, unless there are fewer in all. */
const LEAST_TURNS = 4;
/** Tiles of columns that are assumed where the width is symbolic. */
const USUAL_TILES = 8;

/** The kernels of a sum over rows: the first adds up runs of rows, the second adds those sums. */
export interface ColumnSums {
  readonly kernels: readonly [Kernel, Kernel];
  /** Most sums of each column. They are f32 `[parts, columns]`, in an output after the region's own. */
  readonly parts: number;
}

/**
 * Writes the kernels of a region whose last node is a sum over its rows, the leading `rowAxes` axes of its space.
 *
 * The order of additions depends on sizes alone, so sums are the same from run to run.
 */
export function columnSums(region: Region, rowAxes: number): ColumnSums {
  const source = new ElementSource(region, rowAxes);
  const columns = region.space.slice(rowAxes);
  const isKnown = columns.every((dim) => typeof dim === 'number');
  const width = isKnown ? sizeOf(columns) : undefined;
  const pack = source.packSize(width ?? 'width');
  const tiles = width === undefined ? USUAL_TILES : Math.ceil(width / (pack * ROW_THREADS));
  const parts = Math.max(1, 2 ** Math.ceil(Math.log2(ENOUGH_BLOCKS / Math.max(1, tiles))));
  const adding = named(region, (entry) => addingText(entry, source, pack));
  const joining = named(region, (entry) => joiningText(entry, source));
  const launch = (inputs: Shapes, isJoining: boolean): Launch => {
    const { rows, width } = sizesIn(region, inputs, rowAxes);
    const across = rowThreads(width, pack, ROW_THREADS);
    const runs = Math.ceil(rows / ((BLOCK_THREADS / across) * LEAST_TURNS));
    const used = Math.max(1, Math.min(parts, runs));
    const x = isJoining ? rowThreads(width, 1, ROW_THREADS) : across;
    return {
      grid: [Math.ceil(width / (isJoining ? x : x * pack)), isJoining ? 1 : used, 1],
      block: [x, BLOCK_THREADS / x, 1],
      sharedBytes: 0,
      scalars: [
        ...source.sizeScalars(inputs),
        ...scalarsOf('i64', [isJoining ? used : rows, width]),
      ],
    };
  };
  return {
    kernels: [
      { ...adding, launch: (inputs) => launch(inputs, false) },
      { ...joining, launch: (inputs) => launch(inputs, true) },
    ],
    parts,
  };
}

function signature(source: ElementSource): string {
  const numbers = [...source.sizes(), 'rows', 'width'];
  return [...source.parameters(), 'float* parts_at', ...numbers.map((name) => `i64 ${name}`)].join(
    ', ',
  );
}

/** The source that adds up a tile of columns in one run of rows. */
function addingText(entry: string, source: ElementSource, pack: number): string {
  const { inputs, nodes } = source.region;
  const sum = nodes.at(-1)!;
  const needed = source.needed([sum.inputs[0]!]);
  const of = (extent: string) => inputs.filter((input) => source.extent(input) === extent);
  const isElsewhere = (node: Node): boolean => node === sum || !source.isPerRow(node.outputs[0]!);
  const given = [...source.arguments(), 'parts_at', ...source.sizes(), 'rows', 'width'].join(', ');
  const load = (x: (typeof inputs)[number]): string => {
    const from = source.extent(x) === 'full' ? 'row * width + at' : 'at';
    return `const auto p_${source.name(x)} = load<V>(${source.address(x)} + ${from});`;
  };
  return `
template <int V> __device__ inline void ${entry}_by(${signature(source)}) {
${of('scalar')
  .map((x) => source.read(x, `${source.address(x)}[0]`))
  .join('\n')}
  const i64 share = (rows + gridDim.y - 1) / gridDim.y;
  const i64 end = min((i64)(blockIdx.y + 1) * share, rows);
  for (int turn = 0; turn < ${pack} / V; turn++) {
    const i64 at = (((i64)blockIdx.x * (${pack} / V) + turn) * blockDim.x + threadIdx.x) * V;
    float sums[V] = {};
    if (at < width) for (i64 row = blockIdx.y * share + threadIdx.y; row < end; row += blockDim.y) {
${of('row')
  .map((x) => source.read(x, `${source.address(x)}[row]`))
  .join('\n')}
${nodes
  .filter((node) => !isElsewhere(node))
  .map((node) => source.compute(node))
  .join('\n')}
${needed.inputs.map(load).join('\n')}
#pragma unroll
      for (int j = 0; j < V; j++) {
${needed.inputs.map((x) => source.read(x, `p_${source.name(x)}.at[j]`)).join('\n')}
${needed.nodes.map((node) => source.compute(node)).join('\n')}
        sums[j] += ${source.name(sum.inputs[0]!)};
      }
    }
    columnReduce(sums);
    if (threadIdx.y == 0 && at < width) {
      for (int j = 0; j < V; j++) parts_at[blockIdx.y * width + at + j] = sums[j];
    }
  }
}

extern "C" __global__ void ${entry}(${signature(source)}) {
  const bool isPacked = ${[`width % ${pack} == 0`, ...source.alignments(pack)].join(' && ')};
  if (isPacked) ${entry}_by<${pack}>(${given});
  else ${entry}_by<1>(${given});
}
`;
}

/** The source that adds up the sums of all runs of rows. */
function joiningText(entry: string, source: ElementSource): string {
  const [y] = source.region.outputs;
  return `
extern "C" __global__ void ${entry}(${signature(source)}) {
  const i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  float sums[1] = {};
  if (at < width) for (i64 row = threadIdx.y; row < rows; row += blockDim.y) {
    sums[0] += parts_at[row * width + at];
  }
  columnReduce(sums);
  if (threadIdx.y == 0 && at < width) y0_at[at] = fromFloat<${cTypes[y!.dtype]}>(sums[0]);
}
`;
}
