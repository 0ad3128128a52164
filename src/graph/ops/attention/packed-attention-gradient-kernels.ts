import { cTypes } from '../../kernel-prelude.ts';
import { launchByItem, scalarsOf, type Kernel } from '../../kernel.ts';
import {
  constants,
  entryOf,
  gradientParts,
  kernelOf,
  type AttentionForm,
} from './packed-attention-kernels.ts';

/**
 * The kernels of the gradient of packed attention: of the queries, of keys and values, and of the sum of their parts.
 *
 * The first two recompute the weights tile by tile from the saved log-sum-exp, as FlashAttention-2 does.
 */
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

  const Rows own = rowsFrom(order, tile, tokens);
  load<JOINED>(queries, qkv + head * WIDTH, own);
  load<ATTENDED>(gradients, gradient + head * WIDTH, own);
  load<ATTENDED>(pairs, attended + head * WIDTH, own);
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

  // The packed rows of the next tile are read a tile early, since the copies wait for them.
  int first = walk.first;
  Rows rows = rowsFrom(order, first, tokens);
  const auto fill = [&](int stage, bool isWanted) {
    load<JOINED>(pairs + stage * 2 * TILE, keysOf, rows, isWanted);
    load<JOINED>(pairs + stage * 2 * TILE + TILE, valuesOf, rows, isWanted);
    endBatch();
  };
  Sums<COLUMNS> sums;
  clear(sums);
  fill(0, first < walk.end);
  walk.next();
  rows = rowsFrom(order, walk.first, tokens);
  for (int stage = 0; first < walk.end; stage ^= 1) {
    const int next = walk.first;
    awaitBatches<0>();
    walk.next();
    fill(stage ^ 1, next < walk.end);
    const Element* keys = pairs + stage * 2 * TILE;
    Sums<ROWS> weights, scores;
    multiply(weights, queries, keys);
    multiply(scores, gradients, keys + TILE);
    rows = rowsFrom(order, walk.first, tokens);
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++)
        weights.at[n][e] = exp2of(weights.at[n][e] * SCALE_LOG2 - shift[e / 2]);
    if (!walk.isPlain(first)) {
      #pragma unroll
      for (int n = 0; n < ROWS / 8; n++)
        for (int e = 0; e < 4; e++)
          if (!walk.allows(e, first + columnOf(n, e))) weights.at[n][e] = 0;
    }
    awaitProducts<0>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 4; e++) scores.at[n][e] = weights.at[n][e] * (scores.at[n][e] - dot[e / 2]);
    accumulate(sums, scores, keys, scratch);
    awaitProducts<0>();
    first = next;
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

  const Rows own = rowsFrom(order, tile, tokens);
  load<JOINED>(keys, qkv + (HEADS + kvHead) * WIDTH, own);
  load<JOINED>(values, qkv + (HEADS + KV_HEADS + kvHead) * WIDTH, own);
  const int row[2] = {rowAt(order, tile, 0, tokens), rowAt(order, tile, 2, tokens)};
  const int2 nothing = make_int2(0, 0);
  Walk<int2> walk(row[0] < 0 ? nothing : seenBy[row[0]], row[1] < 0 ? nothing : seenBy[row[1]]);

  // Moves to the next tile of queries, and after the last one to the next head. It is a barrier for the block.
  const auto advance = [&] {
    walk.next();
    if (walk.isDone() && ++head < endHead) walk.start();
  };
  // The packed rows of the next tile are read a tile early, since the copies wait for them. The first half of the threads
  // copies log-sum-exps, the other half deltas.
  Rows rows;
  int query;
  const auto readRows = [&] {
    rows = rowsFrom(order, walk.first, tokens);
    query = order[min(walk.first + (int)threadIdx.x % ROWS, tokens - 1)];
  };
  const float* numbers = threadIdx.x < ROWS ? logSumExp : delta;
  const auto fill = [&](int stage, int of, bool isWanted) {
    load<JOINED>(pairs + stage * 2 * TILE, qkv + of * WIDTH, rows, isWanted);
    load<ATTENDED>(pairs + stage * 2 * TILE + TILE, gradient + of * WIDTH, rows, isWanted);
    copyNumber(perQuery + stage * 2 * ROWS + threadIdx.x, numbers + (i64)of * tokens + query, isWanted);
    endBatch();
  };
  Sums<COLUMNS> keySums, valueSums;
  clear(keySums);
  clear(valueSums);
  int first = walk.first;
  readRows();
  fill(0, head, first < walk.end);
  advance();
  readRows();
  for (int stage = 0; first < walk.end; stage ^= 1) {
    const int next = walk.first, nextHead = head;
    awaitBatches<0>();
    advance();
    fill(stage ^ 1, nextHead, next < walk.end);
    const Element* queries = pairs + stage * 2 * TILE;
    const float* shift = perQuery + stage * 2 * ROWS;
    Sums<ROWS> weights, scores;
    multiply(weights, keys, queries);
    multiply(scores, values, queries + TILE);
    readRows();
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++) {
      const Pack<float, 2> by = *(const Pack<float, 2>*)(shift + columnOf(n, 0));
      for (int e = 0; e < 4; e++)
        weights.at[n][e] = exp2of(weights.at[n][e] * SCALE_LOG2 - by.at[e % 2] * LOG2E);
    }
    if (!walk.isPlain(first)) {
      #pragma unroll
      for (int n = 0; n < ROWS / 8; n++)
        for (int e = 0; e < 4; e++)
          if (!walk.allows(e, first + columnOf(n, e))) weights.at[n][e] = 0;
    }
    accumulate(valueSums, weights, queries + TILE, scratch);
    awaitProducts<1>();
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++) {
      const Pack<float, 2> dot = *(const Pack<float, 2>*)(shift + ROWS + columnOf(n, 0));
      for (int e = 0; e < 4; e++) scores.at[n][e] = weights.at[n][e] * (scores.at[n][e] - dot.at[e % 2]);
    }
    accumulate(keySums, scores, queries, scratch);
    awaitProducts<0>();
    first = next;
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
    // A thread adds up two elements.
    launch: ([qkv]) => launchByItem((qkv![0]! * size) / 2, 256, scalarsOf('i32', [qkv![0]!])),
  };
}
