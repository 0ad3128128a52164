/**
 * CUDA C for a tile of a product of two matrices, which a block computes from tiles of both in shared memory.
 *
 * Copies of the next tiles go on while tensor cores multiply (cp.async). On Hopper four warps multiply together and read
 * both operands from shared memory (wgmma), elsewhere each warp for itself (mma), and f32 is multiplied one product after
 * the other.
 */
import type { FloatDType } from '../../../tensor/dtype.ts';
import { cTypes } from '../../kernel-prelude.ts';
import { asyncCopies, jointProducts, matrixLoads, warpProduct } from '../tensor-cores.ts';

/** Threads of a block: eight warps. */
export const TILE_THREADS = 256;
/** Columns of a tile of results. */
export const TILE_COLUMNS = 128;
/** Rows that a tile of results may have. */
export const TILE_ROWS = [16, 64, 128] as const;
/** Tiles of operands in shared memory at a time, all but one of which are on their way. */
const STAGES = 3;
/** Bytes of a line of a tile. A tile is so deep: the terms of its sums are those of one line. */
const LINE_BYTES = 128;

/** Operands that lie in memory with the axis of the sum first. */
interface Turned {
  readonly isATurned: boolean;
  readonly isBTurned: boolean;
}

/** Bytes of shared memory for a tile of `tileRows` rows. */
export function tileBytes(tileRows: number): number {
  return STAGES * (tileRows + TILE_COLUMNS) * LINE_BYTES;
}

/** C: `Element`, `Operand`, and `multiply`, which computes a tile. */
export function tileProduct(dtype: FloatDType, { isATurned, isBTurned }: Turned): string {
  return `
typedef ${cTypes[dtype]} Element;
constexpr int COLUMNS = ${TILE_COLUMNS}, STAGES = ${STAGES}, THREADS = ${TILE_THREADS};
constexpr int PIECE = 16 / sizeof(Element), LINE = ${LINE_BYTES} / sizeof(Element), DEPTH = LINE;
constexpr bool IS_A_TURNED = ${isATurned}, IS_B_TURNED = ${isBTurned};
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr bool IS_HOPPER = ${dtype !== 'f32'};
#else
constexpr bool IS_HOPPER = false;
#endif
${asyncCopies}
${LOADS}
${dtype === 'f32' ? FLOAT_STEP : tensorCoreStep(dtype) + hopperStep(dtype, { isATurned, isBTurned })}
${MULTIPLY}`;
}

/** C: tiles in shared memory, and copies to them that go on while the thread does. */
const LOADS = `
// A tile of R rows has slabs of one line of each row, one after the other. The pieces of a line, of sixteen bytes, change
// places by their number XOR the row's, modulo 8: so neither eight pieces of a row nor one piece of eight rows share
// banks.
template <int R> __device__ int placeOf(int row, int column) {
  return column / LINE * R * LINE + row * LINE + (column / PIECE % 8 ^ row % 8) * PIECE + column % PIECE;
}

// A row-major matrix. What is outside of it counts as zeros.
struct Operand { const Element* at; i64 rows; int columns; };

// Copies the tile of R rows and C columns from a place on. A thread copies one piece of every STEP-th row, and as STEP is
// a multiple of eight, all at the same place of their lines.
template <int R, int C> __device__ void loadTile(Element* tile, const Operand& from, i64 row, i64 column) {
  constexpr int ACROSS = C / PIECE, STEP = THREADS / ACROSS;
  static_assert(STEP % 8 == 0, "rows of a thread have one place in their lines");
  const int top = threadIdx.x / ACROSS, left = threadIdx.x % ACROSS * PIECE;
  const bool isPacked = from.columns % PIECE == 0 && isAligned<PIECE>(from.at);
  const bool isColumn = column + left < from.columns;
  const Element* source = from.at + (row + top) * from.columns + column + left;
  Element* to = tile + placeOf<R>(top, left);
  #pragma unroll
  for (int r = top; r < R; r += STEP) {
    const bool isInside = isColumn && row + r < from.rows;
    if (isPacked) {
      copyPiece(to, isInside ? source : from.at, isInside);
    } else {
      for (int j = 0; j < PIECE; j++) to[j] = isInside && column + left + j < from.columns ? source[j] : Element{};
    }
    source += (i64)STEP * from.columns;
    to += STEP * LINE;
  }
}
`;

/**
 * C: the products of the tiles in shared memory by tensor cores. Of every eight
 * columns, lane \`l\` has columns \`2 (l % 4)\` and \`2 (l % 4) + 1\` of row \`l / 4\`, then of row \`l / 4 + 8\`.
 */
