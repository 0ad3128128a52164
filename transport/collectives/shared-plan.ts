import { bytesPerElement, viewOf } from '../../src/tensor/dtype.ts';
import type { Call, Element } from './call.ts';
import { doDirectly, inputRows, isOneSided } from './direct.ts';
import { copy, slice, type Elements } from './elements.ts';
import { STAGES, type SharedRegion } from './shared-layout.ts';

/**
 * Plan of a call for one rank by way of the stages, in phases: what it stages for the others, and its share of what all
 * have staged.
 *
 * A tensor has a row for each rank, or is a row itself. Each row is cut into chunks as large as a part of a stage.
 */
export class Plan {
  /** Number of chunks of a row. There is one phase more. */
  readonly chunks: number;
  readonly #region: SharedRegion;
  readonly #rank: number;
  readonly #call: Call;
  readonly #input: Elements | null;
  readonly #output: Elements | null;
  /** Number of chunks of all operations before. */
  readonly #before: number;
  /** Elements of a chunk. */
  readonly #stride: number;

  constructor(
    region: SharedRegion,
    rank: number,
    call: Call,
    [input, output]: readonly [Elements | null, Elements | null],
    before: number,
  ) {
    this.#region = region;
    this.#rank = rank;
    this.#call = call;
    this.#input = input;
    this.#output = output;
    this.#before = before;
    const { partBytes, stageBytes } = region.layout;
    const isWhole = call.operation === 'broadcast';
    this.#stride = (isWhole ? stageBytes : partBytes) / bytesPerElement(call.dtype);
    this.chunks = call.fault === 'none' ? Math.ceil(call.count / this.#stride) : 0;
  }

  /** Stages the chunk of that number, and does this rank's share of the one before. */
  doPhase(phase: number): void {
    if (phase < this.chunks) this.#stage(phase);
    if (phase > 0) this.#finish(phase - 1);
  }

  /** Stages chunk `k` of the rows that others read. */
  #stage(k: number): void {
    if (isOneSided(this.#call) && this.#rank !== this.#call.root) return;
    const rows = inputRows(this.#call, this.#region.layout.size);
    for (let row = 0; row < rows; row++) {
      // Of several rows a rank has one for itself.
      if (rows > 1 && row === this.#rank) continue;
      const chunk = this.#chunk(this.#input!, row, k);
      copy(chunk, this.#staged(k, this.#rank, row, chunk.length), 0);
    }
  }

  /** Does this rank's share of the operation on chunk `k`. */
  #finish(k: number): void {
    const [input, output] = [this.#input, this.#output];
    if (output === null) return;
    const { length } = this.#chunk(output, 0, k);
    doDirectly(
      this.#call,
      this.#rank,
      this.#region.layout.size,
      (rank, row) =>
        rank === this.#rank ? this.#chunk(input!, row, k) : this.#staged(k, rank, row, length),
      (row) => this.#chunk(output, row, k),
    );
  }

  /** Chunk `k` of a row of a tensor, in place. */
  #chunk(elements: Elements, row: number, k: number): Elements {
    const { count } = this.#call;
    const [start, end] = [k, k + 1].map((at) => row * count + Math.min(at * this.#stride, count));
    return slice(elements, start!, end!);
  }

  /** Chunk `k` of a row as a rank has staged it. A row that all ranks read lies in the part of that rank's number. */
  #staged(k: number, rank: number, row: number, length: number): Elements {
    const { buffer, layout } = this.#region;
    const { operation, dtype } = this.#call;
    const part = operation === 'allGather' || operation === 'gather' ? rank : row;
    const at = layout.stageAt((this.#before + k) % STAGES, rank) + part * layout.partBytes;
    return viewOf<Element>(dtype, buffer, at, length);
  }
}
