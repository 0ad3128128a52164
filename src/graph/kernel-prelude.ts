/** C types, C numbers and the declarations that stand before every kernel's source. */
import type { DType } from '../tensor/dtype.ts';

/** The C type of each dtype. Halves are structs that cannot compute: `toFloat` and `fromFloat` convert them. */
export const cTypes: Readonly<Record<DType, string>> = {
  f32: 'float',
  f16: 'f16',
  bf16: 'bf16',
  i32: 'int',
  i64: 'i64',
  u8: 'u8',
  bool: 'bool',
};

/** The C literal of a float, rounded to the nearest. */
export function cFloat(value: number): string {
  const nearest = Math.fround(value);
  if (Number.isNaN(nearest)) return '(INFINITY - INFINITY)';
  const size = Math.abs(nearest);
  const digits =
    size === Infinity ? 'INFINITY' : /[.e]/.test(String(size)) ? `${size}f` : `${size}.f`;
  return nearest < 0 || Object.is(nearest, -0) ? `(-${digits})` : digits;
}

/** The C literal of a number of a dtype. */
export function cNumber(value: number, dtype: DType): string {
  switch (dtype) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return cFloat(value);
    case 'i64':
      return `(${value}ll)`;
    case 'i32':
    case 'u8':
      return `(${value})`;
    case 'bool':
      return value === 0 ? 'false' : 'true';
    default:
      return dtype satisfies never;
  }
}

/** Declarations before the source of every kernel. They need no header of CUDA's. */
export const kernelPrelude = `
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define INFINITY __int_as_float(0x7f800000)

struct bf16 { u16 bits; };
struct f16 { u16 bits; };

// N elements that are loaded and stored together, at most 16 bytes at once, at an address that is aligned to these.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T at[N]; };

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

template <class T> __device__ inline float rounded(float x) { return toFloat(fromFloat<T>(x)); }

// The smaller and the larger of two numbers; NaN if either is NaN.
template <class T> __device__ inline T smaller(T a, T b) { return a < b || a != a ? a : b; }
template <class T> __device__ inline T larger(T a, T b) { return a > b || a != a ? a : b; }

// Loads and stores of N elements at an address that is aligned to a pack of them.
template <int N, class T> __device__ inline Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T> __device__ inline void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
template <int N, class T> __device__ inline bool isAligned(const T* address) {
  return reinterpret_cast<u64>(address) % alignof(Pack<T, N>) == 0;
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

// A reduction over the threads of a block, a multiple of 32 in x. Every thread gets the result, the same in every run.
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

// A reduction over the threads of a block with the same y, a power of two in x. Every thread gets the result.
template <class Reduction> __device__ inline float rowReduce(float x) {
  __shared__ float parts[32];
  for (u32 lane = min(blockDim.x, 32u) / 2; lane > 0; lane /= 2) {
    x = Reduction::join(x, __shfl_xor_sync(0xffffffffu, x, lane));
  }
  if (blockDim.x > 32) {
    const u32 warps = blockDim.x / 32;
    if (threadIdx.x % 32 == 0) parts[threadIdx.y * warps + threadIdx.x / 32] = x;
    __syncthreads();
    x = Reduction::start();
    for (u32 i = 0; i < warps; i++) x = Reduction::join(x, parts[threadIdx.y * warps + i]);
    __syncthreads();
  }
  return x;
}

// Sums over the threads of a block with the same x. There are 256 threads, a power of two in x. Those with y = 0 get the
// results.
template <int N> __device__ inline void columnReduce(float (&sums)[N]) {
  __shared__ float parts[N][256];
  const u32 thread = threadIdx.y * blockDim.x + threadIdx.x;
  for (int i = 0; i < N; i++) parts[i][thread] = sums[i];
  for (u32 half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half) {
      for (int i = 0; i < N; i++) parts[i][thread] += parts[i][thread + half * blockDim.x];
    }
  }
  for (int i = 0; i < N; i++) sums[i] = parts[i][thread];
  __syncthreads();
}
`;
