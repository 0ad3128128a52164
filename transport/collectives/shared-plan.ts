import { bytesPerElement, viewOf } from '../../src/tensor/dtype.ts';
import type { Call, Element } from './call.ts';
import { copy, slice, type Elements } from './elements.ts';
import { reduceInto } from './reduction.ts';
import { STAGES, type SharedRegion } from './shared-layout.ts';

/** What one rank does with chunk `k` of an operation, in the given stage of the shared memory. */
type Step = (k: number, stage: number) => void;

/** An operation of one rank: in every phase each step works on the chunk after the one of the step before. */
export interface Plan {
  readonly chunks: number;
  readonly steps: readonly Step[];
}

/** Elements `start` to `end` of a tensor. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * The plan of a call for one rank: what it stages for the others, what it reduces, what it collects.
 *
 * A tensor is cut into a part for each rank, and each part into chunks as large as a part of a stage.
 * A rank reduces its own part of every chunk, from its own memory and the others' stages.
 */
export function planOf(
  region: SharedRegion,
  rank: number,
  call: Call,
  input: Elements | null,
  output: Elements | null,
): Plan {
  if (call.fault !== 'none') return { chunks: 0, steps: [] };
  return new Planner(region, rank, call, input, output).plan();
}

class Planner {
  readonly #region: SharedRegion;
  readonly #rank: number;
  readonly #call: Call;
  readonly #input: Elements | null;
  readonly #output: Elements | null;
  /** Every rank but this one. */
  readonly #others: readonly number[];
  /** Elements of a chunk of a part. */
  readonly #stride: number;

  constructor(
    region: SharedRegion,
    rank: number,
    call: Call,
    input: Elements | null,
    output: Elements | null,
  ) {
    this.#region = region;
    this.#rank = rank;
    this.#call = call;
    this.#input = input;
    this.#output = output;
    const { size, partBytes, stageBytes } = region.layout;
    this.#others = Array.from({ length: size }, (_, r) => r).filter((r) => r !== rank);
    const isWhole = call.operation === 'broadcast';
    this.#stride = (isWhole ? stageBytes : partBytes) / bytesPerElement(call.dtype);
  }

