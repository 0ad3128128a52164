import type { FloatDType } from '../../../tensor/dtype.ts';
import { cTypes } from '../../kernel-prelude.ts';
import { launchOf, scalarsOf, type Kernel, type Shapes } from '../../kernel.ts';
import { attendByTiles } from './cached-attention-tiles.ts';

/** Sizes of a pair of kernels. */
interface CachedAttentionSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Rows of a page. */
  readonly pageRows: number;
  /** Factor of the scores. */
  readonly scale: number;
}

/** Number of warps that fill a large card. Keys are split among this many where sequences and heads make fewer. */
export const PARTS = 1056;
/** Warps of a block on tensor cores. They share the keys of a part. */
const WARPS = 8;
/** Keys that a warp takes at once, all in one page. */
const TILE = 16;
/** Most parts of the keys of a sequence. */
const MOST_SPLITS = 32;

/**
 * The two kernels of attention over a cache.
 *
 * In the first a block attends to a part of the keys of one head of one sequence, and its warps to parts of these. One of
 * them also writes the new token's rotated key and its value into the cache. Warps join their parts by their largest
 * scores and sums of exponentials. Where there are few sequences the keys of each are split among blocks, and the second
 * kernel joins the parts of these.
 *
 * @param hasBias true if the kernels add a bias to the token's projections
 * @see Flash-Decoding, https://pytorch.org/blog/flash-decoding/
 */
export function cachedAttentionKernels(
  dtype: FloatDType,
  { heads, kvHeads, headDim, pageRows, scale }: CachedAttentionSizes,
  hasBias: boolean,
): readonly Kernel[] {
  const group = heads / kvHeads;
  const fits = headDim % 16 === 0 && headDim <= 128 && group <= 16 && pageRows % TILE === 0;
  const isTiled = dtype !== 'f32' && fits;
  const warps = isTiled ? WARPS : 1;
  const splitsOf = ([projected]: Shapes): number => splitsFor(projected![0]! * kvHeads * warps);
  const kernel = (
    name: string,
    threads: number,
    body: string,
    grid: (inputs: Shapes) => readonly [number, number, number],
    sharedBytes: number,
  ): Kernel => {
    const entry = `${name}${hasBias ? 'Biased' : ''}_${dtype}_${heads}_${kvHeads}_${headDim}_${pageRows}`;
    return {
      entry,
      source: `
namespace ${entry}_ {
typedef ${cTypes[dtype]} T;
constexpr int heads = ${heads}, kvHeads = ${kvHeads}, group = ${group}, dim = ${headDim};
constexpr int tileKeys = ${TILE}, pageRows = ${pageRows}, warps = ${warps};
${body}
extern "C" __global__ void __launch_bounds__(${threads}) ${entry}(
    const T *projected, const float *cosines, const float *sines, const T *keys, const T *values,
    const int *pages, const int *lengths, ${hasBias ? 'const T *bias, ' : ''}T *attended, T *nextKeys,
    T *nextValues, float *mixed, float *norms, int mostPages, int splits, float scale) {
  ${name}({{projected, ${hasBias ? 'bias' : 'nullptr'}}, cosines, sines, pages, lengths, attended, nextKeys, nextValues,
    mixed, norms, mostPages, splits, scale});
}
}`,
      launch: (inputs) => {
        const sizes = scalarsOf('i32', [inputs[5]![1]!, splitsOf(inputs)]);
        // The kernels take powers of 2, not of e.
        const factor = scalarsOf('f32', [scale * Math.LOG2E]);
        return launchOf(grid(inputs), threads, [...sizes, ...factor], sharedBytes);
      },
    };
  };
  return [
    kernel(
      'cachedAttention',
      32 * warps,
      ARGUMENTS + PART + (isTiled ? attendByTiles(dtype) : BY_KEYS) + BLOCK,
      (inputs) => [splitsOf(inputs), kvHeads, inputs[0]![0]!],
      // The mix and the norms of each warp, and the query.
      ((headDim + 2) * warps + headDim) * group * Float32Array.BYTES_PER_ELEMENT,
    ),
    kernel(
      'joinParts',
      128,
      ARGUMENTS + JOIN,
      (inputs) => [splitsOf(inputs) === 1 ? 0 : heads, inputs[0]![0]!, 1],
      0,
    ),
  ];
}

