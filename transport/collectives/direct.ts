import type { Call } from './call.ts';
import { copy, slice, type Elements } from './elements.ts';
import { reduceInto } from './reduction.ts';

/** Equal parts of a call's count that the input of a rank has. */
export function inputParts({ operation }: Call, size: number): number {
  return operation === 'reduceScatter' || operation === 'scatter' ? size : 1;
}

/**
 * What one rank does in an operation whose inputs all ranks see where they are, with a barrier after each step.
 * A rank writes its own output and nothing else.
 *
 * @param sources the inputs of all ranks; null for one that has none
 * @param output  this rank's output; the same array as its input for the operations on one tensor
 */
export function directSteps(
  call: Call,
  rank: number,
  sources: readonly (Elements | null)[],
  output: Elements | null,
): readonly (() => void)[] {
  const { operation, dtype, reduction, root, count } = call;
  const size = sources.length;
  const cut = (r: number): readonly [start: number, end: number] => [
    Math.floor((count * r) / size),
    Math.floor((count * (r + 1)) / size),
  ];
  const row = (r: number): readonly [start: number, end: number] => [r * count, (r + 1) * count];
  const partOf = (r: number, [start, end]: readonly [number, number]): Elements =>
    slice(sources[r]!, start, end);
  const reduce = (into: Elements, range: readonly [number, number]): void => {
    const parts = sources.map((_, r) => partOf(r, range));
    reduceInto(dtype, reduction, into, parts);
  };

  switch (operation) {
    case 'barrier':
    case 'split':
      return [];
    case 'allReduce': {
      const collect = (): void => {
        for (let r = 0; r < size; r++) {
          if (r !== rank) copy(partOf(r, cut(r)), output!, cut(r)[0]);
        }
      };
      return [() => reduce(slice(output!, ...cut(rank)), cut(rank)), collect];
    }
    case 'reduce':
      return [() => output !== null && reduce(output, [0, count])];
    case 'reduceScatter':
      return [() => reduce(output!, row(rank))];
    case 'allGather':
    case 'gather':
      return [
        () => {
          if (output === null) return;
          for (let r = 0; r < size; r++) copy(sources[r]!, output, r * count);
        },
      ];
    case 'scatter':
      return [() => copy(partOf(root, row(rank)), output!, 0)];
    case 'broadcast':
      return [
        () => {
          if (rank !== root) copy(sources[root]!, output!, 0);
        },
      ];
  }
}
