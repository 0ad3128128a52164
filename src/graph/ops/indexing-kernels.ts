/**
 * CUDA C of the ops that read or write by index.
 *
 * Equal indices are added by one thread in their order, without atomics, so sums are the same from run to run.
 */
import { sizeOf } from '../../tensor/tensor.ts';
import type { DType } from '../../tensor/dtype.ts';
import { launchByItem, launchOf, scalarsOf } from '../kernel.ts';
import type { InPlace, Kernel, Launch } from '../kernel.ts';
import { cTypes } from '../kernel-prelude.ts';

const THREADS = 256;
/** Elements that a thread takes at once, where rows are aligned to that many. */
const PACK = 8;

/** The steps of `addRows`: input 2 is added to the rows of input 0 at the index, input 1. */
export function addRowsSteps(dtype: DType, indexDType: DType): readonly [InPlace, Kernel] {
  const [element, index] = [cTypes[dtype], cTypes[indexDType]];
  const parameters = `const ${element}* data, const ${index}* index, const ${element}* updates, ${element}* y, i64 rows, i64 count, i64 width`;
  const add = `rows_add_${dtype}_${indexDType}`;
  return [
    { input: 0, output: 0 },
    {
      // The block of the first of equal indices adds all their rows in order, so that sums are the same from run to run.
      entry: add,
      source: `
template <int V> __device__ inline void ${add}_by(${parameters}) {
  __shared__ u32 equal[${THREADS / 32}];
  const i64 first = blockIdx.x;
  const i64 named = index[first];
  bool isRepeated = false;
  for (i64 i = threadIdx.x; i < first; i += ${THREADS}) isRepeated |= index[i] == named;
  if (__syncthreads_or(isRepeated)) return;
  const i64 row = named < 0 ? named + rows : named;
  for (i64 column = blockIdx.y * (i64)${THREADS} * V; column < width; column += gridDim.y * (i64)${THREADS} * V) {
    const i64 at = column + threadIdx.x * V;
    float sums[V] = {};
    for (i64 start = first; start < count; start += ${THREADS}) {
      const i64 i = start + threadIdx.x;
      const u32 votes = __ballot_sync(0xffffffffu, i < count && index[i] == named);
      if (threadIdx.x % 32 == 0) equal[threadIdx.x / 32] = votes;
      __syncthreads();
      for (int warp = 0; warp < ${THREADS / 32}; warp++) {
        for (u32 left = equal[warp]; left != 0; left &= left - 1) {
          if (at >= width) continue;
          const i64 from = start + warp * 32 + __ffs(left) - 1;
          const auto update = load<V>(updates + from * width + at);
          for (int j = 0; j < V; j++) sums[j] += toFloat(update.at[j]);
        }
      }
      __syncthreads();
    }
    if (at >= width || row < 0 || row >= rows) continue;
    auto total = load<V>(y + row * width + at);
    for (int j = 0; j < V; j++) total.at[j] = fromFloat<${element}>(toFloat(total.at[j]) + sums[j]);
    store<V>(y + row * width + at, total);
  }
}

extern "C" __global__ void __launch_bounds__(${THREADS}) ${add}(${parameters}) {
  const bool isPacked = width % ${PACK} == 0 && isAligned<${PACK}>(updates) && isAligned<${PACK}>(y);
  if (isPacked) ${add}_by<${PACK}>(data, index, updates, y, rows, count, width);
  else ${add}_by<1>(data, index, updates, y, rows, count, width);
}
`,
      launch: ([data, index]) => {
        const [count, width] = [index![0]!, sizeOf(data!.slice(1))];
        return byRow(count, width, [data![0]!, count, width]);
      },
    },
  ];
}

/** The kernel of `permuteRows`: copies the row that the index names to each place. */
export function permuteRowsKernel(dtype: DType, indexDType: DType, isZeroFilled: boolean): Kernel {
  const filled = isZeroFilled ? `named < 0 ? Pack<${cTypes[dtype]}, V>{} : ` : '';
  const entry = `rows_permute${isZeroFilled ? '_filled' : ''}_${dtype}_${indexDType}`;
  const body = `
    const i64 named = index[row];
    store<V>(y + row * width + at, ${filled}load<V>(x + (named < 0 ? named + rows : named) * width + at));`;
  return blockPerRowKernel(entry, dtype, indexDType, body);
}

