/**
 * Division of sequences into sets of nearly equal numbers of tokens, for learners and micro-batches: the largest
 * differencing method of Karmarkar and Karp, with order and ties as in EasyR1's `seqlen_balancing`.
 */
import { CxmindError } from '../errors.ts';
import { sum } from './primitives.ts';

/** Rows that belong together, in the order they came, and their length in tokens. */
interface RowSet {
  readonly rows: readonly number[];
  readonly total: number;
}

/** `k` sets, the largest first. */
type Partition = readonly RowSet[];

/**
 * Divides rows into `setCount` sets of nearly equal total length.
 *
 * @param lengths  `[B]`, tokens of each row, prompt and response
 * @param setCount k, at most B
 * @returns k sets of row indices, the largest total first, indices rising inside each
 * @throws SHAPE_MISMATCH when B < k
 * @see Karmarkar and Karp, The Differencing Method of Set Partitioning, 1982
 */
export function balancedSets(lengths: readonly number[], setCount: number): number[][] {
  if (lengths.length < setCount || setCount < 1) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `balancedSets: ${lengths.length} rows do not make ${setCount} sets`,
    );
  }
  const byLength = [...lengths.keys()].sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const empty = new Array<RowSet>(setCount - 1).fill({ rows: [], total: 0 });
  const partitions = byLength.map((row): Partition => [
    { rows: [row], total: lengths[row]! },
    ...empty,
  ]);
  partitions.sort(comparePartitions);
  while (partitions.length > 1) {
    const first = partitions.pop()!;
    const second = partitions.pop()!;
    const merged = first.map((set, j) => union(set, second[setCount - 1 - j]!));
    insertPartition(partitions, largestFirst(merged));
  }
  return partitions[0]!.map(({ rows }) => rows.toSorted((a, b) => a - b));
}

/** `global_seqlen/*`: how even contiguous chunks of a batch are before and after balancing, in tokens. */
export function balanceMetrics(
  lengths: readonly number[],
  sets: readonly (readonly number[])[],
): Record<string, number> {
  const chunk = Math.floor(lengths.length / sets.length);
  const naive = sets.map((_, j) => sum(lengths.slice(j * chunk, (j + 1) * chunk)));
  const balanced = sets.map((rows) => sum(rows.map((row) => lengths[row]!)));
  return {
    'global_seqlen/min': Math.min(...naive),
    'global_seqlen/max': Math.max(...naive),
    'global_seqlen/minmax_diff': Math.max(...naive) - Math.min(...naive),
    'global_seqlen/balanced_min': Math.min(...balanced),
    'global_seqlen/balanced_max': Math.max(...balanced),
    'global_seqlen/mean': sum(lengths) / sets.length,
  };
}

/** Number of micro-batches for `dynamicBatches`; learners that step together take the largest. */
export function dynamicBatchCount(lengths: readonly number[], tokenBudget: number): number {
  return Math.min(lengths.length, Math.ceil(sum(lengths) / tokenBudget));
}

/**
 * Divides rows into micro-batches of about `tokenBudget` valid tokens each, the one whose attention
 * costs most (by `Σ length²`) first. A set may exceed the budget a little, as in EasyR1.
 *
 * @param lengths    `[B]`, valid tokens of each row
 * @param batchCount from `dynamicBatchCount`
 * @returns sets of row indices, rising inside each
 */
export function dynamicBatches(lengths: readonly number[], batchCount: number): number[][] {
  const cost = (rows: readonly number[]): number =>
    rows.reduce((total, row) => total + lengths[row]! ** 2, 0);
  return balancedSets(lengths, batchCount).sort((a, b) => cost(b) - cost(a) || b[0]! - a[0]!);
}

/** Sets by total, then number of rows, then the rows' indices one by one. */
function compareSets(a: RowSet, b: RowSet): number {
  const coarse = a.total - b.total || a.rows.length - b.rows.length;
  if (coarse !== 0) return coarse;
  const i = a.rows.findIndex((row, j) => row !== b.rows[j]);
  return i < 0 ? 0 : a.rows[i]! - b.rows[i]!;
}

/** Partitions by spread, the total of the first set less that of the last, then by their first set. */
function comparePartitions(a: Partition, b: Partition): number {
  return spreadOf(a) - spreadOf(b) || compareSets(a[0]!, b[0]!);
}

function spreadOf(partition: Partition): number {
  return partition[0]!.total - partition.at(-1)!.total;
}

function union(a: RowSet, b: RowSet): RowSet {
  return { rows: [...a.rows, ...b.rows], total: a.total + b.total };
}

function largestFirst(sets: readonly RowSet[]): Partition {
  return sets.toSorted((a, b) => compareSets(b, a));
}

/** Inserts into partitions in rising order, by bisection. */
function insertPartition(partitions: Partition[], partition: Partition): void {
  let low = 0;
  let high = partitions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePartitions(partitions[middle]!, partition) < 0) low = middle + 1;
    else high = middle;
  }
  partitions.splice(low, 0, partition);
}
