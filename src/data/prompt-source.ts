/** Order in which prompts are drawn for training, with a position that checkpoints keep. */
import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import { EpochOrder } from './shuffle.ts';

/** Position of a prompt source, as a checkpoint keeps it. */
export const PromptCursor = t.readonly(t.type({ epoch: t.number, position: t.number }));
export interface PromptCursor extends t.TypeOf<typeof PromptCursor> {}

/** Size of a data set and of its batches, and their order. */
export interface PromptSourceOptions {
  /** Number of rows of the data set. */
  readonly rowCount: number;
  readonly batchSize: number;
  /** Shuffle each epoch, or keep the file's order. */
  readonly shuffle: boolean;
  readonly seed: number;
}

/**
 * Endless batches of row numbers, epoch after epoch. Each epoch has an order of its own and drops an incomplete last
 * batch.
 */
export class PromptSource {
  readonly #options: PromptSourceOptions;
  readonly #orders: EpochOrder;
  #epoch: number;
  #position: number;
  #order: Uint32Array;
  /** Order of the next epoch, computed when `upcoming` reaches into it. */
  #nextOrder: Uint32Array | null = null;

  /**
   * @param cursor position of an earlier source of the same options; the beginning if absent
   * @throws DATA_INVALID if there are fewer rows than a batch takes
   */
  constructor(options: PromptSourceOptions, cursor: PromptCursor = { epoch: 0, position: 0 }) {
    if (options.rowCount < options.batchSize) throw tooFew(options, options.rowCount);
    this.#options = options;
    this.#orders = new EpochOrder(options.rowCount, options.seed);
    this.#epoch = cursor.epoch;
    this.#position = cursor.position;
    this.#order = this.#orderOf(cursor.epoch);
  }

  /** Position from which a source of the same options continues. */
  get cursor(): PromptCursor {
    return { epoch: this.#epoch, position: this.#position };
  }

  /** Rows that come next if none is skipped. The source does not move. */
  upcoming(count: number): number[] {
    const { rowCount, batchSize } = this.#options;
    const rest = rowCount - this.#position;
    const isEpochOver = rest < batchSize;
    const rows = isEpochOver
      ? []
      : [...this.#order.subarray(this.#position, this.#position + count)];
    const missing = count - rows.length;
    if (missing > 0) rows.push(...this.#orderAfter().subarray(0, missing));
    return rows;
  }

  /**
   * Takes the next batch and maps its rows. A row that cannot be used is skipped, and the next row takes its place.
   *
   * @param make returns null for a row that cannot be used
   * @throws DATA_INVALID if a whole epoch has fewer usable rows than a batch takes
   */
  async take<T>(make: (row: number) => Promise<T | null>): Promise<T[]> {
    const { rowCount, batchSize } = this.#options;
    let made: T[] = [];
    let isWholeEpoch = this.#position === 0;
    while (made.length < batchSize) {
      const row = this.#position < rowCount ? this.#order[this.#position] : undefined;
      if (row === undefined) {
        if (isWholeEpoch) throw tooFew(this.#options, made.length);
        this.#startNextEpoch();
        isWholeEpoch = true;
        made = [];
        continue;
      }
      this.#position++;
      const item = await make(row);
      if (item !== null) made.push(item);
    }
    return made;
  }

  #startNextEpoch(): void {
    this.#epoch++;
    this.#position = 0;
    this.#order = this.#nextOrder ?? this.#orderOf(this.#epoch);
    this.#nextOrder = null;
  }

  #orderAfter(): Uint32Array {
    return (this.#nextOrder ??= this.#orderOf(this.#epoch + 1));
  }

  #orderOf(epoch: number): Uint32Array {
    const { rowCount, shuffle } = this.#options;
    return shuffle
      ? this.#orders.order(epoch)
      : Uint32Array.from({ length: rowCount }, (_, i) => i);
  }
}

function tooFew({ batchSize }: PromptSourceOptions, usable: number): CxmindError {
  return new CxmindError(
    'DATA_INVALID',
    `the training set has ${usable} usable rows, fewer than one batch of ${batchSize}`,
  );
}
