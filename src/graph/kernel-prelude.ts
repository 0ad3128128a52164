import type { DType } from '../tensor/dtype.ts';

/** How kernels write each dtype. Halves are structs, which compute nothing: `toFloat` and `fromFloat` are the way. */
export const cTypes: Readonly<Record<DType, string>> = {
  f32: 'float',
  f16: 'f16',
  bf16: 'bf16',
  i32: 'int',
  i64: 'i64',
  u8: 'u8',
  bool: 'bool',
};

/** What stands before the source of every kernel; it needs no header of CUDA's. */
export const kernelPrelude = `
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define INFINITY __int_as_float(0x7f800000)

struct bf16 { u16 bits; };
struct f16 { u16 bits; };

// N elements that are loaded and stored at once, from an address that is aligned to all of them.
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

__device__ inline float toFloat(float x) { return x; }
__device__ inline float toFloat(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
__device__ inline float toFloat(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

// The nearest value of a dtype, ties to even.
template <class T> __device__ inline T fromFloat(float x);
template <> __device__ inline float fromFloat<float>(float x) { return x; }
template <> __device__ inline bf16 fromFloat<bf16>(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <> __device__ inline f16 fromFloat<f16>(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

struct Sum {
  static __device__ inline float start() { return 0.f; }
  static __device__ inline float join(float a, float b) { return a + b; }
};
struct Max {
  static __device__ inline float start() { return -INFINITY; }
  static __device__ inline float join(float a, float b) { return fmaxf(a, b); }
};

// A reduction over the threads of a warp; every thread gets the result.
template <class Reduction> __device__ inline float warpReduce(float x) {
  for (int lane = 16; lane > 0; lane /= 2) {
    x = Reduction::join(x, __shfl_xor_sync(0xffffffffu, x, lane));
  }
  return x;
}

// A reduction over the threads of a block, a multiple of 32 of them in x; every thread gets the result, always the same.
template <class Reduction> __device__ inline float blockReduce(float x) {
  __shared__ float parts[32];
  x = warpReduce<Reduction>(x);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : Reduction::start();
  x = warpReduce<Reduction>(x);
  __syncthreads();
  return x;
}
`;
