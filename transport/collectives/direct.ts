/** Operations on inputs that all ranks can read: each rank writes its own output, and sends nothing. */
import type { Call } from './call.ts';
import { copy, type Elements } from './elements.ts';
import { sumInto } from './sum.ts';

/** True where the root alone has an input that others read. */
export function isOneSided({ operation }: Call): boolean {
  return operation === 'broadcast' || operation === 'scatter';
}

/** Number of rows in the input of a rank. Each has as many elements as the call's count. */
export function inputRows({ operation }: Call, size: number): number {
  return operation === 'reduceScatter' || operation === 'scatter' ? size : 1;
}

/**
 * Does one rank's share of an operation whose inputs all ranks can read. It writes its own output alone.
 *
 * @param input  finds a row of a rank's input, where that rank has one
 * @param output finds a row of this rank's output
 */
export function doDirectly(
  { operation, root }: Call,
  rank: number,
  size: number,
  input: (rank: number, row: number) => Elements,
  output: (row: number) => Elements,
): void {
  const ranks = Array.from({ length: size }, (_, r) => r);
  switch (operation) {
    case 'barrier':
      return;
    case 'broadcast':
      if (rank !== root) copy(input(root, 0), output(0), 0);
      return;
    case 'reduceScatter': {
      const rows = ranks.map((r) => input(r, rank));
      sumInto(output(0) as Float32Array, rows as Float32Array[]);
      return;
    }
    case 'allGather':
    case 'gather':
      for (const r of ranks) copy(input(r, 0), output(r), 0);
      return;
    case 'scatter':
      copy(input(root, rank), output(0), 0);
      return;
  }
}
