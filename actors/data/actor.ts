import { loadDataset, type InvalidRows, isDataInvalid } from '../../src/data/dataset.ts';
import { filterOverlong } from '../../src/data/overlong.ts';
import { PromptSource, type PromptCursor } from '../../src/data/prompt-source.ts';
import type { DatasetRow, RowKeys } from '../../src/data/row.ts';
import { SampleBuilder, type PromptSample } from '../../src/data/sample.ts';
import { sampleOptions, type SampleSettings } from '../../src/data/sample-options.ts';
import type { CxmindError } from '../../src/errors.ts';
import type { Prompt, Sequence } from '../messages.ts';
import { actorFactory, type Actor, type Logger } from '../runtime/actor.ts';
import { dataProtocol, type DataSummary } from './protocol.ts';

/** What the data actor is made from. */
export interface DataProps extends SampleSettings {
  /** Null when only validation is wanted. */
  readonly trainFiles: string | null;
  /** Null when only training is wanted. */
  readonly validationFiles: string | null;
  readonly invalidRows: InvalidRows;
  readonly filterOverlongPrompts: boolean;
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

const none: Rows = { rows: [], overlong: 0, skipped: [] };

/** Reads the data sets and turns rows into prompts, images included. */
export class DataActor implements Actor<typeof dataProtocol> {
  readonly #props: DataProps;
  readonly #builder: SampleBuilder;
  readonly #logger: Logger;
  readonly #train: Rows;
  readonly #validation: Rows;
  #source: PromptSource | null;
  #skipped = 0;

  private constructor(
    props: DataProps,
    builder: SampleBuilder,
    logger: Logger,
    [train, validation]: readonly [Rows, Rows],
  ) {
    this.#props = props;
    this.#builder = builder;
    this.#logger = logger;
    this.#train = train;
    this.#validation = validation;
    for (const error of [...train.skipped, ...validation.skipped]) this.#skip(error);
    this.#source = train.rows.length === 0 ? null : this.#sourceAt({ epoch: 0, position: 0 });
  }

  /** @throws DATA_INVALID naming file, line and field */
  static async open(props: DataProps, logger: Logger): Promise<DataActor> {
    const builder = new SampleBuilder(sampleOptions(props));
    const read = async (files: string | null): Promise<Rows> =>
      files === null ? none : readRows(files, props, builder);
    const train = await read(props.trainFiles);
    return new DataActor(props, builder, logger, [train, await read(props.validationFiles)]);
  }

  summary(): DataSummary {
    return {
      trainPrompts: this.#train.rows.length,
      validationPrompts: this.#validation.rows.length,
      overlong: this.#train.overlong + this.#validation.overlong,
      skipped: this.#skipped,
    };
  }

  async nextPrompts(): Promise<{ prompts: Prompt[]; cursor: PromptCursor }> {
    const source = this.#training();
    const prompts = await source.take((row) => this.#prompt(this.#train.rows[row]!));
    return { prompts, cursor: source.cursor };
  }

  async nextSolutions(): Promise<{ samples: Sequence[]; cursor: PromptCursor }> {
    const source = this.#training();
    const samples = await source.take((row) => this.#solution(this.#train.rows[row]!));
    return { samples, cursor: source.cursor };
  }

  async validation({ start, end }: { start: number; end: number }): Promise<{ prompts: Prompt[] }> {
    const prompts = await Promise.all(
      this.#validation.rows.slice(start, end).map((row) => this.#prompt(row)),
    );
    return { prompts: prompts.filter((prompt) => prompt !== null) };
  }

  seek(cursor: PromptCursor): void {
    this.#source = this.#sourceAt(cursor);
  }

  #training(): PromptSource {
    return (this.#source ??= this.#sourceAt({ epoch: 0, position: 0 }));
  }

  #sourceAt(cursor: PromptCursor): PromptSource {
    const { batchSize, shuffle, seed } = this.#props;
    const rowCount = this.#train.rows.length;
    return new PromptSource({ rowCount, batchSize, shuffle, seed }, cursor);
  }

  #prompt(row: DatasetRow): Promise<Prompt | null> {
    return this.#orSkip(async () => promptOf(await this.#builder.build(row)));
  }

  #solution(row: DatasetRow): Promise<Sequence | null> {
    return this.#orSkip(async () => {
      const data = this.#builder.encodeAnswer(row);
      const { input } = promptOf(await this.#builder.build(row));
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
  const { invalidRows, filterOverlongPrompts, maxPromptLength } = props;
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
  const kept = await filterOverlong(read.rows, builder, maxPromptLength, invalidRows);
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
export const dataActor = actorFactory(dataProtocol, (props: DataProps, { logger }) =>
  DataActor.open(props, logger),
);
