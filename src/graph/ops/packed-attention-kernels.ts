import type { FloatDType } from '../../tensor/dtype.ts';
import type { Kernel, Launch, Shapes } from '../kernel.ts';
import { cTypes } from '../kernel-prelude.ts';
import { tileShape, tileSource } from './tile-kernels.ts';

/** What one attention's kernels are made for. */
export interface AttentionForm {
  readonly dtype: FloatDType;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * Parts of a key-value group whose queries' shares of the gradients of keys and values are summed apart: without them
 * there are too few blocks of unequal work to fill a card.
 */
export function gradientParts({
  heads,
  kvHeads,
}: Pick<AttentionForm, 'heads' | 'kvHeads'>): number {
  return Math.min(heads / kvHeads, Math.ceil(8 / kvHeads));
}

/** The kernel of attention: a tile of queries against tile after tile of keys, with a running softmax. */
export function attentionKernel(form: AttentionForm): Kernel {
  return kernelOf(form, 'attention', forwardSource, {
    blocks: form.heads,
    minBlocks: 3,
    tiles: 3,
    rowBytes: 0,
  });
}

/** The kernels of its gradient: those of the queries, then those of keys and values. */
export function attentionGradientKernels(form: AttentionForm): readonly Kernel[] {
  const parts = gradientParts(form);
  const ofQueries = kernelOf(form, 'attention_queries', queryGradientSource, {
    blocks: form.heads,
    minBlocks: 2,
    tiles: 6,
    rowBytes: 0,
  });
  const ofKeys = kernelOf(form, 'attention_keys', keyGradientSource, {
    blocks: form.kvHeads * parts,
    minBlocks: 2,
    tiles: 6,
    rowBytes: 16,
  });
  return parts === 1 ? [ofQueries, ofKeys] : [ofQueries, ofKeys, sumOfParts(form)];
}

interface Geometry {
  /** Blocks for every tile of rows. */
  readonly blocks: number;
  /** Blocks that a multiprocessor is to hold at once, which bounds a thread's registers. */
  readonly minBlocks: number;
  /** Tiles in shared memory. */
  readonly tiles: number;
  /** Bytes in shared memory for each row of a tile, besides. */
  readonly rowBytes: number;
}

function kernelOf(
  form: AttentionForm,
  name: string,
  source: string,
  { blocks, minBlocks, tiles, rowBytes }: Geometry,
): Kernel {
  const { dtype, headDim } = form;
  const entry = entryOf(form, name);
  const shape = tileShape(dtype, headDim);
  const launch = ([qkv]: Shapes): Launch => ({
    grid: [blocks, Math.ceil(qkv![0]! / shape.rows), 1],
    block: [shape.threads, 1, 1],
    sharedBytes: tiles * shape.bytes + shape.scratchBytes + rowBytes * shape.rows,
    scalars: [{ type: 'i32', value: qkv![0]! }],
  });
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

function entryOf({ dtype, heads, kvHeads, headDim }: AttentionForm, name: string): string {
  return `${name}_${dtype}_${heads}_${kvHeads}_${headDim}`;
}

function constants(form: AttentionForm): string {
  const { heads, kvHeads, headDim } = form;
  const scale = 1 / Math.sqrt(headDim);
  return `
constexpr int HEADS = ${heads}, KV_HEADS = ${kvHeads}, GROUP = HEADS / KV_HEADS, PARTS = ${gradientParts(form)};
// Of a row of joined queries, keys and values, and of one of attended values.
constexpr int JOINED = (HEADS + 2 * KV_HEADS) * ${headDim}, ATTENDED = HEADS * ${headDim};
constexpr float SCALE = ${scale}f, SCALE_LOG2 = ${scale * Math.LOG2E}f, LOG2E = ${Math.LOG2E}f, LN2 = ${Math.LN2}f;`;
}

const visibility = `
// Places that one sees or is seen from: [x, y) and, in four numbers, [z, w).
__device__ bool has(int2 run, int place) { return run.x <= place && place < run.y; }
__device__ bool has(int4 runs, int place) {
  return has(make_int2(runs.x, runs.y), place) || has(make_int2(runs.z, runs.w), place);
}
// Whether any, or every one, of the ROWS places from first on is among them.
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

// The tiles that some row of a block has places in, one after the other; every thread of the block walks along.
template <class Runs> struct Walk {
  Runs low, high; // of this lane's two rows
  int begin, end, first;

  // Of tiles between the first place that any row has and the last.
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
  // Goes on to the next such tile, which begins at place first. A barrier for the block.
  __device__ void next() {
    do first += ROWS; while (!__syncthreads_or(isDone() || hasAny(low, first) || hasAny(high, first)));
  }
  __device__ bool isDone() const { return first >= end; }
  // Whether all of this warp's rows have all of a tile.
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

extern __shared__ uint4 shared[];
`;

const forwardSource = `
KERNEL(const Element* qkv, const int* order, const int4* ranges, const int2*, Element* attended, float* logSumExp, int tokens) {
  Element* queries = (Element*)shared;
  Element* keys = queries + TILE;
  Element* values = keys + TILE;
  float* scratch = (float*)(values + TILE);
  const int head = blockIdx.x, tile = (gridDim.y - 1 - blockIdx.y) * ROWS;
  const Element* keysOf = qkv + (HEADS + head / GROUP) * WIDTH;
  const Element* valuesOf = keysOf + KV_HEADS * WIDTH;

  load<JOINED>(queries, qkv + head * WIDTH, order, tile, tokens);
  const int row[2] = {rowAt(order, tile, 0, tokens), rowAt(order, tile, 2, tokens)};
  const int4 nothing = make_int4(0, 0, 0, 0);
  Walk<int4> walk(row[0] < 0 ? nothing : ranges[row[0]], row[1] < 0 ? nothing : ranges[row[1]]);
  load<JOINED>(keys, keysOf, order, walk.first, tokens);
  endBatch();

  // Of each of the lane's rows: the largest score so far, and the sum of exp(score - largest).
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  Sums<COLUMNS> mixed;
  clear(mixed);
  while (!walk.isDone()) {
    const int first = walk.first;
    awaitBatches<0>();
    __syncthreads();
    load<JOINED>(values, valuesOf, order, first, tokens);
    endBatch();
    Sums<ROWS> weights;
    multiply(weights, queries, keys);
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
    awaitBatches<0>();
    walk.next();
    if (!walk.isDone()) load<JOINED>(keys, keysOf, order, walk.first, tokens);
    endBatch();
    accumulate(mixed, weights, values, scratch);
    awaitProducts<0>();
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

const queryGradientSource = `
// With P the weights, O the attended values, dP = dO Vᵀ and delta = rowsum(dO O): dS = P (dP - delta), dQ = scale dS K.
KERNEL(const Element* qkv, const int* order, const int4* ranges, const int2*, const Element* attended, const float* logSumExp,
    const Element* gradient, Element* joinedGradient, float* delta, float*, int tokens) {
  Element* queries = (Element*)shared;
  Element* gradients = queries + TILE;
  Element* pairs = gradients + TILE; // twice a tile of keys and one of values: one pair is filled while the other is read
  float* scratch = (float*)(pairs + 4 * TILE);
  const int head = blockIdx.x, tile = (gridDim.y - 1 - blockIdx.y) * ROWS;
  const Element* keysOf = qkv + (HEADS + head / GROUP) * WIDTH;
  const Element* valuesOf = keysOf + KV_HEADS * WIDTH;

  load<JOINED>(queries, qkv + head * WIDTH, order, tile, tokens);
  load<ATTENDED>(gradients, gradient + head * WIDTH, order, tile, tokens);
  load<ATTENDED>(pairs, attended + head * WIDTH, order, tile, tokens);
  endBatch();
  const int row[2] = {rowAt(order, tile, 0, tokens), rowAt(order, tile, 2, tokens)};
  const int4 nothing = make_int4(0, 0, 0, 0);
  awaitBatches<0>();
  Walk<int4> walk(row[0] < 0 ? nothing : ranges[row[0]], row[1] < 0 ? nothing : ranges[row[1]]);
  float shift[2], dot[2];
  #pragma unroll
  for (int half = 0; half < 2; half++) {
    float sum = 0;
    for (int c = laneOf() % 4; c < WIDTH; c += 4) {
      const int at = placeOf(rowOf(2 * half), c);
      sum += toFloat(gradients[at]) * toFloat(pairs[at]);
    }
    dot[half] = rowSum(sum);
    shift[half] = 0;
    if (row[half] < 0) continue;
    const i64 place = (i64)head * tokens + row[half];
    shift[half] = logSumExp[place] * LOG2E;
    if (laneOf() % 4 == 0) delta[place] = dot[half];
  }
  __syncthreads();

  const auto fill = [&](int stage) {
    if (!walk.isDone()) {
      load<JOINED>(pairs + stage * 2 * TILE, keysOf, order, walk.first, tokens);
      load<JOINED>(pairs + stage * 2 * TILE + TILE, valuesOf, order, walk.first, tokens);
    }
    endBatch();
  };
  Sums<COLUMNS> sums;
  clear(sums);
  fill(0);
  for (int stage = 0; !walk.isDone(); stage ^= 1) {
    const int first = walk.first;
    walk.next();
    fill(stage ^ 1);
    awaitBatches<1>();
    __syncthreads();
    const Element* keys = pairs + stage * 2 * TILE;
    const bool isPlain = walk.isPlain(first);
    Sums<ROWS> weights, scores;
    multiply(weights, queries, keys);
    multiply(scores, gradients, keys + TILE);
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++) {
        const bool isSeen = isPlain || walk.allows(e, first + columnOf(n, e));
        weights.at[n][e] = isSeen ? exp2of(weights.at[n][e] * SCALE_LOG2 - shift[e / 2]) : 0;
      }
    awaitProducts<0>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++) scores.at[n][e] = weights.at[n][e] * (scores.at[n][e] - dot[e / 2]);
    accumulate(sums, scores, keys, scratch);
    awaitProducts<0>();
  }

