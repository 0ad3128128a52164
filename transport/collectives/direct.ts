import type { Call } from './call.ts';
import { copy, slice, type Elements } from './elements.ts';
import { sumInto } from './sum.ts';

/** Number of parts, of a call's count each, in the input of a rank. */
export function inputParts({ operation }: Call, size: number): number {
  return operation === 'reduceScatter' || operation === 'scatter' ? size : 1;
}

/**
 * Does one rank's share of an operation whose inputs all ranks can read in place. It writes its own output alone.
 *
 * @param sources the inputs of all ranks, null for one that has none
 * @param output  null for a rank that gets none
 */
export function doDirectly(
  { operation, root, count }: Call,
  rank: number,
  sources: readonly (Elements | null)[],
  output: Elements | null,
): void {
  if (output === null) return;
  const rowOf = (source: Elements | null): Elements =>
    slice(source!, rank * count, (rank + 1) * count);
  switch (operation) {
    case 'barrier':
      return;
    case 'broadcast':
      if (rank !== root) copy(sources[root]!, output, 0);
      return;
    case 'reduceScatter':
      sumInto(output as Float32Array, sources.map(rowOf) as Float32Array[]);
      return;
    case 'allGather':
    case 'gather':
      sources.forEach((source, r) => copy(source!, output, r * count));
      return;
    case 'scatter':
      copy(rowOf(sources[root]!), output, 0);
      return;
  }
}
