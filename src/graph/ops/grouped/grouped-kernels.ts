/** CUDA C of products of groups of rows (grouped GEMM), where the card alone knows the sizes of the groups. */
import type { FloatDType } from '../../../tensor/dtype.ts';
import { launchOf, scalarsOf, type Kernel } from '../../kernel.ts';
import { TILE_COLUMNS, TILE_ROWS, TILE_THREADS, tileBytes, tileProduct } from './tile-product.ts';

/**
 * The kernel of `groupedProduct`: each block computes a tile of rows of one group.
 *
 * Numbers of rows are read from the card's memory, so a recorded run has them too. A group's rows end with a tile that
 * may be part empty, so there are at most as many tiles as fit all rows, and one more for each group. A block finds its
 * group by its number; those that find none end.
 */
export function groupedProductKernel(dtype: FloatDType, groups: number, transB: boolean): Kernel {
  const entry = `groupedProduct${transB ? 'T' : ''}_${dtype}_${groups}`;
  return {
    entry,
    source: `
namespace ${entry}_ {
${tileProduct(dtype, { isATurned: false, isBTurned: !transB })}
constexpr int GROUPS = ${groups};
struct Inputs { const Element* of[GROUPS]; };
${FIND_TILE}

template <int BM> __device__ void tileOf(
    const Element* x, const i64* counts, const Element* const* weights, Element* y, int inner, int out) {
  const Tile tile = findTile(counts, blockIdx.y, BM);
  if (tile.group < 0) return;
  const Operand a = {x, tile.last, inner};
  const Operand b = {weights[tile.group], ${transB ? 'out, inner' : 'inner, out'}};
  multiply<BM>(a, tile.first, b, blockIdx.x * COLUMNS, 0, inner, y, tile.last, out);
}
}
extern "C" __global__ void __launch_bounds__(${TILE_THREADS}, 2) ${entry}(
    const ${entry}_::Element* x, const i64* counts, const __grid_constant__ ${entry}_::Inputs weights,
    ${entry}_::Element* y, int inner, int out, int tileRows) {
  using namespace ${entry}_;
  if (tileRows == ${TILE_ROWS[0]}) tileOf<${TILE_ROWS[0]}>(x, counts, weights.of, y, inner, out);
  else if (tileRows == ${TILE_ROWS[1]}) tileOf<${TILE_ROWS[1]}>(x, counts, weights.of, y, inner, out);
  else tileOf<${TILE_ROWS[2]}>(x, counts, weights.of, y, inner, out);
}`,
    launch: ([x], [y]) => {
      const [rows, inner] = x as [number, number];
      const [, out] = y as [number, number];
      const tileRows = TILE_ROWS.find((size) => rows <= size * groups) ?? TILE_ROWS[2];
      const tiles = Math.min(rows, Math.floor(rows / tileRows) + groups);
      const scalars = scalarsOf('i32', [inner, out, tileRows]);
      const grid = [Math.ceil(out / TILE_COLUMNS), tiles, 1] as const;
      return launchOf(grid, TILE_THREADS, scalars, tileBytes(tileRows));
    },
  };
}

/**
 * The kernel of `groupedOuterProduct`: each block computes a tile of one group's result, over the group's rows.
 *
 * @param hasAddends true if the results are f32, and sums with addends
 */
export function groupedOuterProductKernel(
  dtype: FloatDType,
  groups: number,
  hasAddends: boolean,
): Kernel {
  const entry = `groupedOuterProduct${hasAddends ? 'Sum' : ''}_${dtype}_${groups}`;
  const tileRows = TILE_ROWS[2];
  return {
    entry,
    source: `
namespace ${entry}_ {
${tileProduct(dtype, { isATurned: true, isBTurned: true })}
constexpr int GROUPS = ${groups};
typedef ${hasAddends ? 'float' : 'Element'} Result;
struct Addends { const Result* of[GROUPS]; };
struct Results { Result* of[GROUPS]; };
}
extern "C" __global__ void __launch_bounds__(${TILE_THREADS}, 2) ${entry}(
    const ${entry}_::Element* a, const ${entry}_::Element* b, const i64* counts,
    ${hasAddends ? `const __grid_constant__ ${entry}_::Addends addends, ` : ''}const __grid_constant__ ${entry}_::Results y,
    int m, int n) {
  using namespace ${entry}_;
  const int group = blockIdx.z;
  i64 first = 0;
  for (int i = 0; i < group; i++) first += counts[i];
  const i64 last = first + counts[group];
  multiply<${tileRows}>(
    {a, last, m}, blockIdx.y * ${tileRows}, {b, last, n}, blockIdx.x * COLUMNS, first, last,
    y.of[group], m, n${hasAddends ? ', addends.of[group]' : ''});
}`,
    launch: (_inputs, [y]) => {
      const [m, n] = y as [number, number];
      const grid = [Math.ceil(n / TILE_COLUMNS), Math.ceil(m / tileRows), groups] as const;
      return launchOf(grid, TILE_THREADS, scalarsOf('i32', [m, n]), tileBytes(tileRows));
    },
  };
}

/** C: the group and the rows of a tile. All warps of a block find the same. */
const FIND_TILE = `
struct Tile {
  int group;                          // -1 where there is no such tile
  i64 first, last;                    // from its first row to before the end of its group's rows
};

__device__ Tile findTile(const i64* counts, int number, int tileRows) {
  const int lane = threadIdx.x % 32;
  int tiles = 0;
  i64 rows = 0;
  for (int from = 0; from < GROUPS; from += 32) {
    const i64 own = from + lane < GROUPS ? counts[from + lane] : 0;
    // Sums over this lane's group and those before it.
    int tilesTo = ((int)own + tileRows - 1) / tileRows;
    const int ownTiles = tilesTo;
    i64 rowsTo = own;
    for (int step = 1; step < 32; step *= 2) {
      const int lessTiles = __shfl_up_sync(~0u, tilesTo, step);
      const i64 lessRows = __shfl_up_sync(~0u, rowsTo, step);
      if (lane >= step) { tilesTo += lessTiles; rowsTo += lessRows; }
    }
    const u32 beyond = __ballot_sync(~0u, number < tiles + tilesTo);
    if (beyond != 0) {
      const int owner = __ffs(beyond) - 1;
      const int before = __shfl_sync(~0u, tiles + tilesTo - ownTiles, owner);
      const i64 end = rows + __shfl_sync(~0u, rowsTo, owner);
      const i64 start = end - __shfl_sync(~0u, own, owner);
      return {from + owner, start + (i64)(number - before) * tileRows, end};
    }
    tiles += __shfl_sync(~0u, tilesTo, 31);
    rows += __shfl_sync(~0u, rowsTo, 31);
  }
  return {-1, 0, 0};
}
`;