function tensorCoreStep(dtype: FloatDType): string {
  return `
${warpProduct(dtype)}
${matrixLoads}
template <bool IsTurned> __device__ void loadOperand(u32 (&x)[4], const Element* row) {
  if constexpr (IsTurned) loadTransposed(x, row);
  else loadMatrices(x, row);
}

template <int BM, int M, int N> __device__ void addProducts(
    float (&sums)[M / 16][N / 8][4], const Element* a, const Element* b, int row, int column) {
  const int lane = threadIdx.x % 32, eight = lane % 8, high = lane / 8 % 2 * 8, top = lane / 16 * 8;
  #pragma unroll
  for (int k = 0; k < DEPTH; k += 16) {
    u32 x[M / 16][4], y[4];
    #pragma unroll
    for (int m = 0; m < M; m += 16)
      loadOperand<IS_A_TURNED>(x[m / 16], a + (IS_A_TURNED
        ? placeOf<DEPTH>(k + top + eight, row + m + high)
        : placeOf<BM>(row + m + high + eight, k + top)));
    #pragma unroll
    for (int n = 0; n < N; n += 16) {
      loadOperand<IS_B_TURNED>(y, b + (IS_B_TURNED
        ? placeOf<DEPTH>(k + high + eight, column + n + top)
        : placeOf<COLUMNS>(column + n + top + eight, k + high)));
      #pragma unroll
      for (int m = 0; m < M / 16; m++) {
        mma(sums[m][n / 8], x[m], y[0], y[1]);
        mma(sums[m][n / 8 + 1], x[m], y[2], y[3]);
      }
    }
  }
}
`;
}

/**
 * C: the products of the tiles by four warps together on Hopper, which read both operands from shared memory. Sums are in
 * the same lanes as in `tensorCoreStep`; each warp has sixteen of the 64 rows, and all columns.
 */
function hopperStep(dtype: FloatDType, { isATurned, isBTurned }: Turned): string {
  const step = (columns: number): string => {
    const count = columns / 2;
    const results = Array.from({ length: count }, (_, i) => `%${i}`).join(',');
    const sums = Array.from({ length: count }, (_, i) => `"+f"(d[0][${i >> 2}][${i & 3}])`);
    return `
__device__ void addStep(float (&d)[1][${columns / 8}][4], u64 a, u64 b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n${columns}k16.f32.${dtype}.${dtype} "
    "{${results}}, %${count}, %${count + 1}, 1, 1, 1, ${Number(isATurned)}, ${Number(isBTurned)};"
    : ${sums.join(', ')} : "l"(a), "l"(b));
}`;
  };
  return `
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
${jointProducts}
${step(64)}
${step(128)}
// Sixteen terms from the k-th on of an operand from its row or column 'from' on.
template <bool IsTurned> __device__ u64 operandAt(const Element* tile, int from, int k) {
  const Element* const at = tile + (IsTurned ? (from / LINE * DEPTH + k) * LINE : from * LINE + k);
  return describe(at, IsTurned ? DEPTH * ${LINE_BYTES} : 16, 8 * ${LINE_BYTES}, true);
}
template <int N> __device__ void addProductsTogether(
    float (&sums)[1][N / 8][4], const Element* a, const Element* b, int row, int column) {
  beginProduct();
  #pragma unroll
  for (int k = 0; k < DEPTH; k += 16)
    addStep(sums, operandAt<IS_A_TURNED>(a, row / 64 * 64, k), operandAt<IS_B_TURNED>(b, column, k));
  endProduct();
  awaitProducts<0>();
}
#endif
`;
}

/** C: the products of the tiles in f32, one after the other, with sums in the lanes of `tensorCoreStep`. */
const FLOAT_STEP = `
template <int BM, int M, int N> __device__ void addProducts(
    float (&sums)[M / 16][N / 8][4], const Element* a, const Element* b, int row, int column) {
  const int lane = threadIdx.x % 32, top = lane / 4, left = lane % 4 * 2;
  #pragma unroll 4
  for (int k = 0; k < DEPTH; k++) {
    float x[M / 8], y[N / 8][2];
    #pragma unroll
    for (int m = 0; m < M / 8; m++) {
      const int r = row + m * 8 + top;
      x[m] = a[IS_A_TURNED ? placeOf<DEPTH>(k, r) : placeOf<BM>(r, k)];
    }
    #pragma unroll
    for (int n = 0; n < N / 8; n++)
      for (int e = 0; e < 2; e++) {
        const int c = column + n * 8 + left + e;
        y[n][e] = b[IS_B_TURNED ? placeOf<DEPTH>(k, c) : placeOf<COLUMNS>(c, k)];
      }
    #pragma unroll
    for (int m = 0; m < M / 16; m++)
      for (int n = 0; n < N / 8; n++)
        for (int e = 0; e < 4; e++) sums[m][n][e] += x[2 * m + e / 2] * y[n][e % 2];
  }
}
`;

