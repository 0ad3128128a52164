import type { FloatDType } from '../../tensor/dtype.ts';
import { cTypes } from '../kernel-prelude.ts';
import { launchOf, scalarsOf, type Kernel } from '../kernel.ts';

/** Tokens whose weights are summed by one warp at once. */
const TILE = 128;

/**
 * The kernel that draws tokens from rows of logits, with a block for each row.
 *
 * It never sorts. A radix selection finds the least likely token that is kept, over weights in fixed point, whose sums do
 * not depend on the order of additions.
 */
export function drawTokensKernel(dtype: FloatDType, vocabulary: number): Kernel {
  const entry = `drawTokens_${dtype}_${vocabulary}`;
  return {
    entry,
    source: `
namespace ${entry}_ {
typedef ${cTypes[dtype]} T;
constexpr int vocabulary = ${vocabulary}, tiles = ${Math.ceil(vocabulary / TILE)}, tile = ${TILE};
${DRAW}
extern "C" __global__ void __launch_bounds__(1024) ${entry}(
    const T *logits, const int *rows, const int *banned, const float *uniform, const float *topK, const float *topP,
    float *drawn, int bannedCount) {
  const int row = blockIdx.x;
  drawToken({logits + (i64)rows[row] * vocabulary, banned, bannedCount, 0.f}, uniform[row], topK[row], topP[row],
    drawn + 2 * row);
}
}`,
    launch: ([, rows, banned]) =>
      launchOf([rows![0]!, 1, 1], 1024, scalarsOf('i32', [banned![0]!])),
  };
}

