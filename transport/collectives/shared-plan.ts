import { bytesPerElement, viewOf } from '../../src/tensor/dtype.ts';
import type { Call, Element } from './call.ts';
import { copy, slice, type Elements } from './elements.ts';
import { STAGES, type SharedRegion } from './shared-layout.ts';
import { sumInto } from './sum.ts';

/** Work of one rank on chunk `k` of an operation, in one stage of the shared memory. */
type Step = (k: number, stage: number) => void;

/**
 * Plan of a call for one rank: what it stages for the others, adds up and collects.
 *
 * A tensor has a row for each rank, or is a row itself. Each row is cut into chunks as large as a part of a stage. A rank
 * adds up its own row of every chunk, from its own memory and the stages of the others.
 */
export class Plan {
  readonly chunks: number;
  /** Steps, each of which works in a phase on the chunk before that of the step ahead of it. */
  readonly steps: readonly Step[];
  readonly #region: SharedRegion;
  readonly #rank: number;
  readonly #call: Call;
  readonly #input: Elements | null;
  readonly #output: Elements | null;
  /** All ranks but this one. */
  readonly #others: readonly number[];
  /** Elements of a chunk. */
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
    const isSound = call.fault === 'none';
    this.chunks = isSound ? Math.ceil(call.count / this.#stride) : 0;
    this.steps = isSound ? this.#stepsOf(call) : [];
  }

  #stepsOf({ operation, root }: Call): readonly Step[] {
    const isRoot = this.#rank === root;
    switch (operation) {
      case 'barrier':
        return [];
      case 'reduceScatter':
        return [this.#stageRows, this.#sum];
      case 'allGather':
        return [this.#stageOwn(this.#rank), this.#collect];
      case 'gather':
        return [this.#stageOwn(this.#rank), isRoot ? this.#collect : idle];
      case 'scatter':
        return isRoot ? [this.#stageRows, this.#keepOwn] : [idle, this.#takeFrom(root, this.#rank)];
      case 'broadcast':
        return isRoot ? [this.#stageOwn(0), idle] : [idle, this.#takeFrom(root, 0)];
    }
  }

  /** Stages the rows of the input that belong to others. */
  readonly #stageRows: Step = (k, stage) => {
    for (const r of this.#others) this.#stage(stage, r, this.#chunk(this.#input!, r, k));
  };

  /** Stages the input, which is one row, as one part. */
  #stageOwn(part: number): Step {
    return (k, stage) => this.#stage(stage, part, this.#chunk(this.#input!, 0, k));
  }

  /** Adds up this rank's row over all ranks. */
  readonly #sum: Step = (k, stage) => {
    const own = this.#chunk(this.#input!, this.#rank, k);
    const sources = Array.from({ length: this.#region.layout.size }, (_, r) =>
      r === this.#rank ? own : this.#part(stage, r, this.#rank, own.length),
    );
    const result = this.#chunk(this.#output!, 0, k);
    sumInto(result as Float32Array, sources as Float32Array[]);
  };

  /** Copies the rows of all ranks into the output. The others have staged theirs. */
  readonly #collect: Step = (k, stage) => {
    const own = this.#chunk(this.#input!, 0, k);
    for (let r = 0; r < this.#region.layout.size; r++) {
      const source = r === this.#rank ? own : this.#part(stage, r, r, own.length);
      copy(source, this.#chunk(this.#output!, r, k), 0);
    }
  };

  /** Copies one part of what a rank staged into the output, which is one row. */
  #takeFrom(rank: number, part: number): Step {
    return (k, stage) => {
      const into = this.#chunk(this.#output!, 0, k);
      copy(this.#part(stage, rank, part, into.length), into, 0);
    };
  }

  /** Copies this rank's row of the input into the output. */
  readonly #keepOwn: Step = (k) => {
    copy(this.#chunk(this.#input!, this.#rank, k), this.#chunk(this.#output!, 0, k), 0);
  };

  #stage(stage: number, part: number, elements: Elements): void {
    copy(elements, this.#part(stage, this.#rank, part, elements.length), 0);
  }

  /** Chunk `k` of a row of a tensor, in place. */
  #chunk(elements: Elements, row: number, k: number): Elements {
    const { count } = this.#call;
    const [start, end] = [k, k + 1].map((at) => row * count + Math.min(at * this.#stride, count));
    return slice(elements, start!, end!);
  }

  /** Elements that a rank has staged of a part. */
  #part(stage: number, rank: number, part: number, length: number): Elements {
    const { buffer, layout } = this.#region;
    const at = layout.stageAt(stage % STAGES, rank) + part * layout.partBytes;
    return viewOf<Element>(this.#call.dtype, buffer, at, length);
  }
}

function idle(): void {
  // A rank without work in a phase takes part in its barrier alone.
}