  #pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row[half] < 0) continue;
    storeRow(joinedGradient + (i64)row[half] * JOINED + head * WIDTH, sums, half, SCALE);
  }
}
`;

const keyGradientSource = `
// With the transposes of P and dS, from each tile of queries: dV += Pᵀ dO, dK += scale dSᵀ Q.
KERNEL(const Element* qkv, const int* order, const int4*, const int2* seenBy, const Element*, const float* logSumExp,
    const Element* gradient, Element* joinedGradient, const float* delta, float* parts, int tokens) {
  Element* keys = (Element*)shared;
  Element* values = keys + TILE;
  Element* pairs = values + TILE; // twice a tile of queries and one of their gradients
  float* perQuery = (float*)(pairs + 4 * TILE); // twice ROWS log-sum-exps and as many deltas
  float* scratch = perQuery + 4 * ROWS;
  const int kvHead = blockIdx.x % KV_HEADS, part = blockIdx.x / KV_HEADS, tile = blockIdx.y * ROWS;
  constexpr int share = (GROUP + PARTS - 1) / PARTS;
  const int endHead = kvHead * GROUP + min(GROUP, (part + 1) * share);
  int head = kvHead * GROUP + part * share;

  load<JOINED>(keys, qkv + (HEADS + kvHead) * WIDTH, order, tile, tokens);
  load<JOINED>(values, qkv + (HEADS + KV_HEADS + kvHead) * WIDTH, order, tile, tokens);
  const int row[2] = {rowAt(order, tile, 0, tokens), rowAt(order, tile, 2, tokens)};
  const int2 nothing = make_int2(0, 0);
  Walk<int2> walk(row[0] < 0 ? nothing : seenBy[row[0]], row[1] < 0 ? nothing : seenBy[row[1]]);

  const auto isDone = [&] { return walk.isDone() || head >= endHead; };
  const auto fill = [&](int stage) {
    if (!isDone()) {
      load<JOINED>(pairs + stage * 2 * TILE, qkv + head * WIDTH, order, walk.first, tokens);
      load<ATTENDED>(pairs + stage * 2 * TILE + TILE, gradient + head * WIDTH, order, walk.first, tokens);
      for (int i = threadIdx.x; i < ROWS; i += THREADS) {
        const i64 at = (i64)head * tokens + order[min(walk.first + i, tokens - 1)];
        copyNumber(perQuery + stage * 2 * ROWS + i, logSumExp + at);
        copyNumber(perQuery + stage * 2 * ROWS + ROWS + i, delta + at);
      }
    }
    endBatch();
  };
  Sums<COLUMNS> keySums, valueSums;
  clear(keySums);
  clear(valueSums);
  fill(0);
  for (int stage = 0; !isDone(); stage ^= 1) {
    const int first = walk.first;
    walk.next();
    if (walk.isDone() && ++head < endHead) walk.start();
    fill(stage ^ 1);
    awaitBatches<1>();
    __syncthreads();
    const Element* queries = pairs + stage * 2 * TILE;
    const float* shift = perQuery + stage * 2 * ROWS;
    const bool isPlain = walk.isPlain(first);
    Sums<ROWS> weights, scores;
    multiply(weights, keys, queries);
    multiply(scores, values, queries + TILE);
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++) {
        const int column = columnOf(n, e);
        const bool isSeen = isPlain || walk.allows(e, first + column);
        weights.at[n][e] = isSeen ? exp2of(weights.at[n][e] * SCALE_LOG2 - shift[column] * LOG2E) : 0;
      }
    accumulate(valueSums, weights, queries + TILE, scratch);
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++)
        scores.at[n][e] = weights.at[n][e] * (scores.at[n][e] - shift[ROWS + columnOf(n, e)]);
    accumulate(keySums, scores, queries, scratch);
    awaitProducts<0>();
  }

  #pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row[half] < 0) continue;
    if constexpr (PARTS == 1) {
      Element* to = joinedGradient + (i64)row[half] * JOINED + (HEADS + kvHead) * WIDTH;
      storeRow(to, keySums, half, SCALE);
      storeRow(to + KV_HEADS * WIDTH, valueSums, half, 1);
    } else {
      float* to = parts + (((i64)part * tokens + row[half]) * 2 * KV_HEADS + kvHead) * WIDTH;
      storeRow(to, keySums, half, SCALE);
      storeRow(to + KV_HEADS * WIDTH, valueSums, half, 1);
    }
  }
}
`;

function sumOfParts(form: AttentionForm): Kernel {
  const entry = entryOf(form, 'attention_sum');
  const source = `namespace ${entry}_source {
${constants(form)}
typedef ${cTypes[form.dtype]} Element;
constexpr int SIZE = 2 * KV_HEADS * ${form.headDim};
extern "C" __global__ void __launch_bounds__(256) ${entry}(
    const Element*, const int*, const int4*, const int2*, const Element*, const float*, const Element*,
    Element* joinedGradient, const float*, const float* parts, int tokens) {
  const i64 at = (blockIdx.x * (i64)blockDim.x + threadIdx.x) * 2, size = (i64)tokens * SIZE;
  if (at >= size) return;
  float low = 0, high = 0;
  for (int part = 0; part < PARTS; part++) {
    const Pack<float, 2> pair = *(const Pack<float, 2>*)(parts + part * size + at);
    low += pair.at[0];
    high += pair.at[1];
  }
  Element* to = joinedGradient + at / SIZE * JOINED + HEADS * ${form.headDim} + at % SIZE;
  *(Pack<Element, 2>*)to = {fromFloat<Element>(low), fromFloat<Element>(high)};
}
}`;
  const size = 2 * form.kvHeads * form.headDim;
  return {
    entry,
    source,
    launch: ([qkv]) => ({
      grid: [Math.ceil((qkv![0]! * size) / 512), 1, 1],
      block: [256, 1, 1],
      sharedBytes: 0,
      scalars: [{ type: 'i32', value: qkv![0]! }],
    }),
  };
}
