/**
 * CUDA C for instructions that kernels with tiles in shared memory share: copies that go on while a thread does, and
 * products on tensor cores (PTX ISA). They name the type `Element` of the kernel's tiles.
 */
import type { FloatDType } from '../../tensor/dtype.ts';

/**
 * C: copies of sixteen bytes to shared memory (cp.async), in batches. Where nothing is wanted they write zeros instead.
 */
export const asyncCopies = `
__device__ void copyPiece(Element* to, const Element* from, bool isWanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
    :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(isWanted ? 16 : 0) : "memory");
}
// Ends a batch: all copies since the last call.
__device__ void endBatch() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's batches but the last few.
template <int Pending> __device__ void awaitCopies() {
  asm volatile("cp.async.wait_group %0;" :: "n"(Pending) : "memory");
}
`;

/** C: the product of 16 x 16 and 16 x 8 halves by one warp (mma.m16n8k16). */
export function warpProduct(dtype: FloatDType): string {
  return `
// d += a b. A thread has 8 elements of a and 4 of b, two to a register, and 4 of d.
__device__ inline void mma(float* d, const u32* a, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.${dtype}.${dtype}.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
`;
}

/**
 * C: the operands of `mma` from shared memory (ldmatrix): four 8 x 8 matrices. Each lane gives the address of one row.
 */
export const matrixLoads = `
__device__ void loadMatrices(u32 (&x)[4], const Element* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
    : "r"((u32)__cvta_generic_to_shared(row)) : "memory");
}
__device__ void loadTransposed(u32 (&x)[4], const Element* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
    : "r"((u32)__cvta_generic_to_shared(row)) : "memory");
}
`;

/** C: what stands around products by four warps together on Hopper (wgmma), which read shared memory by descriptors. */
export const jointProducts = `
__device__ u64 describe(const Element* from, int leadingBytes, int strideBytes, bool isSwizzled) {
  return (u64)(((u32)__cvta_generic_to_shared(from) & 0x3ffff) >> 4) | (u64)(leadingBytes >> 4) << 16 |
    (u64)(strideBytes >> 4) << 32 | (u64)isSwizzled << 62;
}
__device__ void beginProduct() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ void endProduct() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Pending> __device__ void awaitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(Pending) : "memory");
}
`;
