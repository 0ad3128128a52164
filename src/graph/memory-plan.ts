/**
 * The memory of a graph's intermediate values in one block, from their lives.
 *
 * A value takes memory from the node that writes it to the last one that reads it. A reshaped value is its source. An
 * output that starts as an input takes that input's memory where nobody reads the input later. Memory is taken from the
 * smallest gap that is large enough (best fit).
 */
import type { Value } from './ir.ts';
import type { KernelGraph, KernelNode } from './schedule.ts';

/** Places of values in a block of memory. */
export interface MemoryPlan {
  /** Offset in bytes of each value that lies in the block, by its id. Reshaped values lie where their sources do. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Size of the block. */
  readonly byteLength: number;
}

/** Alignment of values, in bytes: what `cudaMalloc` promises. */
const ALIGNMENT = 256;

/** Bytes of a block from `start` to `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Plans the memory of a graph of kernels.
 *
 * @param isOutside true for a value that has memory of its own: an input, a constant, an output that is asked for
 * @param bytesOf   size of a value
 */
export function planMemory(
  { nodes, sourceOf }: Pick<KernelGraph, 'nodes' | 'sourceOf'>,
  isOutside: (value: Value) => boolean,
  bytesOf: (value: Value) => number,
): MemoryPlan {
  const lastReads = new Map<number, number>();
  nodes.forEach(({ inputs }, at) => {
    for (const input of inputs) lastReads.set(sourceOf(input).id, at);
  });
  const block = new Block();
  const held = new Map<number, Range>();
  const offsets = new Map<number, number>();
  for (const [at, node] of nodes.entries()) {
    for (const [i, value] of node.outputs.entries()) {
      if (isOutside(value)) continue;
      const bytes = bytesOf(value);
      const source = beginningOf(node, i, sourceOf);
      const isLast = source !== undefined && lastReads.get(source.id) === at;
      const inherited = isLast && bytesOf(source) === bytes ? held.get(source.id) : undefined;
      if (inherited !== undefined) held.delete(source!.id);
      const range = inherited ?? block.take(bytes);
      held.set(value.id, range);
      offsets.set(value.id, range.start);
    }
    const read = node.inputs.map((input) => sourceOf(input).id);
    const unread = node.outputs.map(({ id }) => id).filter((id) => !lastReads.has(id));
    const ended = [...read.filter((id) => lastReads.get(id) === at), ...unread];
    for (const id of new Set(ended)) {
      const range = held.get(id);
      if (range === undefined) continue;
      block.give(range);
      held.delete(id);
    }
  }
  return { offsets, byteLength: block.byteLength };
}

/** The value that an output starts as, if there is one that the node reads for nothing else. */
function beginningOf(
  { inputs, steps }: KernelNode,
  output: number,
  sourceOf: (value: Value) => Value,
): Value | undefined {
  const sources = inputs.map(sourceOf);
  for (const step of steps) {
    // A product's addend is the third operand.
    const input = 'batches' in step ? 2 : 'input' in step ? step.input : undefined;
    if (input === undefined || ('input' in step && step.output !== output)) continue;
    const source = sources[input];
    if (sources.filter((one) => one.id === source?.id).length === 1) return source;
  }
  return undefined;
}

/** A block that grows, with the gaps between what is taken of it. */
class Block {
  /** Gaps in the order of their places; none touch. */
  #gaps: readonly Range[] = [];
  byteLength = 0;

  take(bytes: number): Range {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    const fitting = this.#gaps.filter(({ start, end }) => end - start >= size);
    const gap = fitting.toSorted((a, b) => a.end - a.start - (b.end - b.start)).at(0);
    const last = this.#gaps.at(-1);
    // A gap at the end is taken, and the block grows by what is missing.
    const from = gap ?? (last?.end === this.byteLength ? last : undefined);
    const start = from?.start ?? this.byteLength;
    const range = { start, end: start + size };
    this.byteLength = Math.max(this.byteLength, range.end);
    this.#gaps = this.#gaps.flatMap((one) => {
      if (one !== from) return [one];
      return one.end > range.end ? [{ start: range.end, end: one.end }] : [];
    });
    return range;
  }

  give(range: Range): void {
    if (range.start === range.end) return;
    const ordered = [...this.#gaps, range].toSorted((a, b) => a.start - b.start);
    const joined: Range[] = [];
    for (const gap of ordered) {
      const before = joined.at(-1);
      if (before?.end === gap.start) joined.splice(-1, 1, { start: before.start, end: gap.end });
      else joined.push(gap);
    }
    this.#gaps = joined;
  }
}
