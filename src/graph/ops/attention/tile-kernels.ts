import type { FloatDType } from '../../../tensor/dtype.ts';
import { cTypes } from '../../kernel-prelude.ts';
import { asyncCopies, jointProducts, matrixLoads, warpProduct } from '../tensor-cores.ts';

/** Geometry of tiles in shared memory, for rows of one width. */
interface TileShape {
  /** Rows of a tile; sixteen to a warp. */
  readonly rows: number;
  readonly threads: number;
  /** Most bytes of one tile. */
  readonly bytes: number;
  /** Further bytes that a block's products need. */
  readonly scratchBytes: number;
}

/** Geometry of the tiles that `tileSource` declares. */
export function tileShape(dtype: FloatDType, width: number): TileShape {
  const isHalf = dtype !== 'f32';
  const rows = isHalf ? 64 : 32;
  return {
    rows,
    threads: 2 * rows,
    bytes: (rows + 1) * columnsOf(width) * (isHalf ? 2 : 4),
    scratchBytes: isHalf ? 0 : 4 * rows * (rows + 1),
  };
}

/** Width of a tile: the rows' width, filled with zeros to a multiple of sixteen. */
function columnsOf(width: number): number {
  return Math.ceil(width / 16) * 16;
}

/**
 * CUDA C for tiles of rows in shared memory and for their products: `Sums`, `load`, `multiply`, `accumulate`.
 *
 * A warp owns sixteen rows of a product, in the layout of tensor cores: of every eight columns, lane `l` holds columns
 * `2 (l % 4)` and `2 (l % 4) + 1` of row `l / 4`, then of row `l / 4 + 8`. Tensor cores multiply halves. On Hopper their
 * instructions are issued by four warps together (wgmma) and read tiles from shared memory themselves. Each lane
 * multiplies f32 one product after the other.
 */
export function tileSource(dtype: FloatDType, width: number): string {
  const { rows, threads } = tileShape(dtype, width);
  const columns = columnsOf(width);
  const products =
    dtype === 'f32'
      ? productsOfFloats
      : `
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
${hopperInstructions(dtype, columns, rows)}
${productsOnHopper}
#else
${warpProduct(dtype)}
${matrixLoads}
${packing(dtype)}
${productsOnTensorCores}
#endif`;
  return `
typedef ${cTypes[dtype]} Element;
constexpr int WIDTH = ${width}, COLUMNS = ${columns}, ROWS = ${rows}, THREADS = ${threads};
${geometry}
${products}`;
}

const geometry = `
// A piece is the elements in sixteen bytes.
//
// A tile that tensor cores of Hopper read has slabs of 64 columns, one after the other, and a row of a slab is 128
// adjacent bytes. Its pieces change places by their number XOR the row's, modulo 8 (swizzle of 128 bytes): so neither
// eight pieces of a row nor one piece of eight rows share banks. It takes whole slabs.
//
// Any other tile has panels: one piece of every row, one after the other. Tensor cores read eight rows of a panel
// together, which are 128 adjacent bytes. A spare piece between panels puts the pieces of a row in different banks. But
// a row's bytes lie apart, and their copy takes four times as many requests to the L2 cache.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr bool IS_SWIZZLED = sizeof(Element) == 2 && COLUMNS % 64 == 0;
#else
constexpr bool IS_SWIZZLED = false;
#endif
constexpr int PIECE = 16 / sizeof(Element), SLAB = ROWS * 64, PANEL = (ROWS + 1) * PIECE;
constexpr int TILE = IS_SWIZZLED ? COLUMNS / 64 * SLAB : COLUMNS / PIECE * PANEL;
__device__ int placeOf(int row, int column) {
  if constexpr (IS_SWIZZLED)
    return column / 64 * SLAB + row * 64 + (column / PIECE % 8 ^ row % 8) * PIECE + column % PIECE;
  else return column / PIECE * PANEL + row * PIECE + column % PIECE;
}

// This lane's share of a warp's product, of sixteen rows and N columns.
template <int N> struct Sums { float at[N / 8][4]; };

template <int N> __device__ void clear(Sums<N>& sums) {
  #pragma unroll
  for (int n = 0; n < N / 8; n++)
    for (int e = 0; e < 4; e++) sums.at[n][e] = 0;
}

__device__ int laneOf() { return threadIdx.x % 32; }
// The first row of this thread's warp.
__device__ int warpRow() { return threadIdx.x / 32 * 16; }
// The row of element e of this lane's sums.
__device__ int rowOf(int e) { return warpRow() + laneOf() / 4 + (e / 2) * 8; }
// The column of element e in the n-th eight columns.
__device__ int columnOf(int n, int e) { return n * 8 + laneOf() % 4 * 2 + e % 2; }

// Sum and maximum over the four lanes that share a row.
__device__ float rowSum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}
__device__ float rowMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

// Copies do not branch where nothing is wanted: a branch between the start and the end of a product on Hopper would make
// the product wait.${asyncCopies}__device__ void copyNumber(float* to, const float* from, bool isWanted) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
    :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(isWanted ? 4 : 0) : "memory");
}
// Waits as well, and makes the copies visible to instructions that read tiles themselves.
template <int Pending> __device__ void awaitBatches() {
  awaitCopies<Pending>();
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// A thread copies one column of a tile: a piece of every STEP-th row, COPIES in all.
constexpr int PIECES = COLUMNS / PIECE, STEP = THREADS / PIECES, COPIES = (ROWS + STEP - 1) / STEP;

// The rows that this thread copies of a tile: those in \`order\` from \`first\` on. At its end the last row is read
// again.
struct Rows { int at[COPIES]; };
__device__ Rows rowsFrom(const int* order, int first, int count) {
  Rows rows;
  #pragma unroll
  for (int i = 0; i < COPIES; i++)
    rows.at[i] = order[min(first + (int)threadIdx.x / PIECES + i * STEP, count - 1)];
  return rows;
}

// Starts to fill a tile with rows that are Pitch elements apart. The tile is worthless where it is not wanted.
template <int Pitch>
__device__ void load(Element* tile, const Element* source, const Rows& rows, bool isWanted = true) {
  const int top = threadIdx.x / PIECES, column = threadIdx.x % PIECES * PIECE;
  if (top >= STEP) return;
  #pragma unroll
  for (int i = 0; i < COPIES; i++) {
    const int row = top + i * STEP;
    if (ROWS % STEP != 0 && row >= ROWS) break;
    Element* to = tile + placeOf(row, column);
    const Element* from = source + (i64)rows.at[i] * Pitch + column;
    if constexpr (WIDTH % PIECE == 0) {
      if (WIDTH == COLUMNS || column < WIDTH) copyPiece(to, from, isWanted);
      else *(Pack<Element, PIECE>*)to = {};
    } else {
      for (int c = 0; c < PIECE; c++) to[c] = column + c < WIDTH ? from[c] : Element{};
    }
  }
}

// Writes one of this lane's two rows of sums, times a factor.
template <class T> __device__ void storeRow(T* to, const Sums<COLUMNS>& sums, int half, float factor) {
  #pragma unroll
  for (int n = 0; n < COLUMNS / 8; n++) {
    const int column = columnOf(n, 0);
    if (column >= WIDTH) continue;
    const float low = sums.at[n][2 * half] * factor, high = sums.at[n][2 * half + 1] * factor;
    *(Pack<T, 2>*)(to + column) = {fromFloat<T>(low), fromFloat<T>(high)};
  }
}
`;

