import type { FloatDType } from '../../../tensor/dtype.ts';
import { warpProduct } from '../tensor-cores.ts';

/** C: attention of a warp to its keys by tensor cores, in f16 or bf16. */
export function attendByTiles(dtype: FloatDType): string {
  return warpProduct(dtype) + PAIR + ATTEND;
}

/** C: two halves in a register. */
const PAIR = `
__device__ inline u32 pair(float low, float high) {
  return fromFloat<T>(low).bits | (u32)fromFloat<T>(high).bits << 16;
}
`;

/**
 * C: attention to sixteen keys at a time on tensor cores.
 *
 * Rows of the products are the heads of a group, which all see the same keys. Thread 4g + c of a product has rows g and
 * g + 8 of the result. The first product sums over features, and columns of the second are features. The order of
 * features is free in both, so every thread reads 8 neighbours of a row at once and keeps them.
 */
const ATTEND = `
struct alignas(16) Eight { u32 at[4]; };
constexpr int chunks = dim / 8;
constexpr int keyChunks = (chunks + 3) / 4, valueChunks = (chunks + 7) / 8;
constexpr int sides = group > 8 ? 2 : 1;

__device__ inline Eight read(const T *row, int chunk) {
  return chunk < chunks ? *(const Eight *)(row + chunk * 8) : Eight{};
}

// What a thread reads of sixteen keys and values.
struct Rows { Eight keys[2][keyChunks], values[4][valueChunks]; };

// Reads the rows of a tile.
__device__ inline Rows readRows(const Arguments &a, const Part &part, int tile) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  Rows rows;
  const i64 first = rowOf(part.pages, part.head, tile);
  // Behind the last row the last is read again, with no weight.
  const auto rowAt = [&](const T *cache, int key) {
    return cache + first + min(key, part.to - 1 - tile) * stride;
  };
  #pragma unroll
  for (int half = 0; half < 2; half++) {
    const T *row = rowAt(a.keys, 8 * half + g);
    #pragma unroll
    for (int i = 0; i < keyChunks; i++) rows.keys[half][i] = read(row, 4 * i + c);
  }
  #pragma unroll
  for (int r = 0; r < 4; r++) {
    const T *row = rowAt(a.values, 2 * c + r % 2 + r / 2 * 8);
    #pragma unroll
    for (int i = 0; i < valueChunks; i++) rows.values[r][i] = read(row, 8 * i + g);
  }
  return rows;
}

__device__ inline void attend(const Arguments &a, const Part &part) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  rotateQuery(part);
  // Each thread has those features of queries g and g + 8 that it also reads of keys.
  Eight query[keyChunks][2] = {};
  #pragma unroll
  for (int i = 0; i < keyChunks; i++) {
    #pragma unroll
    for (int side = 0; side < sides; side++) {
      const int head = g + 8 * side;
      if (head < group) query[i][side] = read(sharedQuery() + head * dim, 4 * i + c);
    }
  }
  float mix[valueChunks][8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.f, 0.f};
  for (int tile = part.from; tile < part.to; tile += tileKeys) {
    const Rows rows = readRows(a, part, tile);
    // scores[half][2 side + e] is that of head g + 8 side and key 8 half + 2c + e.
    float scores[2][4] = {};
    #pragma unroll
    for (int half = 0; half < 2; half++) {
      #pragma unroll
      for (int i = 0; i < keyChunks; i++) {
        #pragma unroll
        for (int w = 0; w < 4; w += 2) {
          const u32 left[4] = {
            query[i][0].at[w], query[i][1].at[w], query[i][0].at[w + 1], query[i][1].at[w + 1],
          };
          mma(scores[half], left, rows.keys[half][i].at[w], rows.keys[half][i].at[w + 1]);
        }
      }
    }
    u32 weights[4] = {};
    #pragma unroll
    for (int side = 0; side < sides; side++) {
      float best = top[side];
      #pragma unroll
      for (int half = 0; half < 2; half++) {
        #pragma unroll
        for (int e = 0; e < 2; e++) {
          float &score = scores[half][2 * side + e];
          const bool isSeen = tile + 8 * half + 2 * c + e < part.to;
          score = isSeen ? score * a.scale : -INFINITY;
          best = fmaxf(best, score);
        }
      }
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 1));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 2));
      const float shrink = exp2f(top[side] - best);
      top[side] = best;
      sum[side] *= shrink;
      #pragma unroll
      for (int half = 0; half < 2; half++) {
        const float low = exp2f(scores[half][2 * side] - best), high = exp2f(scores[half][2 * side + 1] - best);
        sum[side] += low + high;
        weights[2 * half + side] = pair(low, high);
      }
      #pragma unroll
      for (int i = 0; i < valueChunks; i++) {
        #pragma unroll
        for (int n = 0; n < 8; n++) {
          mix[i][n][2 * side] *= shrink;
          mix[i][n][2 * side + 1] *= shrink;
        }
      }
    }
    #pragma unroll
    for (int i = 0; i < valueChunks; i++) {
      #pragma unroll
      for (int n = 0; n < 8; n++) {
        // Feature n of a chunk, for two keys in each register.
        const u32 halves = n % 2 == 0 ? 0x5410 : 0x7632;
        const u32 low = __byte_perm(rows.values[0][i].at[n / 2], rows.values[1][i].at[n / 2], halves);
        const u32 high = __byte_perm(rows.values[2][i].at[n / 2], rows.values[3][i].at[n / 2], halves);
        mma(mix[i][n], weights, low, high);
      }
    }
  }
  float *mixed = mixOf(threadIdx.x / 32), *norms = normsOf(threadIdx.x / 32);
  #pragma unroll
  for (int side = 0; side < sides; side++) {
    const int head = g + 8 * side;
    sum[side] += __shfl_xor_sync(0xffffffffu, sum[side], 1);
    sum[side] += __shfl_xor_sync(0xffffffffu, sum[side], 2);
    if (head >= group) continue;
    if (c == 0) {
      norms[2 * head] = top[side];
      norms[2 * head + 1] = sum[side];
    }
    #pragma unroll
    for (int i = 0; i < valueChunks; i++) {
      #pragma unroll
      for (int e = 0; e < 2; e++) {
        const int chunk = 8 * i + 2 * c + e;
        if (chunk >= chunks) continue;
        #pragma unroll
        for (int n = 0; n < 8; n += 4) {
          Pack<float, 4> four;
          #pragma unroll
          for (int k = 0; k < 4; k++) four.at[k] = mix[i][n + k][2 * side + e];
          store<4>(mixed + head * dim + chunk * 8 + n, four);
        }
      }
    }
  }
}
`;