const DRAW = `
struct Row {
  const T *logits;
  const int *banned;
  int bannedCount;
  float top;                           // the largest logit
};
struct Four { float at[4]; };

// Logits of four tokens from one on; minus infinity behind the last token.
__device__ inline Four readFour(const Row &row, int token) {
  Four four;
  if (vocabulary % 4 == 0 && token < vocabulary) {
    const auto pack = *(const Pack<T, 4> *)(row.logits + token);
    #pragma unroll
    for (int i = 0; i < 4; i++) four.at[i] = toFloat(pack.at[i]);
  } else {
    #pragma unroll
    for (int i = 0; i < 4; i++) four.at[i] = token + i < vocabulary ? toFloat(row.logits[token + i]) : -INFINITY;
  }
  return four;
}

__device__ inline void ban(Four &logits, int token, int banned) {
  #pragma unroll
  for (int i = 0; i < 4; i++) if (banned == token + i) logits.at[i] = -INFINITY;
}

// Logits of four tokens; minus infinity for banned tokens too.
__device__ inline Four logitsAt(const Row &row, int token) {
  Four logits = readFour(row, token);
  #pragma unroll 1
  for (int b = 0; b < row.bannedCount; b++) ban(logits, token, row.banned[b]);
  return logits;
}

// Key of a logit: its distance below the largest, in steps of 2^-26. The likelier a token, the smaller its key.
__device__ inline u32 keyOf(const Row &row, float logit) {
  return (u32)(fminf(row.top - logit, 63.f) * 67108864.f);
}

// Weight of a logit at a distance below the largest: e^-distance.
__device__ inline float weightOf(float distance) {
  return exp2f(distance * -1.4426950408889634f);
}

// Weight of a key, in steps of 2^-40. Sums of whole numbers do not depend on their order.
__device__ inline u64 massOf(u32 key) {
  return (u64)(weightOf((float)key * 1.4901161193847656e-8f) * 1099511627776.f);
}

// A set of tokens: those likelier than a key, and equally likely ones up to a last token.
struct Cut {
  u32 key = 0xffffffffu;
  int last = 0x7fffffff;
  __device__ inline bool keeps(u32 other, int token) const {
    return other < key || (other == key && token <= last);
  }
};

constexpr int warps = 32, ahead = 4;

// Calls visit(tile, logits of four) with four tiles at a time for each warp; a tile is 32 behind the one before.
template <class Visit> __device__ inline void forFourTiles(const Row &row, Visit visit) {
  const int first = 4 * (threadIdx.x % 32);
  #pragma unroll 1
  for (int t = threadIdx.x / 32; t < tiles; t += warps * ahead) {
    Four logits[ahead];
    #pragma unroll
    for (int a = 0; a < ahead; a++) logits[a] = readFour(row, (t + warps * a) * tile + first);
    #pragma unroll 1
    for (int b = 0; b < row.bannedCount; b++) {
      const int banned = row.banned[b];
      #pragma unroll
      for (int a = 0; a < ahead; a++) ban(logits[a], (t + warps * a) * tile + first, banned);
    }
    visit(t, logits);
  }
}

// Calls visit(tile, token, logits of four) for all tokens.
template <class Visit> __device__ inline void forTiles(const Row &row, Visit visit) {
  forFourTiles(row, [&](int t, const Four *logits) {
    #pragma unroll
    for (int a = 0; a < ahead; a++) {
      const int at = t + warps * a;
      if (at < tiles) visit(at, at * tile + 4 * (threadIdx.x % 32), logits[a]);
    }
  });
}

// Sums of weights: those of each tile, and those of all tiles before it.
struct Sums { float of[tiles], before[tiles]; };

constexpr int digits = 2048;

// Adds up the sums of tiles; returns the sum of all.
__device__ inline float addUp(Sums &sums) {
  __syncthreads();
  __shared__ float total;
  if (threadIdx.x < 32) {
    constexpr int each = (tiles + 31) / 32;
    const int from = threadIdx.x * each, to = min(from + each, tiles);
    float own = 0.f;
    #pragma unroll 1
    for (int t = from; t < to; t++) own += sums.of[t];
    float upTo = own;
    for (int step = 1; step < 32; step *= 2) {
      const float left = __shfl_up_sync(0xffffffffu, upTo, step);
      if (threadIdx.x >= step) upTo += left;
    }
    float running = upTo - own;
    #pragma unroll 1
    for (int t = from; t < to; t++) {
      sums.before[t] = running;
      running += sums.of[t];
    }
    if (threadIdx.x == 31) total = upTo;
  }
  __syncthreads();
  return total;
}

// Sums weight(token, logit) over each tile; returns the sum of all.
template <class Weight> __device__ inline float sumTiles(const Row &row, Sums &sums, Weight weight) {
  forTiles(row, [&](int t, int token, const Four &logits) {
    float sum = 0.f;
    #pragma unroll
    for (int i = 0; i < 4; i++) sum += weight(token + i, logits.at[i]);
    sum = warpReduce<Sum>(sum);
    if (threadIdx.x % 32 == 0) sums.of[t] = sum;
  });
  return addUp(sums);
}

// The first token at which the running sum of weights exceeds a target, or by rounding the last with a weight.
template <class Weight>
__device__ inline int firstPast(const Row &row, const Sums &sums, float target, Weight weight) {
  __shared__ int past, last, found;
  if (threadIdx.x == 0) past = tiles, last = 0;
  __syncthreads();
  #pragma unroll 1
  for (int t = threadIdx.x; t < tiles; t += blockDim.x) {
    if (sums.of[t] <= 0.f) continue;
    atomicMax(&last, t);
    if (sums.before[t] + sums.of[t] > target) atomicMin(&past, t);
  }
  __syncthreads();
  if (threadIdx.x < 32) {
    const int t = past < tiles ? past : last, token = t * tile + 4 * threadIdx.x;
    const Four logits = logitsAt(row, token);
    float weights[4], own = 0.f;
    #pragma unroll
    for (int i = 0; i < 4; i++) own += weights[i] = weight(token + i, logits.at[i]);
    float upTo = own;
    for (int step = 1; step < 32; step *= 2) {
      const float left = __shfl_up_sync(0xffffffffu, upTo, step);
      if (threadIdx.x >= step) upTo += left;
    }
    float running = sums.before[t] + (upTo - own);
    int here = -1, behind = -1;
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      if (weights[i] <= 0.f) continue;
      running += weights[i];
      behind = token + i;
      if (here < 0 && running > target) here = token + i;
    }
    const u32 exceeds = __ballot_sync(0xffffffffu, here >= 0), weighs = __ballot_sync(0xffffffffu, behind >= 0);
    const int chosen = exceeds != 0 ? __ffs(exceeds) - 1 : weighs != 0 ? 31 - __clz(weighs) : 0;
    if (threadIdx.x == chosen) found = exceeds != 0 ? here : behind;
  }
  __syncthreads();
  // Logits that are not numbers give a weight to tokens behind the last.
  return min(max(found, 0), vocabulary - 1);
}

// Adds an amount of 40 bits to one of the sums, or to none for -1. Whole warps call it together.
template <bool isOne> __device__ inline void addTo(u64 *sums, int which, u64 amount) {
  constexpr int many = 8;
  const int lane = threadIdx.x % 32;
  u32 open = __ballot_sync(0xffffffffu, which >= 0);
  // Threads that add to the same sum would wait for one another, so one of them adds for all.
  while (open != 0) {
    const int first = __ffs(open) - 1;
    const int common = __shfl_sync(0xffffffffu, which, first);
    const bool isSame = which == common;
    const u32 same = __ballot_sync(0xffffffffu, isSame);
    if (__popc(same) < many) break;
    // Amounts are added in halves of 20 bits, since a word has room for the sum of 32 of those.
    const u32 low = __reduce_add_sync(0xffffffffu, isSame ? (u32)amount & 0xfffff : 0);
    const u32 high = __reduce_add_sync(0xffffffffu, isSame ? (u32)(amount >> 20) : 0);
    if (lane == first) atomicAdd(&sums[which], ((u64)high << 20) + low);
    if (isSame) which = -1;
    open &= ~same;
  }
  if (which < 0) return;
  // The low word has room to count all tokens, and adding to a word costs less.
  if (isOne) atomicAdd((u32 *)&sums[which], 1u);
  else atomicAdd(&sums[which], amount);
}

/*
 * Keeps the likeliest of the tokens kept so far: a number of them, or as few as have a share of their mass. Of equals it
 * keeps the first.
 *
 * A radix selection by three digits of the keys. A round sums the amounts of each digit and finds the digit at which they
 * become enough. All smaller digits are kept, and the next round looks into that one.
 */
template <bool isMass>
__device__ __noinline__ Cut keepFewest(const Row &row, Sums &sums, u64 *amounts, const Cut &cut, float enough) {
  constexpr int ofLane = digits / 32;
  __shared__ u64 before, wanted;
  __shared__ int digit;
  u32 prefix = 0;
  #pragma unroll 1
  for (int above = 32; above > 0;) {
    const int shift = max(above - 11, 0);
    const u32 mask = (1u << (above - shift)) - 1;
    __syncthreads();   // What the last round found has been read.
    for (int i = threadIdx.x; i < digits; i += blockDim.x) amounts[i] = 0;
    if (threadIdx.x == 0) digit = -1;
    __syncthreads();
    forTiles(row, [&](int, int token, const Four &logits) {
      #pragma unroll
      for (int i = 0; i < 4; i++) {
        const u32 key = keyOf(row, logits.at[i]);
        const bool isOpen = token + i < vocabulary && (above == 32 || key >> above == prefix) && cut.keeps(key, token + i);
        if (__ballot_sync(0xffffffffu, isOpen) == 0) continue;
        const u64 amount = isMass ? massOf(key) : 1ull;
        addTo<!isMass>(amounts, isOpen && amount > 0 ? (int)(key >> shift & mask) : -1, amount);
      }
    });
    __syncthreads();
    if (threadIdx.x < 32) {
      const int first = ofLane * threadIdx.x;
      u64 own = 0;
      for (int i = 0; i < ofLane; i++) own += amounts[first + i];
      u64 upTo = own;
      for (int step = 1; step < 32; step *= 2) {
        const u64 left = __shfl_up_sync(0xffffffffu, upTo, step);
        if (threadIdx.x >= step) upTo += left;
      }
      const u64 all = __shfl_sync(0xffffffffu, upTo, 31);
      if (above == 32 && threadIdx.x == 0) {
        before = 0;
        wanted = isMass ? (u64)ceil((double)enough * (double)all) : (u64)enough;
      }
      __syncwarp();
      u64 running = before + upTo - own;
      const u32 past = __ballot_sync(0xffffffffu, running + own >= wanted);
      if (past != 0 && threadIdx.x == __ffs(past) - 1) {
        int i = first;
        while (running + amounts[i] < wanted) running += amounts[i++];
        digit = i;
        before = running;
      }
    }
    __syncthreads();
    if (digit < 0) return cut;
    prefix = above == 32 ? digit : prefix << (above - shift) | digit;
    above = shift;
  }
  // Of the tokens with the last key, only as many as are needed.
  const u64 each = isMass ? massOf(prefix) : 1ull, equals = amounts[digit], missing = wanted - before;
  if (missing + each > equals) return {prefix, prefix == cut.key ? cut.last : Cut().last};
  const auto isEqual = [&](int token, float logit) {
    return token < vocabulary && keyOf(row, logit) == prefix && cut.keeps(prefix, token) ? 1.f : 0.f;
  };
  sumTiles(row, sums, isEqual);
  return {prefix, firstPast(row, sums, (float)((missing + each - 1) / each) - 1.f, isEqual)};
}

// The first token with the largest logit, and the sum of the weights of all.
struct Whole { int likeliest; float total; };

// Finds the largest logit and sums the weights of each tile, in one pass.
__device__ inline Whole measure(Row &row, Sums &sums) {
  __shared__ float tops[warps];
  __shared__ int tokens[warps];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float top = -INFINITY;
  int first = 0;
  const auto take = [&](float logit, int token) {
    if (logit > top || (logit == top && token < first)) top = logit, first = token;
  };
  forFourTiles(row, [&](int t, const Four *logits) {
    float best = -INFINITY;
    #pragma unroll
    for (int a = 0; a < ahead; a++) {
      #pragma unroll
      for (int i = 0; i < 4; i++) {
        const float logit = logits[a].at[i];
        best = fmaxf(best, logit);
        if (logit > top) top = logit, first = (t + warps * a) * tile + 4 * lane + i;
      }
    }
    // Until the row's largest logit is known, weights are relative to the largest of four tiles, a number.
    best = fmaxf(warpReduce<Max>(best), -3.402823466e38f);
    #pragma unroll
    for (int a = 0; a < ahead; a++) {
      float sum = 0.f;
      #pragma unroll
      for (int i = 0; i < 4; i++) sum += weightOf(best - logits[a].at[i]);
      sum = warpReduce<Sum>(sum);
      const int at = t + warps * a;
      if (lane == 0 && at < tiles) sums.of[at] = sum, sums.before[at] = best;
    }
  });
  const auto takeOthers = [&]() {
    for (int step = 16; step > 0; step /= 2) {
      const float logit = __shfl_xor_sync(0xffffffffu, top, step);
      const int token = __shfl_xor_sync(0xffffffffu, first, step);
      take(logit, token);
    }
  };
  takeOthers();
  if (lane == 0) tops[warp] = top, tokens[warp] = first;
  __syncthreads();
  top = tops[lane];
  first = tokens[lane];
  takeOthers();
  row.top = top;
  for (int t = threadIdx.x; t < tiles; t += blockDim.x) sums.of[t] *= weightOf(top - sums.before[t]);
  return {first, addUp(sums)};
}

__device__ inline void drawToken(Row row, float uniform, float topK, float topP, float *drawn) {
  __shared__ Sums sums;
  __shared__ u64 amounts[digits];
  auto [token, total] = measure(row, sums);
  const auto weight = [&](int, float logit) { return weightOf(row.top - logit); };
  if (topK != 1.f) {
    Cut cut;
    if (topK > 0.f) cut = keepFewest<false>(row, sums, amounts, cut, topK);
    if (topP < 1.f) cut = keepFewest<true>(row, sums, amounts, cut, topP);
    if (topK > 0.f || topP < 1.f) {
      const auto kept = [&](int token, float logit) {
        return cut.keeps(keyOf(row, logit), token) ? weightOf(row.top - logit) : 0.f;
      };
      const float some = sumTiles(row, sums, kept);
      token = firstPast(row, sums, uniform * some, kept);
    } else {
      token = firstPast(row, sums, uniform * total, weight);
    }
  }
  if (threadIdx.x == 0) {
    drawn[0] = (float)token;
    drawn[1] = toFloat(row.logits[token]) - row.top - logf(total);
  }
}
`;