const productsOnTensorCores = `
// sums = a bᵀ: this warp's rows of one tile times all rows of another.
__device__ void multiply(Sums<ROWS>& sums, const Element* a, const Element* b) {
  const int lane = laneOf();
  const Element* aRow = a + placeOf(warpRow() + lane % 16, lane / 16 * 8);
  const Element* bRow = b + placeOf(lane / 16 * 8 + lane % 8, lane / 8 % 2 * 8);
  clear(sums);
  #pragma unroll
  for (int k = 0; k < COLUMNS; k += 16) {
    u32 x[4], y[4];
    loadMatrices(x, aRow + placeOf(0, k));
    #pragma unroll
    for (int n = 0; n < ROWS; n += 16) {
      loadMatrices(y, bRow + placeOf(n, k));
      mma(sums.at[n / 8], x, y[0], y[1]);
      mma(sums.at[n / 8 + 1], x, y[2], y[3]);
    }
  }
}

// sums += weights b: the result of multiply times the rows of a tile.
__device__ void accumulate(Sums<COLUMNS>& sums, const Sums<ROWS>& weights, const Element* b, float*) {
  const int lane = laneOf();
  const Element* bRow = b + placeOf(lane % 16, lane / 16 * 8);
  #pragma unroll
  for (int k = 0; k < ROWS; k += 16) {
    u32 x[4], y[4];
    pack(x, weights, k);
    #pragma unroll
    for (int n = 0; n < COLUMNS; n += 16) {
      loadTransposed(y, bRow + placeOf(k, n));
      mma(sums.at[n / 8], x, y[0], y[1]);
      mma(sums.at[n / 8 + 1], x, y[2], y[3]);
    }
  }
}
template <int Pending> __device__ void awaitProducts() {}
`;

