/** CUDA C of the ops that bring the rows of tokens to groups, such as experts, and back. */
import type { DType } from '../../../tensor/dtype.ts';
import { cTypes } from '../../kernel-prelude.ts';
import { launchOf, scalarsOf, type Kernel } from '../../kernel.ts';
import { blockPerRowKernel } from '../indexing-kernels.ts';

/** Threads of a block that orders rows: those of a whole multiprocessor. */
const ORDER_THREADS = 1024;

/**
 * The kernel of `rowOrder`, a counting sort: the block of a group counts the rows of the groups before it, and then
 * numbers its own. It reads all rows, which no other block waits for, and needs no atomics: so the order is the same from
 * run to run.
 */
export function rowOrderKernel(count: number): Kernel {
  const entry = 'row_order';
  return {
    entry,
    source: `
// The sum over a block's threads of whole numbers; every thread gets it.
__device__ inline int ${entry}_sum(int x) {
  __shared__ int parts[32];
  x = __reduce_add_sync(~0u, x);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = __reduce_add_sync(~0u, parts[threadIdx.x % 32]);
  __syncthreads();
  return x;
}
extern "C" __global__ void __launch_bounds__(${ORDER_THREADS}) ${entry}(
    const i64* groups, i64* counts, i64* order, i64* inverse, int rows) {
  const int group = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int before = 0, own = 0;
  for (int row = threadIdx.x; row < rows; row += ${ORDER_THREADS}) {
    before += groups[row] < group;
    own += groups[row] == group;
  }
  int place = ${entry}_sum(before);
  own = ${entry}_sum(own);
  if (threadIdx.x == 0) counts[group] = own;
  __shared__ int found[32];
  for (int first = 0; first < rows; first += ${ORDER_THREADS}) {
    const int row = first + threadIdx.x;
    const u32 votes = __ballot_sync(~0u, row < rows && groups[row] == group);
    if (lane == 0) found[warp] = __popc(votes);
    __syncthreads();
    const int inWarp = found[lane];
    const int inWarps = __reduce_add_sync(~0u, lane < warp ? inWarp : 0);
    if (votes >> lane & 1) {
      const int at = place + inWarps + __popc(votes & ((1u << lane) - 1));
      order[at] = row;
      inverse[row] = at;
    }
    place += __reduce_add_sync(~0u, inWarp);
    __syncthreads();
  }
}
`,
    launch: ([groups]) => launchOf([count, 1, 1], ORDER_THREADS, scalarsOf('i32', [groups![0]!])),
  };
}

/** The kernel of `spreadRows`: copies to each place the row of its token. */
export function spreadRowsKernel(dtype: DType, perToken: number): Kernel {
  const body = `store<V>(y + row * width + at, load<V>(x + index[row] / ${perToken} * width + at));`;
  return blockPerRowKernel(`rows_spread_${dtype}_${perToken}`, dtype, 'i64', body);
}

/** The kernel of `joinRows`: adds up the rows of a token in f32. */
export function joinRowsKernel(dtype: DType, perToken: number): Kernel {
  const element = cTypes[dtype];
  const body = `
    float sums[V] = {};
    for (int i = 0; i < ${perToken}; i++) {
      const auto part = load<V>(x + inverse[row * ${perToken} + i] * width + at);
      for (int j = 0; j < V; j++) sums[j] += toFloat(part.at[j]);
    }
    Pack<${element}, V> total;
    for (int j = 0; j < V; j++) total.at[j] = fromFloat<${element}>(sums[j]);
    store<V>(y + row * width + at, total);`;
  return blockPerRowKernel(`rows_join_${dtype}_${perToken}`, dtype, 'i64', body);
}
