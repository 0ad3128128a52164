import { loadDataset, type InvalidRows, isDataInvalid } from '../../src/data/dataset.ts';
import { Lookahead } from '../../src/data/lookahead.ts';
import { filterOverlong } from '../../src/data/overlong.ts';
import { PromptSource, type PromptCursor } from '../../src/data/prompt-source.ts';
import type { DatasetRow } from '../../src/data/row.ts';
import type { RowKeys } from '../../src/data/row-keys.ts';
import { SampleBuilder } from '../../src/data/sample.ts';
import type { PromptSample } from '../../src/data/prompt-sample.ts';
import { sampleOptions, type SampleSettings } from '../../src/data/sample-options.ts';
import type { CxmindError } from '../../src/errors.ts';
import { patchBytes } from '../../src/tensor/patch-levels.ts';
import type { Prompt, Sequence } from '../messages.ts';
import { actorFactory, type Actor, type Environment, type Logger } from '../runtime/actor.ts';
import { PixelPool, pixelProtocol } from './pixels.ts';
import { dataProtocol, type DataSummary } from './protocol.ts';

/** What the data actor is made from. */
export interface DataProps extends SampleSettings {
  /** Null when only validation is wanted. */
  readonly trainFiles: string | null;
  /** Null when only training is wanted. */
  readonly validationFiles: string | null;
  readonly invalidRows: InvalidRows;
  readonly filterOverlongPrompts: boolean;
  /** Rows that this filter measures at a time. */
  readonly filterConcurrency: number;
  /** Names of the actors that read pixels; without any, the data actor reads them itself. */
  readonly pixelReaders: readonly string[];
  /** Prompts of a training batch. */
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
}

interface Rows {
  readonly rows: readonly DatasetRow[];
  readonly overlong: number;
  readonly skipped: readonly CxmindError[];
}

interface DataSets {
  readonly train: Rows;
  readonly validation: Rows;
  /** What was found odd about their pictures, a line each; it may grow. */
  readonly notes: readonly string[];
}

const none: Rows = { rows: [], overlong: 0, skipped: [] };

/** Bytes of pixels that may be ready before they are asked for; a batch of small pictures is, whole. */
const AHEAD_BYTES = 2 ** 30;
/** Rows that are begun at once whatever their size: enough to keep the readers of pixels busy. */
const MIN_AHEAD = 4;

/**
 * Reads the data sets and turns rows into prompts, images included.
 *
 * While a batch is trained on, the next one is made: the learner waits for data only when that takes longer than a
 * step. What is made ahead depends on no result, so it changes neither the order of prompts nor where they continue.
 */
export class DataActor implements Actor<typeof dataProtocol> {
  readonly #props: DataProps;
  readonly #builder: SampleBuilder;
  readonly #logger: Logger;
  readonly #train: Rows;
  readonly #validation: Rows;
  readonly #notes: readonly string[];
  readonly #ahead: Lookahead<PromptSample>;
  #source: PromptSource | null;
  #skipped = 0;
  #pixelBytes = 0;
  #samples = 0;

  private constructor(
    props: DataProps,
    builder: SampleBuilder,
    logger: Logger,
    { train, validation, notes }: DataSets,
  ) {
    this.#props = props;
    this.#builder = builder;
    this.#logger = logger;
    this.#train = train;
    this.#validation = validation;
    this.#notes = notes;
    for (const error of [...train.skipped, ...validation.skipped]) this.#skip(error);
    this.#ahead = new Lookahead((row) => this.#sample(train.rows[row]!));
    this.#source = train.rows.length === 0 ? null : this.#sourceAt({ epoch: 0, position: 0 });
    this.#lookAhead();
  }

  /** @throws DATA_INVALID naming file, line and field */
  static async open(
    props: DataProps,
    { logger, refTo }: Pick<Environment, 'logger' | 'refTo'>,
  ): Promise<DataActor> {
    const readers = props.pixelReaders.map((name) => refTo(name, pixelProtocol));
    const reader = readers.length === 0 ? undefined : new PixelPool(readers);
    const notes: string[] = [];
    const warn = (note: string): void => {
      notes.push(note);
      logger.warn({ picture: note }, 'picture may not be read as meant');
    };
    const builder = new SampleBuilder({ ...sampleOptions(props, reader), warn });
    const read = async (files: string | null): Promise<Rows> =>
      files === null ? none : readRows(files, props, builder);
    const train = await read(props.trainFiles);
    const validation = await read(props.validationFiles);
    await builder.settleBitDepth([...train.rows, ...validation.rows]);
    return new DataActor(props, builder, logger, { train, validation, notes });
  }