/** C: matrix instructions of four warps (PTX ISA, wgmma), which take descriptors of operands in shared memory. */
function hopperInstructions(dtype: FloatDType, columns: number, rows: number): string {
  const sums = (count: number): string =>
    Array.from({ length: count }, (_, i) => `"+f"(d.at[${i >> 2}][${i & 3}])`).join(', ');
  const results = (count: number): string =>
    Array.from({ length: count }, (_, i) => `%${i}`).join(',');
  const wgmma = (size: number, operands: string, flags: string): string =>
    `"{\\n.reg .pred p;\\nsetp.ne.b32 p, ${operands.split(' ').at(-1)}, 0;\\n"
    "wgmma.mma_async.sync.aligned.m64n${size}k16.f32.${dtype}.${dtype} "
    "{${results(size / 2)}}, ${operands.split(' ').slice(0, -1).join(' ')} p, 1, 1, ${flags};\\n}"`;
  const [few, many] = [rows / 2, columns / 2];
  return `
${jointProducts}// Sixteen columns of a tile from the k-th on, as an operand that is multiplied along its rows.
__device__ u64 columnsAt(const Element* tile, int k) {
  if constexpr (IS_SWIZZLED) return describe(tile + k / 64 * SLAB + k % 64, 16, 1024, true);
  else return describe(tile + placeOf(0, k), 2 * PANEL, 128, false);
}
// Sixteen rows of a tile from the k-th on, as an operand that is multiplied along its columns.
__device__ u64 rowsAt(const Element* tile, int k) {
  if constexpr (IS_SWIZZLED) return describe(tile + k * 64, 2 * SLAB, 1024, true);
  else return describe(tile + placeOf(k, 0), 128, 2 * PANEL, false);
}
// d = a bᵀ or d += a bᵀ, over sixteen columns.
__device__ void multiplyStep(Sums<ROWS>& d, u64 a, u64 b, int isSum) {
  asm volatile(${wgmma(rows, `%${few}, %${few + 1}, %${few + 2}`, '0, 0')}
    : ${sums(few)} : "l"(a), "l"(b), "r"(isSum));
}
// d += x b, over sixteen rows of b.
__device__ void accumulateStep(Sums<COLUMNS>& d, const u32 (&x)[4], u64 b) {
  asm volatile(${wgmma(columns, `{%${many},%${many + 1},%${many + 2},%${many + 3}}, %${many + 4}, %${many + 5}`, '1')}
    : ${sums(many)} : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "l"(b), "r"(1));
}
${packing(dtype)}`;
}

/** C: weights as the left operand of a product. */
function packing(dtype: FloatDType): string {
  return `
__device__ u32 packPair(float low, float high) {
  u32 both;
  asm("cvt.rn.${dtype}x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
__device__ void pack(u32 (&x)[4], const Sums<ROWS>& weights, int k) {
  const float (&w)[4] = weights.at[k / 8], (&v)[4] = weights.at[k / 8 + 1];
  x[0] = packPair(w[0], w[1]);
  x[1] = packPair(w[2], w[3]);
  x[2] = packPair(v[0], v[1]);
  x[3] = packPair(v[2], v[3]);
}`;
}

const productsOnHopper = `
// Starts sums = a bᵀ: this warp's rows of one tile times all rows of another.
__device__ void multiply(Sums<ROWS>& sums, const Element* a, const Element* b) {
  beginProduct();
  #pragma unroll
  for (int k = 0; k < COLUMNS; k += 16)
    multiplyStep(sums, columnsAt(a, k), columnsAt(b, k), k > 0);
  endProduct();
}

// Starts sums += weights b: the result of multiply times the rows of a tile.
__device__ void accumulate(Sums<COLUMNS>& sums, const Sums<ROWS>& weights, const Element* b, float*) {
  u32 x[ROWS / 16][4];
  #pragma unroll
  for (int k = 0; k < ROWS; k += 16) pack(x[k / 16], weights, k);
  beginProduct();
  #pragma unroll
  for (int k = 0; k < ROWS; k += 16) accumulateStep(sums, x[k / 16], rowsAt(b, k));
  endProduct();
}
`;

const productsOfFloats = `
// sums = a bᵀ: this warp's rows of one tile times all rows of another.
__device__ void multiply(Sums<ROWS>& sums, const Element* a, const Element* b) {
  clear(sums);
  for (int k = 0; k < COLUMNS; k++) {
    const float low = a[placeOf(rowOf(0), k)], high = a[placeOf(rowOf(2), k)];
    #pragma unroll
    for (int n = 0; n < ROWS / 8; n++)
      for (int e = 0; e < 2; e++) {
        const float y = b[placeOf(columnOf(n, e), k)];
        sums.at[n][e] += low * y;
        sums.at[n][e + 2] += high * y;
      }
  }
}

// sums += weights b: the result of multiply times the rows of a tile. A warp uses its own rows of scratch, ROWS x (ROWS +
// 1).
__device__ void accumulate(Sums<COLUMNS>& sums, const Sums<ROWS>& weights, const Element* b, float* scratch) {
  __syncwarp();
  #pragma unroll
  for (int n = 0; n < ROWS / 8; n++)
    for (int e = 0; e < 4; e++) scratch[rowOf(e) * (ROWS + 1) + columnOf(n, e)] = weights.at[n][e];
  __syncwarp();
  for (int k = 0; k < ROWS; k++) {
    const float low = scratch[rowOf(0) * (ROWS + 1) + k], high = scratch[rowOf(2) * (ROWS + 1) + k];
    #pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++)
      for (int e = 0; e < 2; e++) {
        const float y = b[placeOf(k, columnOf(n, e))];
        sums.at[n][e] += low * y;
        sums.at[n][e + 2] += high * y;
      }
  }
}
template <int Pending> __device__ void awaitProducts() {}
`;
