import { CxmindError } from '../../errors.ts';
import type { LibraryProduct, ProductBatch } from '../../graph/kernel.ts';
import { bytesPerElement, type DType } from '../../tensor/dtype.ts';
import type { Cudart } from './cudart.ts';
import { define, openLibrary, type Code, type Library, type Out } from './library.ts';

/** `cudaDataType` of a product's operands and results. */
const dataTypes: Readonly<Partial<Record<DType, number>>> = { f32: 0, f16: 2, bf16: 14 };
/** `CUBLAS_COMPUTE_32F`: sums are f32, and products of f32 are not rounded to TF32. */
const COMPUTE_F32 = 68;
/** `CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION`: parts of a long sum stay f32 until they are added. */
const SUMS_STAY_F32 = 16;
const DEFAULT_ALGORITHM = -1;
/** Size that cuBLAS chooses on Hopper. Without a workspace of ours it would allocate one in every recorded run. */
const WORKSPACE_BYTES = 32 * 2 ** 20;

/** One operand of a product. */
export interface Operand {
  readonly address: bigint;
  readonly dtype: DType;
}

/**
 * Loads cuBLAS.
 *
 * @throws DEVICE_MISSING
 */
export function openCublas(): Library {
  return openLibrary(
    'cuBLAS',
    ['libcublas.so.13', 'libcublas.so.12', 'libcublas.so'],
    "it belongs to CUDA; put the folder of CUDA 13's `libcublas.so.13` on LD_LIBRARY_PATH",
  );
}

/** cuBLAS on one stream. Its matrices are column-major and ours row-major, so it computes the transposed product. */
export class Cublas implements Disposable {
  readonly #cudart: Cudart;
  readonly #workspace: bigint;
  readonly #handle: bigint;
  readonly #alpha = new Float32Array(new SharedArrayBuffer(4));
  readonly #beta = new Float32Array(new SharedArrayBuffer(4));
  readonly #destroy: Code<[bigint]>;
  readonly #product: Code<
    [
      ...[handle: bigint, transA: number, transB: number, m: number, n: number, k: number],
      ...[alpha: Float32Array, a: bigint, typeA: number, ldA: number, strideA: number],
      ...[b: bigint, typeB: number, ldB: number, strideB: number],
      ...[beta: Float32Array, c: bigint, typeC: number, ldC: number, strideC: number],
      ...[count: number, compute: number, algorithm: number],
    ]
  >;

  /** @throws DEVICE_MISSING without the library */
  constructor(cudart: Cudart) {
    const library = openCublas();
    const out: Out = new BigUint64Array(new SharedArrayBuffer(8));
    check(define<[Out]>(library, 'cublasCreate_v2', ['void *'])(out), 'cublasCreate');
    this.#handle = out[0]!;
    const setStream = define<[bigint, bigint]>(library, 'cublasSetStream_v2', ['void *', 'void *']);
    check(setStream(this.#handle, cudart.stream), 'cublasSetStream');
    this.#cudart = cudart;
    this.#workspace = cudart.allocate(WORKSPACE_BYTES);
    const setWorkspace = define<[bigint, bigint, number]>(library, 'cublasSetWorkspace_v2', [
      ...['void *', 'void *', 'size_t'],
    ]);
    check(setWorkspace(this.#handle, this.#workspace, WORKSPACE_BYTES), 'cublasSetWorkspace');
    const setMode = define<[bigint, number]>(library, 'cublasSetMathMode', ['void *', 'int']);
    check(setMode(this.#handle, SUMS_STAY_F32), 'cublasSetMathMode');
    this.#destroy = define(library, 'cublasDestroy_v2', ['void *']);
    this.#product = define(library, 'cublasGemmStridedBatchedEx', [
      ...['void *', 'int', 'int', 'int', 'int', 'int'],
      ...['void *', 'void *', 'int', 'int', 'int64_t'],
      ...['void *', 'int', 'int', 'int64_t'],
      ...['void *', 'void *', 'int', 'int', 'int64_t'],
      ...['int', 'int', 'int'],
    ]);
  }

  /** Queues products of row-major matrices, `y = alpha a·b + beta y`. */
  multiply(
    { transA, transB, alpha }: LibraryProduct,
    { m, n, k, count, offsets, strides }: ProductBatch,
    [a, b, y]: readonly [Operand, Operand, Operand],
    beta: number,
  ): void {
    this.#alpha[0] = alpha;
    this.#beta[0] = beta;
    const at = ({ address, dtype }: Operand, offset: number): bigint =>
      address + BigInt(offset * bytesPerElement(dtype));
    const code = this.#product(
      ...([this.#handle, Number(transB), Number(transA), n, m, k] as const),
      ...([this.#alpha, at(b, offsets[1]), dataTypes[b.dtype]!] as const),
      ...([transB ? k : n, strides[1]] as const),
      ...([at(a, offsets[0]), dataTypes[a.dtype]!, transA ? m : k, strides[0]] as const),
      ...([this.#beta, at(y, offsets[2]), dataTypes[y.dtype]!, n, strides[2]] as const),
      ...([count, COMPUTE_F32, DEFAULT_ALGORITHM] as const),
    );
    if (code !== 0) check(code, `cublasGemm ${count} x [${m}, ${k}] x [${k}, ${n}]`);
  }

  [Symbol.dispose](): void {
    check(this.#destroy(this.#handle), 'cublasDestroy');
    this.#cudart.free(this.#workspace);
  }
}

function check(code: number, call: string): void {
  if (code === 0) return;
  throw new CxmindError('RUNTIME_FAILED', `${call}: cuBLAS status ${code}`, { detail: { code } });
}