  summary(): DataSummary {
    return {
      trainPrompts: this.#train.rows.length,
      validationPrompts: this.#validation.rows.length,
      overlong: this.#train.overlong + this.#validation.overlong,
      skipped: this.#skipped,
      notes: [...this.#notes],
    };
  }

  async nextPrompts(): Promise<{ prompts: Prompt[]; cursor: PromptCursor; skipped: number }> {
    const { taken: prompts, cursor } = await this.#take((row) =>
      this.#orSkip(async () => promptOf(await this.#ahead.take(row))),
    );
    return { prompts, cursor, skipped: this.#skipped };
  }

  async nextSolutions(): Promise<{ samples: Sequence[]; cursor: PromptCursor }> {
    const { taken: samples, cursor } = await this.#take((row) => this.#solution(row));
    return { samples, cursor };
  }

  async validation({ start, end }: { start: number; end: number }): Promise<{ prompts: Prompt[] }> {
    const prompts = await Promise.all(
      this.#validation.rows
        .slice(start, end)
        .map((row) => this.#orSkip(async () => promptOf(await this.#sample(row)))),
    );
    return { prompts: prompts.filter((prompt) => prompt !== null) };
  }

  seek(cursor: PromptCursor): void {
    this.#source = this.#sourceAt(cursor);
    this.#lookAhead();
  }

  #training(): PromptSource {
    return (this.#source ??= this.#sourceAt({ epoch: 0, position: 0 }));
  }

  #sourceAt(cursor: PromptCursor): PromptSource {
    const { batchSize, shuffle, seed } = this.#props;
    const rowCount = this.#train.rows.length;
    return new PromptSource({ rowCount, batchSize, shuffle, seed }, cursor);
  }

  /** The next batch of what `make` makes of rows, during which those after it are begun. */
  async #take<T>(
    make: (row: number) => Promise<T | null>,
  ): Promise<{ taken: T[]; cursor: PromptCursor }> {
    const source = this.#training();
    this.#lookAhead();
    const taken = await source.take(make);
    this.#lookAhead();
    return { taken, cursor: source.cursor };
  }

  /** Begins with the rows that come next: a batch of them, or fewer where their pixels are many. */
  #lookAhead(): void {
    const { batchSize } = this.#props;
    const meanBytes = this.#pixelBytes / Math.max(1, this.#samples);
    const fitting = Math.floor(AHEAD_BYTES / Math.max(1, meanBytes));
    const count = Math.min(batchSize, Math.max(MIN_AHEAD, fitting));
    this.#ahead.expect(this.#source?.upcoming(count) ?? []);
  }

  async #sample(row: DatasetRow): Promise<PromptSample> {
    const sample = await this.#builder.build(row);
    this.#samples++;
    this.#pixelBytes += sample.pixelValues === null ? 0 : patchBytes(sample.pixelValues);
    return sample;
  }

  #solution(row: number): Promise<Sequence | null> {
    return this.#orSkip(async () => {
      const data = this.#builder.encodeAnswer(this.#train.rows[row]!);
      const { input } = promptOf(await this.#ahead.take(row));
      return { prompt: input, response: { dtype: 'i32', shape: [data.length], data } };
    });
  }

  async #orSkip<T>(make: () => Promise<T>): Promise<T | null> {
    try {
      return await make();
    } catch (error) {
      if (this.#props.invalidRows === 'fail' || !isDataInvalid(error)) throw error;
      this.#skip(error);
      return null;
    }
  }

  #skip({ message, detail }: CxmindError): void {
    this.#skipped++;
    this.#logger.warn({ ...detail, reason: message }, 'row skipped');
  }
}

async function readRows(
  source: string,
  props: DataProps & RowKeys,
  builder: SampleBuilder,
): Promise<Rows> {
  const { invalidRows, filterOverlongPrompts, filterConcurrency, maxPromptLength } = props;
  const { promptKey, answerKey, imageKey, videoKey } = props;
  const read = await loadDataset({
    source,
    invalidRows,
    promptKey,
    answerKey,
    imageKey,
    videoKey,
  });
  if (!filterOverlongPrompts) {
    return { rows: read.rows, overlong: 0, skipped: read.skipped };
  }
  const kept = await filterOverlong(read.rows, builder, {
    maxPromptLength,
    invalidRows,
    concurrency: filterConcurrency,
  });
  const skipped = [...read.skipped, ...kept.skipped];
  return { rows: kept.rows, overlong: kept.overlong, skipped };
}

function promptOf(sample: PromptSample): Prompt {
  const { id, text, groundTruth, tokenIds, positions, pixelValues, grids } = sample;
  return {
    promptId: id,
    text,
    groundTruth,
    input: {
      tokenIds: { dtype: 'i32', shape: [tokenIds.length], data: tokenIds },
      positions,
      pixelValues,
      grids: grids.map(([t, h, w]) => [t, h, w]),
    },
  };
}

/** Makes the data actor on its thread. */
export const dataActor = actorFactory(dataProtocol, (props: DataProps, environment) =>
  DataActor.open(props, environment),
);
