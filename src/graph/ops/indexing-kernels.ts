import { sizeOf } from '../../tensor/tensor.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { InPlace, Kernel, Launch, Scalar, Shapes } from '../kernel.ts';
import { cTypes } from '../kernel-prelude.ts';

const THREADS = 256;
/** Elements that a thread takes at once, if the rows are aligned to as many. */
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
  const i64 at = (blockIdx.y * (i64)${THREADS} + threadIdx.x) * V;
  float sums[V] = {};
  for (i64 start = first; start < count; start += ${THREADS}) {
    const i64 i = start + threadIdx.x;
    const u32 votes = __ballot_sync(0xffffffffu, i < count && index[i] == named);
    if (threadIdx.x % 32 == 0) equal[threadIdx.x / 32] = votes;
    __syncthreads();
    for (int warp = 0; warp < ${THREADS / 32}; warp++) {
      for (u32 left = equal[warp]; left != 0; left &= left - 1) {
        if (at >= width) continue;
        const i64 row = start + warp * 32 + __ffs(left) - 1;
        const auto update = load<V>(updates + row * width + at);
        for (int j = 0; j < V; j++) sums[j] += toFloat(update.at[j]);
      }
    }
    __syncthreads();
  }
  const i64 row = named < 0 ? named + rows : named;
  if (at >= width || row < 0 || row >= rows) return;
  auto total = load<V>(y + row * width + at);
  for (int j = 0; j < V; j++) total.at[j] = fromFloat<${element}>(toFloat(total.at[j]) + sums[j]);
  store<V>(y + row * width + at, total);
}

extern "C" __global__ void __launch_bounds__(${THREADS}) ${add}(${parameters}) {
  const bool isPacked = width % ${PACK} == 0 && isAligned<${PACK}>(updates) && isAligned<${PACK}>(y);
  if (isPacked) ${add}_by<${PACK}>(data, index, updates, y, rows, count, width);
  else ${add}_by<1>(data, index, updates, y, rows, count, width);
}
`,
      // Rows whose width is no multiple of a pack need more blocks. Addresses decide in the kernel.
      launch: (inputs) =>
        launch(inputs, ([, count, width]) => [
          count,
          Math.ceil(width / (width % PACK === 0 ? THREADS * PACK : THREADS)),
          1,
        ]),
    },
  ];
}

type Sizes = readonly [rows: number, count: number, width: number];

function launch([data, index]: Shapes, gridOf: (sizes: Sizes) => Launch['grid']): Launch {
  const sizes: Sizes = [data![0]!, index![0]!, sizeOf(data!.slice(1))];
  return {
    grid: gridOf(sizes),
    block: [THREADS, 1, 1],
    sharedBytes: 0,
    scalars: sizes.map((value): Scalar => ({ type: 'i64', value })),
  };
}