/** Number of parts into which the keys of each sequence are split, from the number of warps without a split. */
function splitsFor(workers: number): number {
  return Math.min(MOST_SPLITS, Math.max(1, Math.round(PARTS / Math.max(1, workers))));
}

const ARGUMENTS = `
// The new token's queries, keys and values, from an offset on; the bias is added as in a tensor of its own.
struct Projected {
  const T *rows;                      // [B, (heads + 2 kvHeads) dim]
  const T *bias;                      // [(heads + 2 kvHeads) dim], or none
  int offset;
  __device__ inline T operator[](int i) const {
    const T x = rows[offset + i];
    return bias == nullptr ? x : fromFloat<T>(toFloat(x) + toFloat(bias[offset + i]));
  }
};

struct Arguments {
  Projected projected;
  const float *cosines, *sines;       // [B, dim / 2]
  const int *pages;                   // [B, mostPages], which pages of the cache are a sequence's
  const int *lengths;                 // [B]
  T *attended;                        // [B, heads dim]
  T *keys, *values;                   // [pages, pageRows, kvHeads, dim]
  float *mixed, *norms;               // of each part, [group, dim] and [group, 2]
  int mostPages, splits;
  float scale;
};
`;

/** C: the part of a warp, and the write of the new token to the cache. */
const PART = `
struct Part {
  int index;                          // the block's, among all parts
  int from, to;                       // the warp's keys
  Projected query;                    // [group, dim]
  const float *cosines, *sines;
  const int *pages;
  int head;
};
constexpr int stride = kvHeads * dim;

// Offset of a key's row of one head in the cache.
__device__ inline i64 rowOf(const int *pages, int head, int key) {
  return ((i64)pages[key / pageRows] * pageRows + key % pageRows) * stride + head * dim;
}

// Feature j of a head, rotated by its token's angle.
__device__ inline float rotated(Projected head, const float *cosines, const float *sines, int j) {
  constexpr int half = dim / 2;
  return j < half
    ? toFloat(head[j]) * cosines[j] - toFloat(head[j + half]) * sines[j]
    : toFloat(head[j]) * cosines[j - half] + toFloat(head[j - half]) * sines[j - half];
}

__device__ inline Projected after(Projected x, int features) {
  x.offset += features;
  return x;
}

__device__ inline Part partOf(const Arguments &a) {
  const int head = blockIdx.y, row = blockIdx.z, lane = threadIdx.x % 32;
  const int worker = blockIdx.x * warps + threadIdx.x / 32, workers = a.splits * warps;
  const int length = a.lengths[row];
  const int tiles = length / tileKeys + 1;
  const int from = (int)((i64)worker * tiles / workers) * tileKeys;
  const int end = (int)((i64)(worker + 1) * tiles / workers) * tileKeys;
  Projected own = a.projected;
  own.rows += (i64)row * (heads + 2 * kvHeads) * dim;
  const float *cosines = a.cosines + row * (dim / 2), *sines = a.sines + row * (dim / 2);
  const int *pages = a.pages + (i64)row * a.mostPages;
  if (worker == workers - 1) {
    const Projected key = after(own, (heads + head) * dim), value = after(key, kvHeads * dim);
    const i64 at = rowOf(pages, head, length);
    for (int j = lane; j < dim; j += 32) {
      a.keys[at + j] = fromFloat<T>(rotated(key, cosines, sines, j));
      a.values[at + j] = value[j];
    }
    __syncwarp();
  }
  return {
    (row * kvHeads + head) * a.splits + (int)blockIdx.x, from, min(end, length + 1),
    after(own, head * group * dim), cosines, sines, pages, head,
  };
}

// What a warp leaves in shared memory, and behind it the query.
extern __shared__ __align__(16) float shared[];
__device__ inline float *mixOf(int warp) { return shared + warp * group * dim; }
__device__ inline float *normsOf(int warp) { return mixOf(warps) + warp * group * 2; }
__device__ inline T *sharedQuery() { return (T *)normsOf(warps); }

// Rotates the query, for all warps of the block.
__device__ inline void rotateQuery(const Part &part) {
  for (int i = threadIdx.x; i < group * dim; i += 32 * warps) {
    const Projected head = after(part.query, i / dim * dim);
    sharedQuery()[i] = fromFloat<T>(rotated(head, part.cosines, part.sines, i % dim));
  }
  __syncthreads();
}
`;