const MULTIPLY = `
// Defined where tensor cores take the operands of four warps.
template <int N> __device__ void addProductsTogether(
    float (&sums)[1][N / 8][4], const Element* a, const Element* b, int row, int column);

// The tile of BM rows and COLUMNS columns of y [rows, columns] = a b, from a place on; the sum is over from ... to.
// Either operand has its rows' or columns' axis first, or that of the sum if it is turned. The addend may be y itself.
template <int BM, class Result> __device__ void multiply(
    const Operand& a, i64 row, const Operand& b, int column, i64 from, i64 to,
    Result* y, i64 rows, int columns, const Result* addend = nullptr) {
  // A warp's rows and columns of the tile.
  constexpr bool IS_TOGETHER = IS_HOPPER && BM >= 64;
  constexpr int M = IS_TOGETHER || BM == 16 ? 16 : BM / 2;
  constexpr int N = IS_TOGETHER ? BM : BM == 16 ? 16 : 32;
  constexpr int DOWN = BM / M, ACROSS = COLUMNS / N;
  static_assert(DOWN * ACROSS == THREADS / 32, "warps cover the tile");
  const int warp = threadIdx.x / 32, ownRow = warp % DOWN * M, ownColumn = warp / DOWN * N;
  extern __shared__ __align__(1024) u8 shared[];
  Element* const tiles = reinterpret_cast<Element*>(shared);
  constexpr int A_SIZE = BM * LINE, STAGE = A_SIZE + COLUMNS * LINE;
  const auto loadTiles = [&](int tile) {
    Element* const at = tiles + tile % STAGES * STAGE;
    const i64 k = from + (i64)tile * DEPTH;
    if (k < to) {
      if constexpr (IS_A_TURNED) loadTile<DEPTH, BM>(at, a, k, row);
      else loadTile<BM, DEPTH>(at, a, row, k);
      if constexpr (IS_B_TURNED) loadTile<DEPTH, COLUMNS>(at + A_SIZE, b, k, column);
      else loadTile<COLUMNS, DEPTH>(at + A_SIZE, b, column, k);
    }
    endBatch();
  };
  float sums[M / 16][N / 8][4] = {};
  for (int tile = 0; tile < STAGES - 1; tile++) loadTiles(tile);
  const int count = (to - from + DEPTH - 1) / DEPTH;
  for (int tile = 0; tile < count; tile++) {
    awaitCopies<STAGES - 2>();
    if constexpr (IS_TOGETHER) asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    // The tile is there for all, and all have done with the one that the next takes the place of.
    __syncthreads();
    loadTiles(tile + STAGES - 1);
    const Element* const at = tiles + tile % STAGES * STAGE;
    if constexpr (IS_TOGETHER) addProductsTogether<N>(sums, at, at + A_SIZE, ownRow, ownColumn);
    else addProducts<BM, M, N>(sums, at, at + A_SIZE, ownRow, ownColumn);
  }
  const int lane = threadIdx.x % 32;
  const bool isPair = columns % 2 == 0 && isAligned<2>(y) && isAligned<2>(addend);
  // Addends are read some at a time, since none is read before a write that may change it.
  constexpr int SOME = N / 8 < 8 ? N / 8 : 8;
  #pragma unroll
  for (int part = 0; part < M / 16 * 2 * (N / 8 / SOME); part++) {
    const int m = part / 2 / (N / 8 / SOME), half = part % 2, first = part / 2 % (N / 8 / SOME) * SOME;
    const i64 r = row + ownRow + m * 16 + half * 8 + lane / 4;
    const int left = column + ownColumn + first * 8 + lane % 4 * 2;
    if (r >= rows) continue;
    Pack<Result, 2> old[SOME] = {};
    if (addend != nullptr) {
      const Result* const before = addend + r * columns;
      #pragma unroll
      for (int n = 0; n < SOME; n++) {
        const int c = left + n * 8;
        if (isPair && c < columns) old[n] = load<2>(before + c);
        else
          for (int e = 0; e < 2 && c + e < columns; e++) old[n].at[e] = before[c + e];
      }
    }
    Result* const to = y + r * columns;
    #pragma unroll
    for (int n = 0; n < SOME; n++) {
      const int c = left + n * 8;
      const float (&sum)[4] = sums[m][first + n];
      Pack<Result, 2> both;
      for (int e = 0; e < 2; e++) both.at[e] = fromFloat<Result>(sum[2 * half + e] + toFloat(old[n].at[e]));
      if (isPair && c < columns) store<2>(to + c, both);
      else
        for (int e = 0; e < 2 && c + e < columns; e++) to[c + e] = both.at[e];
    }
  }
}
`;