  plan(): Plan {
    const { operation, root, count } = this.#call;
    const { size } = this.#region.layout;
    const isRoot = this.#rank === root;
    const cut: Cut = (r) => ({
      start: Math.floor((count * r) / size),
      end: Math.floor((count * (r + 1)) / size),
    });
    const rows: Cut = (r) => ({ start: r * count, end: (r + 1) * count });
    const all: Cut = () => ({ start: 0, end: count });
    const chunks = (length: number): number => Math.ceil(length / this.#stride);
    const largest = chunks(Math.ceil(count / size));

    switch (operation) {
      case 'barrier':
      case 'split':
        return { chunks: 0, steps: [] };
      case 'allReduce':
        return {
          chunks: largest,
          steps: [this.#stageFor(cut), this.#reduce(cut, cut), this.#collect(cut, this.#others)],
        };
      case 'reduce': {
        const everyone = [...this.#others, this.#rank];
        const last = isRoot ? this.#collect(cut, everyone) : idle;
        return {
          chunks: largest,
          steps: [this.#stageFor(cut), this.#reduce(cut, undefined), last],
        };
      }
      case 'reduceScatter':
        return { chunks: chunks(count), steps: [this.#stageFor(rows), this.#reduce(rows, all)] };
      case 'allGather':
        return {
          chunks: chunks(count),
          steps: [this.#stageOwn(rows), this.#collect(rows, this.#others)],
        };
      case 'gather':
        return {
          chunks: chunks(count),
          steps: [this.#stageOwn(rows), isRoot ? this.#collect(rows, this.#others) : idle],
        };
      case 'scatter':
        return isRoot
          ? { chunks: chunks(count), steps: [this.#stageFor(rows), this.#keepOwn(rows)] }
          : { chunks: chunks(count), steps: [idle, this.#takeFrom(root, this.#rank)] };
      case 'broadcast':
        return isRoot
          ? { chunks: chunks(count), steps: [this.#stageOwn(() => all(0)), idle] }
          : { chunks: chunks(count), steps: [idle, this.#takeFrom(root, 0)] };
    }
  }

  /** Stages the others' parts of the input. */
  #stageFor(cut: Cut): Step {
    return (k, stage) => {
      for (const r of this.#others) {
        const { start, end } = this.#chunk(cut(r), k);
        copy(slice(this.#input!, start, end), this.#part(stage, this.#rank, r, end - start), 0);
      }
    };
  }

  /** Stages the input, which is one part, and puts it into the output where there is one. */
  #stageOwn(cut: Cut): Step {
    return (k, stage) => {
      const { start, end } = this.#chunk({ start: 0, end: this.#call.count }, k);
      const source = slice(this.#input!, start, end);
      const part = this.#call.operation === 'broadcast' ? 0 : this.#rank;
      copy(source, this.#part(stage, this.#rank, part, end - start), 0);
      if (this.#output === null || this.#output === this.#input) return;
      copy(source, this.#output, cut(this.#rank).start + start);
    };
  }

  /** Reduces this rank's part of the input, into the output where it is wanted there, and into its stage. */
  #reduce(cut: Cut, into: Cut | undefined): Step {
    const { dtype, reduction } = this.#call;
    return (k, stage) => {
      const { start, end } = this.#chunk(cut(this.#rank), k);
      const length = end - start;
      const sources = Array.from({ length: this.#region.layout.size }, (_, r) =>
        r === this.#rank
          ? slice(this.#input!, start, end)
          : this.#part(stage, r, this.#rank, length),
      );
      const staged = this.#part(stage, this.#rank, this.#rank, length);
      if (into === undefined) {
        reduceInto(dtype, reduction, staged, sources);
        return;
      }
      const target = this.#chunk(into(this.#rank), k);
      const result = slice(this.#output!, target.start, target.end);
      reduceInto(dtype, reduction, result, sources);
      if (this.#call.operation === 'allReduce') copy(result, staged, 0);
    };
  }

  /** Copies what ranks staged of their own parts into the output. */
  #collect(cut: Cut, from: readonly number[]): Step {
    return (k, stage) => {
      for (const r of from) {
        const { start, end } = this.#chunk(cut(r), k);
        copy(this.#part(stage, r, r, end - start), this.#output!, start);
      }
    };
  }

  /** Copies one part of what a rank staged into the output, which is of one part. */
  #takeFrom(rank: number, part: number): Step {
    return (k, stage) => {
      const { start, end } = this.#chunk({ start: 0, end: this.#call.count }, k);
      copy(this.#part(stage, rank, part, end - start), this.#output!, start);
    };
  }

  /** Copies this rank's part of the input into the output. */
  #keepOwn(cut: Cut): Step {
    return (k) => {
      const { start, end } = this.#chunk(cut(this.#rank), k);
      copy(slice(this.#input!, start, end), this.#output!, k * this.#stride);
    };
  }

  /** Chunk `k` of a part; empty past its end. */
  #chunk({ start, end }: Range, k: number): Range {
    const from = Math.min(start + k * this.#stride, end);
    return { start: from, end: Math.min(from + this.#stride, end) };
  }

  /** What a rank has staged of a part. */
  #part(stage: number, rank: number, part: number, length: number): Elements {
    const { buffer, layout } = this.#region;
    const at = layout.stageAt(stage % STAGES, rank) + part * layout.partBytes;
    return viewOf<Element>(this.#call.dtype, buffer, at, length);
  }
}

/** Which elements of a tensor are a rank's. */
type Cut = (rank: number) => Range;

function idle(): void {
  // A rank that has nothing to do in a phase only takes part in its barrier.
}