/**
 * A kernel whose blocks make a row of the output each, a pack of it in each thread.
 *
 * @param body C that makes elements `at` to `at + V` of a `row` of y, whose width is `width`; x has `rows` rows
 */
export function blockPerRowKernel(
  entry: string,
  dtype: DType,
  indexDType: DType,
  body: string,
): Kernel {
  const [element, index] = [cTypes[dtype], cTypes[indexDType]];
  const parameters = `const ${element}* x, const ${index}* index, const ${index}* inverse, ${element}* y, i64 rows, i64 width`;
  return {
    entry,
    source: `
template <int V> __device__ inline void ${entry}_by(${parameters}) {
  const i64 row = blockIdx.x;
  for (i64 at = (blockIdx.y * (i64)${THREADS} + threadIdx.x) * V; at < width; at += gridDim.y * (i64)${THREADS} * V) {
    ${body}
  }
}
extern "C" __global__ void __launch_bounds__(${THREADS}) ${entry}(${parameters}) {
  const bool isPacked = width % ${PACK} == 0 && isAligned<${PACK}>(x) && isAligned<${PACK}>(y);
  if (isPacked) ${entry}_by<${PACK}>(x, index, inverse, y, rows, width);
  else ${entry}_by<1>(x, index, inverse, y, rows, width);
}
`,
    launch: ([x], [y]) => {
      const width = sizeOf(y!.slice(1));
      return byRow(y![0]!, width, [x![0]!, width]);
    },
  };
}

/** The kernel of `gatherElements` along the last axis. */
export function gatherElementsKernel(dtype: DType, indexDType: DType): Kernel {
  const [element, index] = [cTypes[dtype], cTypes[indexDType]];
  const entry = `elements_gather_${dtype}_${indexDType}`;
  return {
    entry,
    source: `
extern "C" __global__ void __launch_bounds__(${THREADS}) ${entry}(
    const ${element}* x, const ${index}* index, ${element}* y, i64 size, i64 width, i64 taken) {
  const i64 at = blockIdx.x * (i64)${THREADS} + threadIdx.x;
  if (at >= size) return;
  const i64 named = index[at];
  y[at] = x[at / taken * width + (named < 0 ? named + width : named)];
}
`,
    launch: ([x, named]) => {
      const size = sizeOf(named!);
      const scalars = scalarsOf('i64', [size, x!.at(-1)!, named!.at(-1)!]);
      return launchByItem(size, THREADS, scalars);
    },
  };
}

/** The steps of `scatterElements` along the last axis: a thread adds the updates of a row, of which there are few. */
export function scatterElementsSteps(dtype: DType, indexDType: DType): readonly [InPlace, Kernel] {
  const [element, index] = [cTypes[dtype], cTypes[indexDType]];
  const entry = `elements_scatter_${dtype}_${indexDType}`;
  return [
    { input: 0, output: 0 },
    {
      entry,
      source: `
extern "C" __global__ void __launch_bounds__(${THREADS}) ${entry}(
    const ${element}* data, const ${index}* index, const ${element}* updates, ${element}* y, i64 rows, i64 width, i64 count) {
  const i64 row = blockIdx.x * (i64)${THREADS} + threadIdx.x;
  if (row >= rows) return;
  for (i64 i = row * count; i < (row + 1) * count; i++) {
    const i64 named = index[i];
    ${element}* const to = y + row * width + (named < 0 ? named + width : named);
    *to = fromFloat<${element}>(toFloat(*to) + toFloat(updates[i]));
  }
}
`,
      launch: ([data, named]) => {
        const rows = sizeOf(data!.slice(0, -1));
        const scalars = scalarsOf('i64', [rows, data!.at(-1)!, named!.at(-1)!]);
        return launchByItem(rows, THREADS, scalars);
      },
    },
  ];
}

/**
 * A launch of blocks for each row. One whose width is no multiple of a pack gets more blocks. Addresses decide in the
 * kernel, whose blocks go on where they are too few.
 */
function byRow(rows: number, width: number, scalars: readonly number[]): Launch {
  const perBlock = width % PACK === 0 ? THREADS * PACK : THREADS;
  return launchOf([rows, Math.ceil(width / perBlock), 1], THREADS, scalarsOf('i64', scalars));
}
