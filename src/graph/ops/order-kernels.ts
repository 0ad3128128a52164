import { sizeOf } from '../../tensor/tensor.ts';
import { launchByItem, scalarsOf, type Kernel } from '../kernel.ts';

/** Threads of a block, a warp for each row. */
const THREADS = 256;
/** Most elements of a row. Each lane of a warp has `WIDEST / 32` of them. */
export const WIDEST = 1024;

/** The kernel of `topK` for rows of at most `WIDEST` elements: a warp takes the largest that is left, `count` times. */
export function topKKernel(width: number, count: number): Kernel {
  const entry = `top_k_${width}_${count}`;
  const own = Math.ceil(width / 32);
  return {
    entry,
    source: `
extern "C" __global__ void __launch_bounds__(${THREADS}) ${entry}(const float* x, float* values, i64* places, i64 rows) {
  const int lane = threadIdx.x % 32;
  const i64 row = (blockIdx.x * (i64)${THREADS} + threadIdx.x) / 32;
  if (row >= rows) return;
  float own[${own}];
  u32 isLeft = 0;
  #pragma unroll
  for (int i = 0; i < ${own}; i++) {
    const int place = i * 32 + lane;
    if (place >= ${width}) continue;
    own[i] = x[row * ${width} + place];
    isLeft |= 1u << i;
  }
  for (int rank = 0; rank < ${count}; rank++) {
    // Of equals the first is taken, and NaN last.
    float best = 0;
    int at = -1;
    #pragma unroll
    for (int i = 0; i < ${own}; i++)
      if ((isLeft >> i & 1) && (at < 0 || own[i] > best)) { best = own[i]; at = i * 32 + lane; }
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(~0u, best, step);
      const int otherAt = __shfl_xor_sync(~0u, at, step);
      if (otherAt >= 0 && (at < 0 || other > best || (!(best > other) && otherAt < at))) { best = other; at = otherAt; }
    }
    // Lanes may differ where there is NaN.
    best = __shfl_sync(~0u, best, 0);
    at = __shfl_sync(~0u, at, 0);
    if (at % 32 == lane) isLeft &= ~(1u << at / 32);
    if (lane == 0) { values[row * ${count} + rank] = best; places[row * ${count} + rank] = at; }
  }
}
`,
    launch: ([x]) => {
      const rows = sizeOf(x!.slice(0, -1));
      return launchByItem(rows * 32, THREADS, scalarsOf('i64', [rows]));
    },
  };
}