/** C: the kernel of a block, whose warps have left their parts in shared memory. */
const BLOCK = `
__device__ inline void cachedAttention(const Arguments &a) {
  const Part part = partOf(a);
  attend(a, part);
  __syncthreads();
  constexpr int pack = dim % 4 == 0 ? 4 : 1;
  for (int i = pack * threadIdx.x; i < group * dim; i += pack * 32 * warps) {
    const int head = i / dim, j = i % dim;
    float tops[warps], top = -INFINITY, sum = 0.f;
    #pragma unroll
    for (int warp = 0; warp < warps; warp++) top = fmaxf(top, tops[warp] = normsOf(warp)[2 * head]);
    Pack<float, pack> mix = {};
    #pragma unroll
    for (int warp = 0; warp < warps; warp++) {
      // A warp without keys has no largest score, and a block may have such warps alone.
      const float share = tops[warp] == -INFINITY ? 0.f : exp2f(tops[warp] - top);
      const auto own = load<pack>(mixOf(warp) + i);
      sum += normsOf(warp)[2 * head + 1] * share;
      #pragma unroll
      for (int e = 0; e < pack; e++) mix.at[e] += own.at[e] * share;
    }
    if (a.splits == 1) {
      Pack<T, pack> attended;
      #pragma unroll
      for (int e = 0; e < pack; e++) attended.at[e] = fromFloat<T>(mix.at[e] / sum);
      store<pack>(a.attended + ((i64)blockIdx.z * heads + part.head * group + head) * dim + j, attended);
    } else {
      const i64 at = (i64)part.index * group + head;
      store<pack>(a.mixed + at * dim + j, mix);
      if (j == 0) {
        a.norms[2 * at] = top;
        a.norms[2 * at + 1] = sum;
      }
    }
  }
}
`;

/** C: attention to one key after the other, for any sizes. */
const BY_KEYS = `
__device__ inline void attend(const Arguments &a, const Part &part) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float *mix = mixOf(warp), *norms = normsOf(warp);
  rotateQuery(part);
  const T *query = sharedQuery();
  for (int i = lane; i < group * dim; i += 32) mix[i] = 0.f;
  __syncwarp();
  for (int head = 0; head < group; head++) {
    float top = -INFINITY, sum = 0.f;
    for (int key = part.from; key < part.to; key++) {
      const i64 at = rowOf(part.pages, part.head, key);
      const T *keys = a.keys + at, *values = a.values + at;
      float score = 0.f;
      for (int j = lane; j < dim; j += 32) score += toFloat(query[head * dim + j]) * toFloat(keys[j]);
      score = warpReduce<Sum>(score) * a.scale;
      const float best = fmaxf(top, score), shrink = exp2f(top - best), weight = exp2f(score - best);
      top = best;
      sum = sum * shrink + weight;
      for (int j = lane; j < dim; j += 32) {
        float &mixed = mix[head * dim + j];
        mixed = mixed * shrink + weight * toFloat(values[j]);
      }
    }
    if (lane == 0) {
      norms[2 * head] = top;
      norms[2 * head + 1] = sum;
    }
  }
}
`;

const JOIN = `
__device__ inline void joinParts(const Arguments &a) {
  const int head = blockIdx.x, row = blockIdx.y;
  const i64 first = ((i64)row * kvHeads + head / group) * a.splits;
  const auto at = [&](int split) { return (first + split) * group + head % group; };
  float top = -INFINITY;
  for (int split = 0; split < a.splits; split++) top = fmaxf(top, a.norms[2 * at(split)]);
  float sum = 0.f;
  for (int split = 0; split < a.splits; split++) {
    sum += a.norms[2 * at(split) + 1] * exp2f(a.norms[2 * at(split)] - top);
  }
  for (int j = threadIdx.x; j < dim; j += blockDim.x) {
    float mixed = 0.f;
    for (int split = 0; split < a.splits; split++) {
      mixed += a.mixed[at(split) * dim + j] * exp2f(a.norms[2 * at(split)] - top);
    }
    a.attended[((i64)row * heads + head) * dim + j] = fromFloat<T>(mixed / sum);
  }
}
`;
