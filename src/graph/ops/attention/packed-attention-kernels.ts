/**
 * CUDA C of attention over packed tokens, and what it shares with the kernels of its gradient.
 *
 * It is FlashAttention-2 (arXiv:2307.08691): a block takes a tile of queries through tiles of keys with a running
 * softmax. In place of a causal mask, each row names runs of places that it sees. A block skips the tiles that none of
 * its rows sees.
 */
import type { FloatDType } from '../../../tensor/dtype.ts';
import { launchOf, scalarsOf, type Kernel, type Launch, type Shapes } from '../../kernel.ts';
import { tileShape, tileSource } from './tile-kernels.ts';

/** Sizes and dtype of an attention's kernels. */
export interface AttentionForm {
  readonly dtype: FloatDType;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * Number of parts into which the query heads of a group are cut for the gradients of keys and values.
 *
 * Each part has sums of its own. Without parts there are too few blocks, of unequal work, to fill a card.
 */
export function gradientParts({
  heads,
  kvHeads,
}: Pick<AttentionForm, 'heads' | 'kvHeads'>): number {
  return Math.min(heads / kvHeads, Math.ceil(8 / kvHeads));
}

/** The kernel of attention. It gives the attended values and the log-sum-exp of each row. */
export function attentionKernel(form: AttentionForm): Kernel {
  return kernelOf(form, 'attention', forwardSource, {
    blocks: form.heads,
    minBlocks: 3,
    tiles: 4,
    rowBytes: 0,
  });
}

/** Blocks, registers and shared memory of a kernel. */
export interface Geometry {
  /** Blocks for every tile of rows. */
  readonly blocks: number;
  /** Blocks that a multiprocessor must hold at once. It bounds a thread's registers. */
  readonly minBlocks: number;
  /** Tiles in shared memory. */
  readonly tiles: number;
  /** Further bytes in shared memory for each row of a tile. */
  readonly rowBytes: number;
}

/** Writes a kernel over tiles of rows; `KERNEL` in the source stands for its head. */
export function kernelOf(
  form: AttentionForm,
  name: string,
  source: string,
  { blocks, minBlocks, tiles, rowBytes }: Geometry,
): Kernel {
  const { dtype, headDim } = form;
  const entry = entryOf(form, name);
  const shape = tileShape(dtype, headDim);
  const sharedBytes = tiles * shape.bytes + shape.scratchBytes + rowBytes * shape.rows;
  const launch = ([qkv]: Shapes): Launch => {
    const tokens = qkv![0]!;
    const grid = [blocks, Math.ceil(tokens / shape.rows), 1] as const;
    return launchOf(grid, shape.threads, scalarsOf('i32', [tokens]), sharedBytes);
  };
  const head = `extern "C" __global__ void __launch_bounds__(THREADS, ${minBlocks}) ${entry}`;
  return {
    entry,
    source: `namespace ${entry}_source {
${constants(form)}
${tileSource(dtype, headDim)}
${visibility}
${source.replace('KERNEL', head)}
}`,
    launch,
  };
}

/** The name of a kernel of a form. */
export function entryOf({ dtype, heads, kvHeads, headDim }: AttentionForm, name: string): string {
  return `${name}_${dtype}_${heads}_${kvHeads}_${headDim}`;
}

/** The sizes of a form, as constants in C. */
export function constants(form: AttentionForm): string {
  const { heads, kvHeads, headDim } = form;
  const scale = 1 / Math.sqrt(headDim);
  return `
constexpr int HEADS = ${heads}, KV_HEADS = ${kvHeads}, GROUP = HEADS / KV_HEADS, PARTS = ${gradientParts(form)};
// Width of a row of joined queries, keys and values, and of a row of attended values.
constexpr int JOINED = (HEADS + 2 * KV_HEADS) * ${headDim}, ATTENDED = HEADS * ${headDim};
constexpr float SCALE = ${scale}f, SCALE_LOG2 = ${scale * Math.LOG2E}f, LOG2E = ${Math.LOG2E}f, LN2 = ${Math.LN2}f;`;
}

const visibility = `
// Runs of places that a row sees or is seen by: [x, y), and [z, w) where there are four numbers.
__device__ bool has(int2 run, int place) { return run.x <= place && place < run.y; }
__device__ bool has(int4 runs, int place) {
  return has(make_int2(runs.x, runs.y), place) || has(make_int2(runs.z, runs.w), place);
}
// True if any, or every one, of the ROWS places from first on is in the runs.
__device__ bool hasAny(int2 run, int first) {
  return run.x < run.y && run.x < first + ROWS && first < run.y;
}
__device__ bool hasAny(int4 runs, int first) {
  return hasAny(make_int2(runs.x, runs.y), first) || hasAny(make_int2(runs.z, runs.w), first);
}
__device__ bool hasAll(int2 run, int first) { return run.x <= first && first + ROWS <= run.y; }
__device__ bool hasAll(int4 runs, int first) {
  return hasAll(make_int2(runs.x, runs.y), first) || hasAll(make_int2(runs.z, runs.w), first);
}
__device__ int firstOf(int2 run) { return run.x < run.y ? run.x : 0x7fffffff; }
__device__ int firstOf(int4 runs) {
  return min(firstOf(make_int2(runs.x, runs.y)), firstOf(make_int2(runs.z, runs.w)));
}
__device__ int endOf(int2 run) { return run.x < run.y ? run.y : 0; }
__device__ int endOf(int4 runs) {
  return max(endOf(make_int2(runs.x, runs.y)), endOf(make_int2(runs.z, runs.w)));
}

// A walk through the tiles in which some row of a block has places. All threads of the block walk together.
template <class Runs> struct Walk {
  Runs low, high; // of this lane's two rows
  int begin, end, first;

  // The walk goes from the first to the last place that any row has.
  __device__ Walk(Runs low, Runs high) : low(low), high(high) {
    __shared__ int bounds[2];
    if (threadIdx.x == 0) { bounds[0] = 0x7fffffff; bounds[1] = 0; }
    __syncthreads();
    atomicMin(&bounds[0], min(firstOf(low), firstOf(high)));
    atomicMax(&bounds[1], max(endOf(low), endOf(high)));
    __syncthreads();
    end = bounds[1];
    begin = min(bounds[0], end) / ROWS * ROWS;
    start();
  }
  __device__ void start() { first = begin - ROWS; next(); }
  // Moves to the next tile, which begins at place first. It is a barrier for the block.
  __device__ void next() {
    do first += ROWS; while (!__syncthreads_or(isDone() || hasAny(low, first) || hasAny(high, first)));
  }
  __device__ bool isDone() const { return first >= end; }
  // True if all of this warp's rows have all places of a tile.
  __device__ bool isPlain(int tile) const { return __all_sync(~0u, hasAll(low, tile) && hasAll(high, tile)); }
  __device__ bool allows(int e, int place) const { return has(e < 2 ? low : high, place); }
};

__device__ float exp2of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The packed row at each of this lane's two places of a tile; -1 past the end.
__device__ int rowAt(const int* order, int first, int e, int tokens) {
  const int place = first + rowOf(e);
  return place < tokens ? order[place] : -1;
}

// Swizzled tiles begin at multiples of 1024 bytes.
extern __shared__ __align__(1024) uint4 shared[];
`;

const forwardSource = `
KERNEL(const Element* qkv, const int* order, const int4* ranges, const int2*, Element* attended, float* logSumExp, int tokens) {
  Element* queries = (Element*)shared;
  Element* values = queries + TILE;
  Element* keys = values + TILE; // twice a tile of keys: one is filled while the other is read
  float* scratch = (float*)(keys + 2 * TILE);
  const int head = blockIdx.x, tile = (gridDim.y - 1 - blockIdx.y) * ROWS;
  const Element* keysOf = qkv + (HEADS + head / GROUP) * WIDTH;
  const Element* valuesOf = keysOf + KV_HEADS * WIDTH;

  load<JOINED>(queries, qkv + head * WIDTH, rowsFrom(order, tile, tokens));
  const int row[2] = {rowAt(order, tile, 0, tokens), rowAt(order, tile, 2, tokens)};
  const int4 nothing = make_int4(0, 0, 0, 0);
  Walk<int4> walk(row[0] < 0 ? nothing : ranges[row[0]], row[1] < 0 ? nothing : ranges[row[1]]);
  // The packed rows of the tile at hand and of the next: read a tile early, since the copies wait for them.
  int first = walk.first;
  Rows rows = rowsFrom(order, first, tokens);
  load<JOINED>(keys, keysOf, rows);
  endBatch();
  walk.next();
  Rows nextRows = rowsFrom(order, walk.first, tokens);

  // For each of the lane's rows: the largest score so far, and the sum of exp(score - largest).
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  Sums<COLUMNS> mixed;
  clear(mixed);
  for (int stage = 0; first < walk.end; stage ^= 1) {
    const int next = walk.first;
    awaitBatches<0>();
    walk.next();
    load<JOINED>(values, valuesOf, rows);
    endBatch();
    load<JOINED>(keys + (stage ^ 1) * TILE, keysOf, nextRows, next < walk.end);
    endBatch();
    Sums<ROWS> weights;
    multiply(weights, queries, keys + stage * TILE);
    rows = nextRows;
    nextRows = rowsFrom(order, walk.first, tokens);
    awaitProducts<0>();
    if (!walk.isPlain(first)) {
      #pragma unroll
      for (int n = 0; n < ROWS / 8; n++)
        for (int e = 0; e < 4; e++)
          if (!walk.allows(e, first + columnOf(n, e))) weights.at[n][e] = -INFINITY;
    }
    #pragma unroll
    for (int half = 0; half < 2; half++) {
      float top = largest[half], sum = 0;
      for (int n = 0; n < ROWS / 8; n++)
        for (int e = 2 * half; e < 2 * half + 2; e++) top = fmaxf(top, weights.at[n][e]);
      top = rowMax(top);
      const float shift = top == -INFINITY ? 0 : top * SCALE_LOG2;
      const float decay = exp2of(largest[half] * SCALE_LOG2 - shift);
      for (int n = 0; n < ROWS / 8; n++)
        for (int e = 2 * half; e < 2 * half + 2; e++)
          sum += weights.at[n][e] = exp2of(weights.at[n][e] * SCALE_LOG2 - shift);
      for (int n = 0; n < COLUMNS / 8; n++)
        for (int e = 2 * half; e < 2 * half + 2; e++) mixed.at[n][e] *= decay;
      largest[half] = top;
      total[half] = total[half] * decay + sum;
    }
    awaitBatches<1>();
    __syncthreads();
    accumulate(mixed, weights, values, scratch);
    awaitProducts<0>();
    first = next;
  }

  #pragma unroll
  for (int half = 0; half < 2; half++) {
    const float sum = rowSum(total[half]), factor = sum > 0 ? 1 / sum : 0;
    if (row[half] < 0) continue;
    if (laneOf() % 4 == 0) logSumExp[(i64)head * tokens + row[half]] = largest[half] * SCALE + logf(sum);
    Element* to = attended + (i64)row[half] * ATTENDED + head * WIDTH;
    storeRow(to, mixed, half, factor);
  }
}
`;
